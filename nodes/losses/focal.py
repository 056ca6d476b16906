"""Focal loss: binary cross-entropy in which what is learned already counts little.

Reference: Lin et al. 2017, arXiv:1708.02002.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """-alpha_t (1 - p_t)^gamma log p_t of each value, none reduced.

    Args:
        logits: [...] p before its sigmoid.
        targets: [...] 0 or 1.
        alpha: weight of the ones; the zeros have one minus it.
        gamma: how fast well-learned values stop to count.
    """
    return focal_hit(logits, alpha, gamma).where(targets > 0, focal_miss(logits, alpha, gamma))


def focal_hit(logits: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The loss where the target is 1."""
    return alpha * (-logits).sigmoid().pow(gamma) * F.softplus(-logits)


def focal_miss(logits: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The loss where the target is 0."""
    return (1 - alpha) * logits.sigmoid().pow(gamma) * F.softplus(logits)
