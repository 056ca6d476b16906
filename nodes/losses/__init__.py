"""Losses as plain functions of tensors, shared by the heads."""
