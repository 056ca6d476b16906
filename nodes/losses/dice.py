"""Dice loss: one minus the overlap of two soft masks, so that small objects count like large ones.

Reference: Milletari et al. 2016, arXiv:1606.04797.
"""

from __future__ import annotations

from torch import Tensor

EPSILON = 1e-3


def dice_loss(probabilities: Tensor, targets: Tensor) -> Tensor:
    """1 - 2 sum(p t) / (sum(p^2) + sum(t^2)) of each mask, 0 for equal ones, 1 for masks that share nothing.

    Args:
        probabilities: [N, h, w] 0..1.
        targets: [N, h, w] 0 or 1.

    Returns:
        [N] in float32; finite, with a gradient, for empty masks too.
    """
    p, t = probabilities.float().flatten(1), targets.float().flatten(1)
    return 1 - 2 * (p * t).sum(1) / (p.square().sum(1) + t.square().sum(1) + EPSILON)
