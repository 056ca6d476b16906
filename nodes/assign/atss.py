"""Adaptive training sample selection: the threshold of overlap follows from each object's own candidates.

Reference: Zhang et al. 2020, arXiv:1912.02424.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nodes.losses.iou import iou


@torch.no_grad()
def assign_atss(anchors: Tensor, counts: Sequence[int], truth: Tensor, valid: Tensor, *, candidates: int = 9) -> Tensor:
    """Which object [B, N] each anchor learns, -1 for background. Of several the one it overlaps most.

    An object's candidates are the anchors nearest to its centre on each level. Those learn it that overlap it by at
    least the mean plus the standard deviation of the candidates' overlaps, and whose centres lie inside it.

    Args:
        anchors: [N, 4] corners in pixels, level after level.
        counts: anchors of each level; they add up to N.
        truth: [B, M, 4] corners of the objects; M may be 0.
        valid: [B, M] bool, False for padding.
        candidates: of each level.
    """
    batch, objects, _ = truth.shape
    if objects == 0:
        return torch.full((batch, len(anchors)), -1, device=truth.device)
    overlap = iou(truth[:, :, None], anchors)  # [B, M, N]
    centres, middles = (anchors[:, :2] + anchors[:, 2:]) / 2, (truth[..., :2] + truth[..., 2:]) / 2
    distance = (middles[:, :, None] - centres).square().sum(-1)
    chosen, start = [], 0
    for count in counts:
        nearest = distance[..., start : start + count].topk(min(candidates, count), largest=False).indices
        chosen.append(nearest + start)
        start += count
    index = torch.cat(chosen, 2)  # [B, M, P]
    mine = overlap.gather(2, index)
    threshold = mine.mean(2, keepdim=True) + (mine.std(2, keepdim=True) if index.shape[2] > 1 else 0)
    spots = centres[index]
    inside = ((spots > truth[:, :, None, :2]) & (spots < truth[:, :, None, 2:])).all(-1)
    good = (mine >= threshold) & inside & valid[..., None]
    claimed = torch.zeros_like(overlap, dtype=torch.bool).scatter_(2, index, good)
    best, owner = overlap.masked_fill(~claimed, -1).max(1)
    return owner.masked_fill(best < 0, -1)
