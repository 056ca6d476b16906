"""What every choice among predictions starts from: the best pairs of a box and a class, and how much they overlap."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.types import Predictions


class Candidates(NamedTuple):
    """P pairs of a box and a class for each image, best first.

    Attributes:
        boxes: [B, P, 4] corners in pixels.
        scores: [B, P] falling; -1 where there are fewer than P.
        labels: [B, P] class.
        rows: [B, P] which of the N predictions each is.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    rows: Tensor


def best_pairs(predictions: Predictions, count: int) -> Candidates:
    """The best `count` pairs. Equal scores keep the order of the boxes, then of the classes."""
    boxes, scores = predictions.boxes.float(), predictions.scores.float()
    cells, classes = boxes.shape[1], scores.shape[2]
    # A pair among the best `count` belongs to a box among the best `count` by their best class. The padding makes
    # room for topk however few boxes there are, with no branch on a size that may be dynamic in an export.
    best = F.pad(scores.amax(2), (0, count), value=-1.0)
    index = best.topk(count, dim=1).indices.sort(dim=1).values  # [B, P]
    real = (index < cells)[..., None]
    index = index.clamp(max=cells - 1)
    boxes = boxes.gather(1, index[..., None].expand(-1, -1, 4))
    scores = scores.gather(1, index[..., None].expand(-1, -1, classes))
    scores = scores.masked_fill(~real, -1.0).flatten(1)  # [B, P * K]
    # topk alone leaves equal scores in any order, and differently in each runtime.
    pair = scores.topk(count, dim=1).indices.sort(dim=1).values
    scores, order = stable_sort(scores.gather(1, pair))
    pair = pair.gather(1, order)
    row = pair // classes
    boxes = boxes.gather(1, row[..., None].expand(-1, -1, 4))
    return Candidates(boxes, scores, pair % classes, index.gather(1, row))


def overlaps(boxes: Tensor) -> Tensor:
    """IoU [B, P, P] of every pair of boxes [B, P, 4]; nan for two that are empty."""
    x1, y1, x2, y2 = boxes.transpose(1, 2).contiguous().unbind(1)  # side by side: half the time of strided ones
    area = (x2 - x1) * (y2 - y1)
    # In place, as these are the largest tensors here.
    inter = torch.minimum(x2[:, :, None], x2[:, None]).sub_(torch.maximum(x1[:, :, None], x1[:, None]))
    height = torch.minimum(y2[:, :, None], y2[:, None]).sub_(torch.maximum(y1[:, :, None], y1[:, None]))
    inter.clamp_(min=0).mul_(height.clamp_(min=0))
    union = (area[:, :, None] + area[:, None]).sub_(inter)
    # No epsilon: torchvision has none, and the nan of two empty boxes compares as not overlapping.
    return inter.div_(union)


def stable_sort(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Falling scores [B, P] with where each was; equal ones keep their order."""
    if torch.compiler.is_exporting():
        # The ONNX exporter knows no stable sort, but writes a TopK, which keeps the order of equal values.
        return scores.sort(dim=1, descending=True)
    return scores.sort(dim=1, descending=True, stable=True)
