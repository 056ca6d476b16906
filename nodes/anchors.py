"""Anchor boxes on a pyramid, and boxes written as changes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST = math.log(1000 / 16)
"""Limit of the log of a side's growth, so that an untrained network gives no infinite boxes."""


def anchor_sides(stride: int, base: int, octaves: int, ratios: Sequence[float]) -> Tensor:
    """Width and height [A, 2] of a level's anchors, ratio after ratio, within each from small to large.

    Args:
        stride: pixels per cell.
        base: side of the smallest square anchor in cells.
        octaves: anchors of one ratio, each 2^(1/octaves) larger than the one before. Sides are cut to whole pixels.
        ratios: height over width.
    """
    sizes = [int(base * stride * 2 ** (i / octaves)) for i in range(octaves)]
    return torch.tensor([(size / math.sqrt(r), size * math.sqrt(r)) for r in ratios for size in sizes])


def pyramid_anchors(
    maps: Sequence[Tensor], strides: Sequence[int], sides: Sequence[Tensor], offset: float, *, whole: bool = True
) -> Tensor:
    """Corners [N, 4] in pixels of all anchors: level after level, cell after cell row by row, a cell's side by side.

    Args:
        maps: tensors [..., H_i, W_i], of which only the size and the device matter.
        strides: pixels per cell of each.
        sides: [A, 2] width and height of each level's anchors.
        offset: where in its cell an anchor's centre lies: 0 left and top as in torchvision, 0.5 in the middle.
        whole: half sides are rounded to pixels, as torchvision does, whose published weights learned that.
    """
    found = []
    for level, stride, side in zip(maps, strides, sides, strict=True):
        height, width = level.shape[-2:]
        half = (side / 2).round() if whole else side / 2
        base = torch.cat((-half, half), 1)  # [A, 4]
        x = (torch.arange(width, dtype=torch.float32, device=level.device) + offset) * stride
        y = (torch.arange(height, dtype=torch.float32, device=level.device) + offset) * stride
        centres = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), -1).view(-1, 1, 2)
        found.append((centres.repeat(1, 1, 2) + base).view(-1, 4))
    return torch.cat(found)


def encode(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Boxes as changes of anchors: centre moved by shares of the anchor's sides, logs of how the sides grow.

    Args:
        anchors: [..., 4] corners.
        boxes: [..., 4] corners; sides of at least a millionth of a pixel are assumed.
    """
    (ax, ay, aw, ah), (x, y, w, h) = _centred(anchors), _centred(boxes)
    return torch.stack(
        ((x - ax) / aw, (y - ay) / ah, (w.clamp(min=1e-6) / aw).log(), (h.clamp(min=1e-6) / ah).log()), -1
    )


def decode(anchors: Tensor, changes: Tensor) -> Tensor:
    """Corners [..., 4] from anchors [..., 4] and what `encode` gives."""
    ax, ay, aw, ah = _centred(anchors)
    dx, dy, dw, dh = changes.unbind(-1)
    x, y = ax + dx * aw, ay + dy * ah
    half_w, half_h = dw.clamp(max=LARGEST).exp() * aw / 2, dh.clamp(max=LARGEST).exp() * ah / 2
    return torch.stack((x - half_w, y - half_h, x + half_w, y + half_h), -1)


def _centred(boxes: Tensor) -> tuple[Tensor, ...]:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
