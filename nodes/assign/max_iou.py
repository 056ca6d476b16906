"""Assignment by overlap: an anchor learns the object that it overlaps most, if it overlaps it enough.

Reference: Ren et al. 2015, Faster R-CNN, arXiv:1506.01497.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.losses.iou import iou

NOTHING, IGNORED = -1, -2


@torch.no_grad()
def assign_max_iou(
    anchors: Tensor, truth: Tensor, valid: Tensor, *, high: float = 0.5, low: float = 0.4, rescue: bool = True
) -> Tensor:
    """Which object [B, N] each anchor learns; NOTHING for background, IGNORED in between.

    Args:
        anchors: [N, 4] corners in pixels.
        truth: [B, M, 4] corners of the objects; M may be 0.
        valid: [B, M] bool, False for padding.
        high: from this IoU on an anchor learns the object.
        low: below it an anchor learns background.
        rescue: the anchors that overlap an object most learn what they overlap most, however little that is.
    """
    batch, objects, _ = truth.shape
    if objects == 0:
        return torch.full((batch, len(anchors)), NOTHING, device=truth.device)
    overlap = iou(truth[:, :, None], anchors).masked_fill(~valid[..., None], -1)  # [B, M, N]
    best, owner = overlap.max(1)
    found = owner.where(best >= high, torch.full_like(owner, IGNORED))
    found = found.masked_fill(best < low, NOTHING)
    if rescue:
        most = overlap.amax(2, keepdim=True)
        found = owner.where(((overlap == most) & (most > 0) & valid[..., None]).any(1), found)
    return found


@torch.no_grad()
def assign_multibox(defaults: Tensor, truth: Tensor, valid: Tensor, *, least: float = 0.5) -> Tensor:
    """Which object [B, N] each default box learns, -1 for background.

    A box learns what it overlaps most if that is at least `least`; the box that overlaps an object most learns it in
    any case. Reference: Liu et al. 2016, SSD, arXiv:1512.02325.

    Args:
        defaults: [N, 4] corners in pixels.
        truth: [B, M, 4] corners of the objects; M may be 0.
        valid: [B, M] bool, False for padding.
        least: IoU.
    """
    batch, objects, _ = truth.shape
    if objects == 0:
        return torch.full((batch, len(defaults)), NOTHING, device=truth.device)
    overlap = iou(truth[:, :, None], defaults).masked_fill(~valid[..., None], -1)  # [B, M, N]
    best, owner = overlap.max(1)
    found = owner.masked_fill(best < least, NOTHING)
    number = torch.arange(objects, device=truth.device).expand(batch, -1).masked_fill(~valid, NOTHING)
    forced = torch.full_like(found, NOTHING).scatter_reduce(1, overlap.argmax(2), number, "amax")
    return forced.where(forced >= 0, found)
