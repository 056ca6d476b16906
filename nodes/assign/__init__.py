"""Assigners: which predictions answer for which ground-truth objects during training."""
