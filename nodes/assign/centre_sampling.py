"""Assignment by place and size: a point learns the object whose middle it lies in, on the level made for its size.

Reference: Tian et al. 2019, FCOS, arXiv:1904.01355.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def assign_centre_sampling(
    points: Tensor, strides: Tensor, level_strides: Sequence[int], truth: Tensor, valid: Tensor, *, radius: float = 1.5
) -> Tensor:
    """Which object [B, N] each point learns, -1 for background. Of several the one with the smallest area.

    A point takes an object when it lies inside its box, less than `radius` cells from its centre in x and in y, and
    when the farthest side of the box is 4 to 8 cells away; the finest level takes smaller objects too, the coarsest
    larger ones.

    Args:
        points: [2, N] x, y in pixels.
        strides: [N] pixels per cell of each point.
        level_strides: strides of the levels.
        truth: [B, M, 4] corners of the objects; M may be 0.
        valid: [B, M] bool, False for padding.
        radius: in cells.
    """
    batch, objects, _ = truth.shape
    if objects == 0:
        return torch.full((batch, points.shape[1]), -1, device=truth.device)
    x, y = points
    x1, y1, x2, y2 = truth[..., None].unbind(2)  # [B, M, 1]
    sides = torch.stack((x - x1, y - y1, x2 - x, y2 - y))  # [4, B, M, N]
    near = torch.maximum((x - (x1 + x2) / 2).abs(), (y - (y1 + y2) / 2).abs()) < radius * strides
    least = torch.where(strides == min(level_strides), torch.zeros_like(strides), 4 * strides)
    most = torch.where(strides == max(level_strides), torch.full_like(strides, math.inf), 8 * strides)
    farthest = sides.amax(0)
    fits = near & (sides.amin(0) > 0) & (farthest > least) & (farthest < most) & valid[..., None]
    area = ((x2 - x1) * (y2 - y1)).expand_as(fits).masked_fill(~fits, math.inf)
    smallest, owner = area.min(1)
    return owner.masked_fill(smallest.isinf(), -1)
