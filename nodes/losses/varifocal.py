"""Varifocal loss: cross-entropy in which background that is known counts little, and an object as much as it fits.

Reference: Zhang et al. 2021, VarifocalNet, arXiv:2008.13367.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def varifocal_hit(logits: Tensor, targets: Tensor) -> Tensor:
    """The loss where there is an object: its target, 0 to 1, times the cross-entropy with it."""
    return targets * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def varifocal_miss(logits: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """The loss where there is none: alpha p^gamma times the cross-entropy with 0; the weight has no gradient."""
    return alpha * logits.detach().sigmoid().pow(gamma) * F.softplus(logits)
