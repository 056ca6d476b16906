"""Quality focal loss: cross-entropy against a score between 0 and 1, in which what is nearly right counts little.

Reference: Li et al. 2020, Generalized Focal Loss, arXiv:2006.04388.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def quality_focal_loss(logits: Tensor, targets: Tensor, beta: float = 2.0) -> Tensor:
    """|t - p|^beta times the binary cross-entropy of p with t, of each value, none reduced.

    Args:
        logits: [...] p before its sigmoid.
        targets: [...] t, 0 to 1: the overlap of the predicted box with its object, 0 for background.
        beta: how fast values near their target stop to count.
    """
    wrong = (targets - logits.sigmoid()).abs()
    return wrong.pow(beta) * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def quality_focal_miss(logits: Tensor, beta: float = 2.0) -> Tensor:
    """The loss where the target is 0."""
    return logits.sigmoid().pow(beta) * F.softplus(logits)
