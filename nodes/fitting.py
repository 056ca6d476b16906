"""Bringing maps to one size: larger ones by averaging, smaller ones by enlarging."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def fitted(x: Tensor, height: int, width: int, mode: str = "nearest") -> Tensor:
    """A map [B, C, H, W] as [B, C, height, width].

    A larger one is averaged over squares of whole cells; what is left to do, for smaller ones and odd sizes, is done by
    interpolation.

    Args:
        x: the map.
        height: rows that it shall have.
        width: columns.
        mode: of the interpolation: `nearest` or `bilinear`.
    """
    larger = max(1, round(x.shape[-1] / width))
    if larger > 1:
        x = F.avg_pool2d(x, larger, ceil_mode=True)
    if x.shape[-2:] != (height, width):
        x = F.interpolate(x, (height, width), mode=mode)
    return x
