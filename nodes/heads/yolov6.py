"""YOLOv6's head: anchor-free, a 3x3 convolution for the classes and one for the box behind a shared 1x1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.task_aligned import assign_task_aligned
from nodes.conv import ConvNormAct
from nodes.heads.dense import cell_centres, check_labels
from nodes.heads.towers import RARE, joined
from nodes.losses.dfl import distribution_focal_loss, expected_distance
from nodes.losses.iou import giou
from nodes.losses.normaliser import normaliser
from nodes.losses.varifocal import varifocal_hit, varifocal_miss
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions


@component(
    "head",
    title="YOLOv6 head",
    paper="Li et al. 2022, arXiv:2209.02976; 2023, arXiv:2301.05586",
    aliases=("YOLOv6", "Gold-YOLO head", "EffiDeHead", "decoupled head", "anchor-free", "detection head", "YOLOv6Head"),
)
class YOLOv6Head(nn.Module):
    """Detects objects on every level: distances from a cell's centre to the sides of the box, and class scores.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        reg_max: largest distance in cells where it is a distribution, 16 in YOLOv6-M and L; 0 for a plain number.
        cls_gain: weight of the varifocal loss of the classes.
        box_gain: weight of the GIoU loss of the boxes.
        dfl_gain: weight of the distribution focal loss of the sides, where they are distributions.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, 4 (reg_max + 1) + K, H_i, W_i]; in eval
    boxes [B, N, 4] in pixels and scores [B, N, K], N cells over all levels.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[tuple[int, ...], Dim("C_")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        reg_max: Annotated[int, Range(0, 64)] = 0,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 2.5,
        dfl_gain: Annotated[float, Range(0, 100)] = 0.5,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes, self.bins = tuple(strides), num_classes, reg_max + 1
        self.gains = {"cls": cls_gain, "box": box_gain, "dfl": dfl_gain}
        self.stems = nn.ModuleList(ConvNormAct(c, c, 1) for c in channels)
        self.cls_convs = nn.ModuleList(ConvNormAct(c, c, 3) for c in channels)
        self.box_convs = nn.ModuleList(ConvNormAct(c, c, 3) for c in channels)
        self.cls_outs = nn.ModuleList(_constant(nn.Conv2d(c, num_classes, 1), RARE) for c in channels)
        # Begins with boxes of two cells, wherever the features are.
        self.box_outs = nn.ModuleList(_constant(nn.Conv2d(c, 4 * self.bins, 1), 1.0) for c in channels)

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        raw = []
        for i, x in enumerate(levels):
            x = self.stems[i](x)
            raw.append(torch.cat((self.box_outs[i](self.box_convs[i](x)), self.cls_outs[i](self.cls_convs[i](x))), 1))
        return tuple(raw) if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels and probabilities, level after level."""
        sides, logits, points, strides = self._split(raw)
        return Predictions(self._boxes(sides, points, strides[:, None]), logits.sigmoid())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, over the sum of the scores to learn, times their gains.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `cls` and `box`, and `dfl` where sides are distributions; scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        sides, logits, points, strides = self._split(raw)
        boxes = self._boxes(sides, points, strides[:, None])
        wanted = labels.clamp(min=0)[:, None].expand(-1, logits.shape[1], -1)
        found = assign_task_aligned(
            logits.detach().gather(2, wanted).sigmoid().transpose(1, 2), boxes.detach(), points, truth, labels >= 0,
            top_k=13, alpha=1.0, smallest=float(min(self.strides)),
        )  # fmt: skip
        image, cell = found.positive.nonzero(as_tuple=True)
        mine, score = found.owner[image, cell], found.score[image, cell]
        there = logits[image, cell, labels[image, mine]]
        cls = varifocal_miss(logits).sum() + (varifocal_hit(there, score) - varifocal_miss(there)).sum()
        box = ((1 - giou(boxes[image, cell], truth[image, mine])) * score).sum()
        sums = {"cls": cls, "box": box}
        if self.bins > 1:
            aim = torch.cat((points[cell] - truth[image, mine, :2], truth[image, mine, 2:] - points[cell]), 1)
            aim = (aim / strides[cell, None]).clamp(0, self.bins - 1 - 0.01)
            sums["dfl"] = (distribution_focal_loss(sides[image, cell], aim).mean(1) * score).sum()
        total = normaliser(found.score.sum(), logits)
        return {name: value / total * self.gains[name] for name, value in sums.items()}

    def _boxes(self, sides: Tensor, points: Tensor, strides: Tensor) -> Tensor:
        """Corners [B, N, 4] in pixels from sides [B, N, 4, bins]."""
        distances = expected_distance(sides) if self.bins > 1 else sides.squeeze(3)
        distances = distances * strides
        return torch.cat((points - distances[..., :2], points + distances[..., 2:]), 2)

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sides [B, N, 4, bins] and class logits [B, N, K] in float32, points [N, 2] and strides [N]."""
        values = joined(list(raw), 4 * self.bins + self.num_classes)
        sides, logits = values.split((4 * self.bins, self.num_classes), 2)
        points, strides = cell_centres(raw, self.strides)
        return sides.unflatten(2, (4, self.bins)), logits, points.T, strides


def _constant(conv: nn.Conv2d, value: float) -> nn.Conv2d:
    """An output that begins with the same value everywhere."""
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.constant_(conv.bias, value)
    return conv
