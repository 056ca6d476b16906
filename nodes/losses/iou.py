"""Overlap of boxes: IoU and the GIoU, DIoU and CIoU losses built on it.

Every function takes corners x1, y1, x2, y2 in the last dimension, broadcasts the others, works in float32 and returns
the overlap itself (1 for equal boxes); the loss is one minus it. Degenerate boxes give finite values and gradients.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 1e-7


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union, 0..1.

    Args:
        a: boxes [..., 4].
        b: boxes [..., 4]; leading dimensions broadcast against `a`.
    """
    inter, union = _inter_union(a.float().unbind(-1), b.float().unbind(-1))
    return inter / (union + EPSILON)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalized IoU, -1..1: IoU less the share of the enclosing box that neither fills.

    Reference: Rezatofighi et al. 2019, arXiv:1902.09630.
    """
    pa, pb = a.float().unbind(-1), b.float().unbind(-1)
    inter, union = _inter_union(pa, pb)
    width, height = _enclosing(pa, pb)
    hull = width * height
    return inter / (union + EPSILON) - (hull - union) / (hull + EPSILON)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Distance IoU, -1..1: IoU less the squared distance of the centres over the enclosing box's squared diagonal.

    Reference: Zheng et al. 2020, arXiv:1911.08287.
    """
    pa, pb = a.float().unbind(-1), b.float().unbind(-1)
    inter, union = _inter_union(pa, pb)
    return inter / (union + EPSILON) - _distance(pa, pb)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU: distance IoU less a penalty for a different aspect ratio.

    The penalty's weight is a constant to the gradient, as in the paper.

    Reference: Zheng et al. 2020, arXiv:1911.08287.
    """
    pa, pb = a.float().unbind(-1), b.float().unbind(-1)
    inter, union = _inter_union(pa, pb)
    overlap = inter / (union + EPSILON)
    v = (_angle(pa) - _angle(pb)).square() * (4 / math.pi**2)
    with torch.no_grad():
        weight = v / (1 - overlap + v + EPSILON)
    return overlap - _distance(pa, pb) - weight * v


Corners = tuple[Tensor, ...]


def _inter_union(a: Corners, b: Corners) -> tuple[Tensor, Tensor]:
    width = (torch.minimum(a[2], b[2]) - torch.maximum(a[0], b[0])).clamp(min=0)
    height = (torch.minimum(a[3], b[3]) - torch.maximum(a[1], b[1])).clamp(min=0)
    inter = width * height
    return inter, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter


def _enclosing(a: Corners, b: Corners) -> tuple[Tensor, Tensor]:
    width = torch.maximum(a[2], b[2]) - torch.minimum(a[0], b[0])
    return width, torch.maximum(a[3], b[3]) - torch.minimum(a[1], b[1])


def _distance(a: Corners, b: Corners) -> Tensor:
    width, height = _enclosing(a, b)
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    return (dx.square() + dy.square()) / (width.square() + height.square() + EPSILON)


def _angle(box: Corners) -> Tensor:
    # Sides of at least epsilon: atan2 has no gradient at (0, 0), and a collapsed prediction must be able to grow again.
    return torch.atan2((box[2] - box[0]).clamp(min=EPSILON), (box[3] - box[1]).clamp(min=EPSILON))
