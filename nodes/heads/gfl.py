"""GFL's head: the class score is the quality of the box, and a box's sides are distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.anchors import pyramid_anchors
from nodes.assign.atss import assign_atss
from nodes.heads.dense import check_labels
from nodes.heads.towers import RARE, Tower, joined, started
from nodes.losses.dfl import distribution_focal_loss, expected_distance
from nodes.losses.iou import giou, iou
from nodes.losses.normaliser import normaliser
from nodes.losses.quality_focal import quality_focal_loss, quality_focal_miss
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions


@component(
    "head",
    title="GFL head",
    paper="Li et al. 2020, arXiv:2006.04388",
    aliases=("generalized focal loss", "quality focal loss", "distribution focal loss", "detection head", "GFLHead"),
)
class GFLHead(nn.Module):
    """ATSS without its centerness: the score of a class is also the overlap that its box will have with the object.

    Each side of a box is a distribution over whole numbers of cells. Two towers that all levels share, a learned scale
    a level. Made for five levels P3 to P7 of an FPN; all levels have the same channels.

    Args:
        levels: feature maps of equal channels, finest first, usually of strides 8 to 128.
        num_classes: number of object classes.
        reg_max: largest distance of a side from the cell's point, in cells.
        tower_depth: convolutions before each output.
        base_size: side in cells of the square by which objects and cells are matched.
        candidates: cells of each level nearest to an object's centre that may learn it.
        cls_gain: weight of the quality focal loss of the classes.
        box_gain: weight of the GIoU loss of the boxes.
        dfl_gain: weight of the distribution focal loss of the sides.

    Shapes: levels [B, C, H_i, W_i] -> in training a tuple of raw maps, classes [B, K, H_i, W_i] of every level, then
    sides [B, 4 (reg_max + 1), H_i, W_i]; in eval boxes [B, N, 4] in pixels and scores [B, N, K], N cells of all levels.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        reg_max: Annotated[int, Range(1, 64)] = 16,
        tower_depth: Annotated[int, Range(0, 8)] = 4,
        base_size: Annotated[int, Range(1, 32)] = 8,
        candidates: Annotated[int, Range(1, 100)] = 9,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 2.0,
        dfl_gain: Annotated[float, Range(0, 100)] = 0.25,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes, self.candidates = tuple(strides), num_classes, candidates
        self.bins, self.base_size = reg_max + 1, base_size
        self.gains = {"cls": cls_gain, "box": box_gain, "dfl": dfl_gain}
        self.cls_tower = Tower(channels, tower_depth, norm=True, bias=False)
        self.box_tower = Tower(channels, tower_depth, norm=True, bias=False)
        self.cls_out = started(nn.Conv2d(channels, num_classes, 3, padding=1), RARE)
        self.box_out = started(nn.Conv2d(channels, 4 * self.bins, 3, padding=1))
        self.scales = nn.Parameter(torch.ones(len(strides)))

    def forward(self, *levels: Float[Tensor, "B C H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        cls = [self.cls_out(self.cls_tower(x)) for x in levels]
        boxes = [self.box_out(self.box_tower(x)) * scale for x, scale in zip(levels, self.scales, strict=True)]
        raw = (*cls, *boxes)
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels and probabilities."""
        logits, sides, anchors, strides = self._split(raw)
        return Predictions(_boxes(_middles(anchors), expected_distance(sides), strides[:, None]), logits.sigmoid())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch: classes over the number of cells that learn an object, the others over their scores' sum.

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
        logits, sides, anchors, strides = self._split(raw)
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        counts = [m.shape[-2] * m.shape[-1] for m in raw[: len(self.strides)]]
        owner = assign_atss(anchors, counts, truth, valid, candidates=self.candidates)
        image, place = (owner >= 0).nonzero(as_tuple=True)
        mine = owner[image, place]
        wanted, spots, step = truth[image, mine], _middles(anchors)[place], strides[place, None]
        mine_sides = sides[image, place]
        boxes = _boxes(spots, expected_distance(mine_sides), step)
        there = logits[image, place, labels[image, mine]]
        quality = iou(boxes.detach(), wanted)
        cls = quality_focal_miss(logits).sum()
        cls = cls + (quality_focal_loss(there, quality) - quality_focal_miss(there)).sum()
        weight = logits[image, place].detach().sigmoid().amax(1)  # a sure cell must also be an exact one
        aim = torch.cat((spots - wanted[:, :2], wanted[:, 2:] - spots), 1) / step
        dfl = (distribution_focal_loss(mine_sides, aim.clamp(max=self.bins - 1 - 0.1)).mean(1) * weight).sum()
        box = ((1 - giou(boxes, wanted)) * weight).sum()
        total, count = normaliser(weight.sum(), logits), normaliser(len(image), logits)
        sums = {"cls": cls / count, "box": box / total, "dfl": dfl / total}
        return {name: value * self.gains[name] for name, value in sums.items()}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Class logits [B, N, K], logits of sides [B, N, 4, bins], anchors [N, 4] and strides [N]."""
        n = len(self.strides)
        cls, boxes = list(raw[:n]), list(raw[n:])
        device = cls[0].device
        squares = [torch.full((1, 2), float(self.base_size * s), device=device) for s in self.strides]
        anchors = pyramid_anchors(cls, self.strides, squares, 0.0)
        strides = torch.cat(
            [
                torch.full((m.shape[-2] * m.shape[-1],), float(s), device=device)
                for m, s in zip(cls, self.strides, strict=True)
            ]
        )
        sides = joined(boxes, 4 * self.bins)
        return joined(cls, self.num_classes), sides.unflatten(2, (4, self.bins)), anchors, strides


def _middles(anchors: Tensor) -> Tensor:
    return (anchors[:, :2] + anchors[:, 2:]) / 2


def _boxes(points: Tensor, sides: Tensor, strides: Tensor) -> Tensor:
    """Corners from points [..., 2] and distances in cells to left, top, right and bottom [..., 4]."""
    sides = sides * strides
    return torch.cat((points - sides[..., :2], points + sides[..., 2:]), -1)
