"""Assignment by shape: an object is learned in the cell its centre lies in, by the anchors that are shaped like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Matches(NamedTuple):
    """P pairs of an object and a prediction; a prediction may answer for several objects.

    Attributes:
        image: [P] int64.
        owner: [P] int64, a row of the image's ground truth.
        place: [P] int64, which of the image's N predictions: level after level, in a level anchor after anchor, for
            each anchor the cells row by row.
    """

    image: Tensor
    owner: Tensor
    place: Tensor


def shape_overlap(sizes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of boxes that share their centre: sizes [B, M, 2] and anchors [L, A, 2] -> [B, M, L, A]."""
    sizes = sizes[:, :, None, None]
    inter = torch.minimum(sizes, anchors).prod(-1)
    return inter / (sizes.prod(-1) + anchors.prod(-1) - inter)


def best_shape(sizes: Tensor, anchors: Tensor) -> Tensor:
    """The one anchor of all levels that overlaps each object most, as a mask [B, M, L, A]. YOLOv3, arXiv:1804.02767."""
    overlap = shape_overlap(sizes, anchors).flatten(2)
    best = torch.zeros_like(overlap, dtype=torch.bool).scatter_(2, overlap.argmax(2, keepdim=True), True)
    return best.unflatten(2, anchors.shape[:2])


def like_shapes(sizes: Tensor, anchors: Tensor, least: float) -> Tensor:
    """Anchors that overlap an object by more than `least`, and the best one in any case. YOLOv4, arXiv:2004.10934."""
    return (shape_overlap(sizes, anchors) > least) | best_shape(sizes, anchors)


def like_sides(sizes: Tensor, anchors: Tensor, limit: float) -> Tensor:
    """Anchors of which neither side is `limit` times as long or as short as the object's, as a mask [B, M, L, A]."""
    ratio = sizes[:, :, None, None] / anchors
    return torch.maximum(ratio, 1 / ratio).amax(-1) < limit


@torch.no_grad()
def match_cells(
    chosen: Tensor, centres: Tensor, strides: Sequence[int], grids: Sequence[tuple[int, int]], *, neighbours: bool
) -> Matches:
    """The predictions of the chosen anchors in the cells where the objects' centres lie.

    Args:
        chosen: [B, M, L, A] which anchors each object takes; none where an object is padding.
        centres: [B, M, 2] x, y in pixels. A centre outside a grid matches nothing there.
        strides: pixels per cell of each level.
        grids: height and width of each level in cells.
        neighbours: also the next cell to the left or right and the next above or below, whichever the centre is nearer
            to, as YOLOv5 does.
    """
    device, per_cell = chosen.device, chosen.shape[3]
    sizes = torch.tensor([(w, h) for h, w in grids], device=device)  # [L, 2]
    areas = sizes.prod(1)
    starts = per_cell * (areas.cumsum(0) - areas)
    place = centres[:, :, None] / torch.tensor(strides, device=device)[:, None]  # [B, M, L, 2] in cells
    cell = place.floor().long()
    steps = torch.tensor([(0, 0), (-1, 0), (0, -1), (1, 0), (0, 1)], device=device)[: 5 if neighbours else 1]
    fraction = place - cell
    near = torch.cat((torch.ones_like(fraction[..., :1]), fraction < 0.5, fraction > 0.5), -1)[..., : len(steps)] > 0
    moved = cell[..., None, :] + steps  # [B, M, L, S, 2]
    near = near & ((moved >= 0) & (moved < sizes[:, None])).all(-1)
    # The neighbours of a centre that lies outside are no place for it either.
    near = near & ((cell >= 0) & (cell < sizes)).all(-1, keepdim=True)
    image, owner, level, anchor, step = (chosen[..., None] & near[:, :, :, None]).nonzero(as_tuple=True)
    x, y = moved[image, owner, level, step].unbind(-1)
    index = starts[level] + anchor * areas[level] + y * sizes[level, 0] + x
    return Matches(image, owner, index)
