"""Necks: fusing the levels of a pyramid."""
