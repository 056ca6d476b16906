"""DAMO-YOLO's head: no towers at all, one convolution for the classes and one for the box, behind a heavy neck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.soft_label import assign_soft_label
from nodes.heads.dense import cell_centres, check_labels
from nodes.heads.towers import RARE, joined, started
from nodes.losses.dfl import distribution_focal_loss, expected_distance
from nodes.losses.iou import giou
from nodes.losses.normaliser import normaliser
from nodes.losses.quality_focal import quality_focal_loss, quality_focal_miss
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions


@component(
    "head",
    title="Zero head",
    paper="Xu et al. 2022 (DAMO-YOLO), arXiv:2211.15444; losses: Li et al. 2020, arXiv:2006.04388; assignment: Lyu et "
    "al. 2022, arXiv:2212.07784",
    aliases=("DAMO-YOLO head", "ZeroHead", "large neck small head", "anchor-free", "detection head"),
)
class ZeroHead(nn.Module):
    """Detects objects with one 3x3 convolution for the classes and one for the sides of the box, on every level.

    The score of a class is the overlap that its box will have with the object; each side is a distribution over whole
    numbers of cells. DAMO-YOLO chooses the cells that learn an object by AlignOTA; here it is done by RTMDet's dynamic
    soft labels, which have the same costs.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        reg_max: largest distance of a side from the cell's centre, in cells.
        cls_gain: weight of the quality focal loss of the classes.
        box_gain: weight of the GIoU loss of the boxes.
        dfl_gain: weight of the distribution focal loss of the sides.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, 4 (reg_max + 1) + K, H_i, W_i]; in eval
    boxes [B, N, 4] in pixels and scores [B, N, K], N cells over all levels.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[tuple[int, ...], Dim("C_")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        reg_max: Annotated[int, Range(1, 64)] = 16,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 2.0,
        dfl_gain: Annotated[float, Range(0, 100)] = 0.25,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes, self.bins = tuple(strides), num_classes, reg_max + 1
        self.gains = {"cls": cls_gain, "box": box_gain, "dfl": dfl_gain}
        self.cls_outs = nn.ModuleList(started(nn.Conv2d(c, num_classes, 3, padding=1), RARE) for c in channels)
        self.box_outs = nn.ModuleList(started(nn.Conv2d(c, 4 * self.bins, 3, padding=1)) for c in channels)
        self.scales = nn.Parameter(torch.ones(len(strides)))
        # Begins with boxes of three cells: with all distances alike they would have sixteen and overlap with nothing.
        with torch.no_grad():
            for out in self.box_outs:
                assert isinstance(out, nn.Conv2d)
                assert out.bias is not None
                out.bias.view(4, -1).copy_(-0.5 * torch.arange(self.bins))

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        raw = tuple(
            torch.cat((self.box_outs[i](x) * self.scales[i], self.cls_outs[i](x)), 1) for i, x in enumerate(levels)
        )
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels and probabilities, level after level."""
        sides, logits, points, strides = self._split(raw)
        return Predictions(_boxes(points, expected_distance(sides) * strides[:, None]), logits.sigmoid())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, over the sum of the overlaps that the chosen cells have with their objects.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `cls`, `box` and `dfl`, scalars in float32, times their gains.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        sides, logits, points, strides = self._split(raw)
        boxes = _boxes(points, expected_distance(sides) * strides[:, None])
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        found = assign_soft_label(logits, boxes, points, strides, truth, labels, valid)
        image, cell = found.positive.nonzero(as_tuple=True)
        mine, quality = found.owner[image, cell], found.score[image, cell]
        there, wanted = logits[image, cell, labels[image, mine]], truth[image, mine]
        cls = quality_focal_miss(logits).sum()
        cls = cls + (quality_focal_loss(there, quality) - quality_focal_miss(there)).sum()
        box = ((1 - giou(boxes[image, cell], wanted)) * quality).sum()
        aim = torch.cat((points[cell] - wanted[:, :2], wanted[:, 2:] - points[cell]), 1) / strides[cell, None]
        dfl = (distribution_focal_loss(sides[image, cell], aim.clamp(0, self.bins - 1 - 0.1)).mean(1) * quality).sum()
        total = normaliser(quality.sum(), logits)
        sums = {"cls": cls, "box": box, "dfl": dfl}
        return {name: value / total * self.gains[name] for name, value in sums.items()}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of sides [B, N, 4, bins] and of classes [B, N, K] in float32, points [N, 2] and strides [N]."""
        values = joined(list(raw), 4 * self.bins + self.num_classes)
        sides, logits = values.split((4 * self.bins, self.num_classes), 2)
        points, strides = cell_centres(raw, self.strides)
        return sides.unflatten(2, (4, self.bins)), logits, points.T, strides


def _boxes(points: Tensor, sides: Tensor) -> Tensor:
    """Corners from points [N, 2] and distances in pixels to left, top, right and bottom [B, N, 4]."""
    return torch.cat((points - sides[..., :2], points + sides[..., 2:]), -1)
