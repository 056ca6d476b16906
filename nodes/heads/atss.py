"""ATSS's head: RetinaNet with one anchor a cell and a centerness, and the assignment that gives it its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.anchors import decode, pyramid_anchors
from nodes.assign.atss import assign_atss
from nodes.heads.dense import check_labels
from nodes.heads.fcos import centerness_of
from nodes.heads.towers import RARE, Tower, joined, started
from nodes.losses.focal import focal_hit, focal_miss
from nodes.losses.iou import giou
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions

DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
"""What the box output is multiplied by before it changes an anchor."""


@component(
    "head",
    title="ATSS head",
    paper="Zhang et al. 2020, arXiv:1912.02424",
    aliases=("adaptive training sample selection", "centerness", "anchors", "detection head", "ATSSHead"),
)
class ATSSHead(nn.Module):
    """Detection with one square anchor a cell, whose training samples follow from the statistics of each object.

    Two towers that all levels share, a learned scale a level for the boxes, a centerness that lowers boxes seen from
    afar. Made for five levels P3 to P7 of an FPN; all levels have the same channels.

    Args:
        levels: feature maps of equal channels, finest first, usually of strides 8 to 128.
        num_classes: number of object classes.
        tower_depth: convolutions before each output.
        base_size: side of the anchor in cells.
        candidates: anchors of each level nearest to an object's centre that may learn it.
        cls_gain: weight of the focal loss of the classes.
        box_gain: weight of the GIoU loss of the boxes.
        centerness_gain: weight of the cross-entropy of the centerness.

    Shapes: levels [B, C, H_i, W_i] -> in training a tuple of raw maps, classes [B, K, H_i, W_i] of every level, then
    boxes [B, 4, H_i, W_i], then centerness [B, 1, H_i, W_i]; in eval boxes [B, N, 4] in pixels and scores [B, N, K],
    N cells of all levels.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        tower_depth: Annotated[int, Range(0, 8)] = 4,
        base_size: Annotated[int, Range(1, 32)] = 8,
        candidates: Annotated[int, Range(1, 100)] = 9,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 2.0,
        centerness_gain: Annotated[float, Range(0, 100)] = 1.0,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes, self.candidates = tuple(strides), num_classes, candidates
        self.gains = {"cls": cls_gain, "box": box_gain, "centerness": centerness_gain}
        for i, stride in enumerate(strides):
            self.register_buffer(f"sides{i}", torch.full((1, 2), float(base_size * stride)), persistent=False)
        self.register_buffer("deviations", torch.tensor(DEVIATIONS), persistent=False)
        self.deviations: Tensor
        self.cls_tower = Tower(channels, tower_depth, norm=True, bias=False)
        self.box_tower = Tower(channels, tower_depth, norm=True, bias=False)
        self.cls_out = started(nn.Conv2d(channels, num_classes, 3, padding=1), RARE)
        self.box_out = started(nn.Conv2d(channels, 4, 3, padding=1))
        self.centerness_out = started(nn.Conv2d(channels, 1, 3, padding=1))
        self.scales = nn.Parameter(torch.ones(len(strides)))

    def forward(self, *levels: Float[Tensor, "B C H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        cls, boxes, centerness = [], [], []
        for x, scale in zip(levels, self.scales, strict=True):
            cls.append(self.cls_out(self.cls_tower(x)))
            seen = self.box_tower(x)
            boxes.append(self.box_out(seen) * scale)
            centerness.append(self.centerness_out(seen))
        raw = (*cls, *boxes, *centerness)
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels; scores are class probability times centerness."""
        logits, changes, centerness, anchors = self._split(raw)
        return Predictions(decode(anchors, changes), logits.sigmoid() * centerness.sigmoid())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch: classes and centerness over the number of samples, boxes over the sum of centerness.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `cls`, `box` and `centerness`, scalars in float32, times their gains.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        logits, changes, centerness, anchors = self._split(raw)
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        counts = [m.shape[-2] * m.shape[-1] for m in raw[: len(self.strides)]]
        owner = assign_atss(anchors, counts, truth, valid, candidates=self.candidates)
        image, place = (owner >= 0).nonzero(as_tuple=True)
        mine = owner[image, place]
        there = logits[image, place, labels[image, mine]]
        cls = focal_miss(logits).sum() + (focal_hit(there) - focal_miss(there)).sum()
        spots, wanted = anchors[place], truth[image, mine]
        aim = centerness_of((spots[:, :2] + spots[:, 2:]) / 2, wanted)
        box = ((1 - giou(decode(spots, changes[image, place]), wanted)) * aim).sum()
        seen = F.binary_cross_entropy_with_logits(centerness[image, place, 0], aim, reduction="sum")
        count = normaliser(len(image), logits)
        sums = {"cls": cls / count, "box": box / normaliser(aim.sum(), logits), "centerness": seen / count}
        return {name: value * self.gains[name] for name, value in sums.items()}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Class logits [B, N, K], changes [B, N, 4], centerness [B, N, 1] and anchors [N, 4]."""
        n = len(self.strides)
        cls, boxes, centerness = list(raw[:n]), list(raw[n : 2 * n]), list(raw[2 * n :])
        sides = [self.get_buffer(f"sides{i}") for i in range(n)]
        anchors = pyramid_anchors(cls, self.strides, sides, 0.0)
        changes = joined(boxes, 4) * self.deviations
        return joined(cls, self.num_classes), changes, joined(centerness, 1), anchors
