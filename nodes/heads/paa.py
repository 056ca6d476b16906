"""PAA's head: ATSS's network, whose training samples follow from what they would lose, and a branch for the overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nodes.anchors import decode
from nodes.assign.gaussian_mixture import assign_gaussian_mixture
from nodes.assign.max_iou import assign_max_iou
from nodes.heads.atss import ATSSHead
from nodes.heads.dense import check_labels
from nodes.losses.focal import focal_hit, focal_miss
from nodes.losses.iou import giou, iou
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions

MAYBE = 0.1
"""IoU from which on an anchor may learn an object."""


@component(
    "head",
    title="PAA head",
    paper="Kim and Lee 2020, arXiv:2007.08103",
    aliases=("probabilistic anchor assignment", "Gaussian mixture", "anchors", "detection head", "PAAHead"),
)
class PAAHead(ATSSHead):
    """Detection with one square anchor a cell, whose training samples are those that the network finds easiest.

    The same network as ATSS; the branch beside the boxes tells how well a box overlaps its object. For each object,
    two normal distributions are fitted to the losses of its candidates; those of the lower one learn it.

    Args:
        levels: feature maps of equal channels, finest first, usually of strides 8 to 128.
        num_classes: number of object classes.
        tower_depth: convolutions before each output.
        base_size: side of the anchor in cells.
        candidates: anchors of each level that may learn an object.
        cls_gain: weight of the focal loss of the classes.
        box_gain: weight of the GIoU loss of the boxes.
        iou_gain: weight of the cross-entropy of the overlap.

    Shapes: levels [B, C, H_i, W_i] -> in training a tuple of raw maps, classes [B, K, H_i, W_i] of every level, then
    boxes [B, 4, H_i, W_i], then overlaps [B, 1, H_i, W_i]; in eval boxes [B, N, 4] in pixels and scores [B, N, K],
    N cells of all levels.
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        tower_depth: Annotated[int, Range(0, 8)] = 4,
        base_size: Annotated[int, Range(1, 32)] = 8,
        candidates: Annotated[int, Range(1, 100)] = 9,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 1.3,
        iou_gain: Annotated[float, Range(0, 100)] = 0.5,
    ) -> None:
        super().__init__(channels, strides, num_classes, tower_depth, base_size, candidates, cls_gain, box_gain)
        self.gains = {"cls": cls_gain, "box": box_gain, "iou": iou_gain}

    def forward(self, *levels: Float[Tensor, "B C H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        return super().forward(*levels)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels; scores are the root of class probability times overlap."""
        logits, changes, overlaps, anchors = self._split(raw)
        return Predictions(decode(anchors, changes), (logits.sigmoid() * overlaps.sigmoid()).sqrt())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch: classes and overlap over the number of samples, boxes over the sum of their overlaps.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `cls`, `box` and `iou`, scalars in float32, times their gains.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        logits, changes, overlaps, anchors = self._split(raw)
        missed = focal_miss(logits).sum(2)  # [B, N]
        counts = [m.shape[-2] * m.shape[-1] for m in raw[: len(self.strides)]]
        owner = self._assign(logits, changes, missed, anchors, counts, truth, labels)
        image, place = (owner >= 0).nonzero(as_tuple=True)
        mine = owner[image, place]
        there = logits[image, place, labels[image, mine]]
        cls = missed.sum() + (focal_hit(there) - focal_miss(there)).sum()
        boxes, wanted = decode(anchors[place], changes[image, place]), truth[image, mine]
        aim = iou(boxes, wanted).detach()
        weight = aim.clamp(min=1e-6)  # boxes that overlap nothing yet still have to come closer
        box = ((1 - giou(boxes, wanted)) * weight).sum() / normaliser(weight.sum(), logits, least=1e-6)
        seen = F.binary_cross_entropy_with_logits(overlaps[image, place, 0], aim, reduction="sum")
        count = normaliser(len(image), logits)
        sums = {"cls": cls / count, "box": box, "iou": seen / count}
        return {name: value * self.gains[name] for name, value in sums.items()}

    @torch.no_grad()
    def _assign(
        self, logits: Tensor, changes: Tensor, missed: Tensor, anchors: Tensor, counts: Sequence[int], truth: Tensor,
        labels: Tensor,
    ) -> Tensor:  # fmt: skip
        """Which object [B, N] each anchor learns: its cost is what class and box would lose."""
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        owner = assign_max_iou(anchors, truth, valid, high=MAYBE, low=MAYBE)
        image, place = (owner >= 0).nonzero(as_tuple=True)
        mine = owner[image, place]
        there = logits[image, place, labels[image, mine]]
        boxes = decode(anchors[place], changes[image, place])
        cls = missed[image, place] + focal_hit(there) - focal_miss(there)
        costs = torch.zeros_like(missed)
        costs[image, place] = cls * self.gains["cls"] + (1 - giou(boxes, truth[image, mine])) * self.gains["box"]
        return assign_gaussian_mixture(owner, costs, counts, truth.shape[1], candidates=self.candidates)
