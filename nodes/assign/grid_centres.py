"""SOLO's assignment: the cells of a grid around an object's centre of mass learn it, on the grids for its size.

Reference: Wang et al. 2020, SOLO, arXiv:1912.04488.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.masks import MASK_STRIDE


@torch.no_grad()
def assign_grid_centres(
    boxes: Tensor, masks: Tensor, valid: Tensor, cells: int, size: tuple[float, float], sigma: float = 0.2
) -> Tensor:
    """[B, cells, cells] the object that each cell of a grid learns, -1 for none.

    An object has the cells that the middle of its box, `sigma` of its sides long around the centre of its mask,
    touches, at most one away from the cell of that centre. Of several objects the smallest has the cell.

    Args:
        boxes: [B, M, 4] corners in pixels.
        masks: [B, M, h, w] of 0 and 1, at a quarter of the image's size; an object without a cell in it is ignored.
        valid: [B, M] bool, False for padding.
        cells: of the grid from side to side.
        size: smallest and largest root of a box's area in pixels, both included.
        sigma: share of the box's sides.
    """
    batch, objects = valid.shape
    if not objects:
        return torch.full((batch, cells, cells), -1, device=boxes.device)
    masks = masks.float()
    sides = (boxes[..., 2:] - boxes[..., :2]).float().clamp(min=0)
    area = sides.prod(-1)
    scale, mass = area.sqrt(), masks.sum((2, 3))
    valid = valid & (mass > 0) & (scale >= size[0]) & (scale <= size[1])
    columns = _along(masks.sum(2), mass, sides[..., 0], cells, sigma)
    rows = _along(masks.sum(3), mass, sides[..., 1], cells, sigma)
    mine = rows[..., :, None] & columns[..., None, :] & valid[..., None, None]  # [B, M, S, S]
    smallest, owner = area[..., None, None].where(mine, torch.inf).min(1)
    return owner.masked_fill(smallest.isinf(), -1)


def _along(profile: Tensor, mass: Tensor, side: Tensor, cells: int, sigma: float) -> Tensor:
    """[B, M, cells] bool, the cells of one axis: `profile` [B, M, n] is the mask's sum along the other."""
    count = profile.shape[-1]
    middle = torch.arange(count, device=profile.device) + 0.5
    centre = (profile * middle).sum(-1) / mass.clamp(min=1) / count  # of the image's length, 0..1
    half = side * (sigma / 2 / (count * MASK_STRIDE))
    own = (centre * cells).floor()
    first = torch.maximum(((centre - half) * cells).floor(), own - 1)
    last = torch.minimum(((centre + half) * cells).floor(), own + 1)
    index = torch.arange(cells, device=profile.device)
    return (index >= first[..., None]) & (index <= last[..., None])
