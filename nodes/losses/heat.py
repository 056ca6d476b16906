"""Focal loss of a heat map of centres.

Reference: Law and Deng 2018, CornerNet, arXiv:1808.01244.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def centre_focal_loss(logits: Tensor, heat: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """The sum over all cells: -(1 - p)^alpha log p in a centre, -(1 - heat)^beta p^alpha log(1 - p) elsewhere.

    Args:
        logits: [...], p before its sigmoid.
        heat: [...] 0..1, exactly 1 in a centre; cells near one count less.
        alpha: how little well-learned cells count.
        beta: how little cells near a centre count.
    """
    p = logits.sigmoid()
    centre = heat == 1
    hit = (1 - p).pow(alpha) * F.softplus(-logits)
    miss = (1 - heat).pow(beta) * p.pow(alpha) * F.softplus(logits)
    return hit.where(centre, miss).sum()
