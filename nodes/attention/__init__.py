"""Attention: reweighting channels, places or both."""
