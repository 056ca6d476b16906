"""RTMDet's head, which YOLO-MS has too: towers that levels share, with norms of each level's own, and soft labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.soft_label import assign_soft_label
from nodes.heads.dense import cell_centres, check_labels
from nodes.heads.towers import RARE, joined, started
from nodes.losses.iou import giou
from nodes.losses.normaliser import normaliser
from nodes.losses.quality_focal import quality_focal_loss, quality_focal_miss
from nodes.sdk.declare import Choices, Dim, Range, Stride, component
from nodes.types import Predictions


class SharedTower(nn.Module):
    """3x3 convolutions that all levels share, each followed by a batch norm of the level's own and SiLU.

    Args:
        channels: of every layer.
        depth: convolutions.
        levels: how many levels there are.
    """

    def __init__(self, channels: int, depth: int, levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            started(nn.Conv2d(channels, channels, 3, padding=1, bias=False)) for _ in range(depth)
        )
        self.norms = nn.ModuleList(nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(depth)) for _ in range(levels))

    def forward(self, x: Tensor, level: int) -> Tensor:
        norms = self.norms[level]
        assert isinstance(norms, nn.ModuleList)
        for conv, norm in zip(self.convs, norms, strict=True):
            x = F.silu(norm(conv(x)))
        return x


@component(
    "head",
    title="RTMDet head",
    paper="Lyu et al. 2022, arXiv:2212.07784; in YOLO-MS: Chen et al. 2023, arXiv:2308.05480",
    aliases=("RTMDet", "YOLO-MS head", "RTMDetSepBNHead", "soft labels", "anchor-free", "detection head", "RTMDetHead"),
)
class RTMDetHead(nn.Module):
    """Anchor-free detection whose score of a class is the overlap that its box will have with the object.

    Args:
        levels: feature maps of equal channels, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        tower_depth: 3x3 convolutions of a tower.
        point: where in its cell a point lies: 0 left and top as in the published weights, 0.5 in the middle.
        cls_gain: weight of the quality focal loss of the classes.
        box_gain: weight of the GIoU loss of the boxes.

    Shapes: levels [B, C, H_i, W_i] -> in training a tuple of raw maps [B, 4 + K, H_i, W_i]; in eval boxes [B, N, 4] in
    pixels and scores [B, N, K], N cells of all levels.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        tower_depth: Annotated[int, Range(0, 8)] = 2,
        point: Annotated[float, Choices(0.0, 0.5)] = 0.0,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 2.0,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes, self.point = tuple(strides), num_classes, float(point)
        self.gains = {"cls": cls_gain, "box": box_gain}
        self.cls_tower = SharedTower(channels, tower_depth, len(strides))
        self.box_tower = SharedTower(channels, tower_depth, len(strides))
        self.cls_outs = nn.ModuleList(started(nn.Conv2d(channels, num_classes, 1), RARE) for _ in strides)
        # Begins with boxes of two cells: of none the loss has hardly a gradient.
        self.box_outs = nn.ModuleList(started(nn.Conv2d(channels, 4, 1), 1.0) for _ in strides)

    def forward(self, *levels: Float[Tensor, "B C H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        raw = tuple(
            torch.cat((self.box_outs[i](self.box_tower(x, i)), self.cls_outs[i](self.cls_tower(x, i))), 1)
            for i, x in enumerate(levels)
        )
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels and probabilities."""
        boxes, logits, _, _ = self._split(raw)
        return Predictions(boxes, logits.sigmoid())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, over the sum of the overlaps that the chosen cells have with their objects.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `cls` and `box`, scalars in float32, times their gains.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        boxes, logits, points, strides = self._split(raw)
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        found = assign_soft_label(logits, boxes, points.T, strides, truth, labels, valid)
        image, cell = found.positive.nonzero(as_tuple=True)
        mine, quality = found.owner[image, cell], found.score[image, cell]
        there = logits[image, cell, labels[image, mine]]
        cls = quality_focal_miss(logits).sum()
        cls = cls + (quality_focal_loss(there, quality) - quality_focal_miss(there)).sum()
        box = ((1 - giou(boxes[image, cell], truth[image, mine])) * quality).sum()
        total = normaliser(quality.sum(), logits)
        return {"cls": cls / total * self.gains["cls"], "box": box / total * self.gains["box"]}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes [B, N, 4] in pixels, class logits [B, N, K] in float32, points [2, N] and strides [N]."""
        sides, logits = joined(list(raw), 4 + self.num_classes).split((4, self.num_classes), 2)
        points, strides = cell_centres(raw, self.strides)
        points = points + (self.point - 0.5) * strides
        sides = sides * strides[:, None]
        boxes = torch.cat((points.T - sides[..., :2], points.T + sides[..., 2:]), 2)
        return boxes, logits, points, strides
