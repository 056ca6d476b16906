"""What heads with masks share: which cells a box touches, and true masks at the size of the predicted ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MASK_STRIDE = 4
"""Image pixels per cell of the true masks that a head learns from."""


def touched(boxes: Tensor, height: int, width: int, cell: tuple[float, float]) -> Tensor:
    """[..., height, width] bool, the cells of a grid that boxes touch: never none for a box inside the image.

    Args:
        boxes: [..., 4] corners in pixels; a box without area touches at most the cell that it lies in.
        height: cells from top to bottom.
        width: cells from left to right.
        cell: height and width of a cell in pixels.
    """
    x1, y1, x2, y2 = boxes[..., None].unbind(-2)
    left = torch.arange(width, device=boxes.device, dtype=boxes.dtype) * cell[1]
    top = torch.arange(height, device=boxes.device, dtype=boxes.dtype) * cell[0]
    columns = (left < x2) & (left + cell[1] > x1)
    rows = (top < y2) & (top + cell[0] > y1)
    return rows[..., :, None] & columns[..., None, :]


def resized(masks: Tensor, height: int, width: int) -> Tensor:
    """True masks [B, M, h, w] of 0 and 1 as float at another size: 1 where at least half of a cell is covered."""
    masks = masks.float()
    if masks.shape[-2:] == (height, width) or not masks.shape[1]:
        return masks if masks.shape[1] else masks.new_zeros(*masks.shape[:2], height, width)
    return (F.interpolate(masks, (height, width), mode="area") >= 0.5).float()
