"""FCOS's head: every point inside an object learns its distances to the object's sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.centre_sampling import assign_centre_sampling
from nodes.heads.dense import cell_centres, check_labels
from nodes.heads.towers import RARE, Tower, joined, started
from nodes.losses.focal import focal_hit, focal_miss
from nodes.losses.iou import giou
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Choices, Dim, Range, Stride, component
from nodes.types import Predictions


@component(
    "head",
    title="FCOS head",
    paper="Tian et al. 2019, arXiv:1904.01355",
    aliases=("anchor-free", "centerness", "fully convolutional one-stage", "detection head"),
)
class FCOSHead(nn.Module):
    """Anchor-free detection with two towers that all levels share and a centerness that lowers boxes seen from afar.

    Made for five levels P3 to P7 of an FPN; all levels have the same channels.

    Args:
        levels: feature maps of equal channels, finest first, usually of strides 8 to 128.
        num_classes: number of object classes.
        tower_depth: convolutions before each output.
        radius: how far from an object's centre points learn it, in cells.
        point: where in its cell a point lies: 0.5 in the middle as in the paper, 0 left and top as in torchvision's
            weights.
        cls_gain: weight of the focal loss of the classes.
        box_gain: weight of the GIoU loss of the boxes.
        centerness_gain: weight of the cross-entropy of the centerness.

    Shapes: levels [B, C, H_i, W_i] -> in training a tuple of raw maps, classes [B, K, H_i, W_i] of every level, then
    distances [B, 4, H_i, W_i], then centerness [B, 1, H_i, W_i]; in eval boxes [B, N, 4] in pixels and scores
    [B, N, K], N cells of all levels.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        tower_depth: Annotated[int, Range(0, 8)] = 4,
        radius: Annotated[float, Range(0.5, 10)] = 1.5,
        point: Annotated[float, Choices(0.5, 0.0)] = 0.5,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 1.0,
        centerness_gain: Annotated[float, Range(0, 100)] = 1.0,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes, self.radius, self.point = tuple(strides), num_classes, radius, float(point)
        self.gains = {"cls": cls_gain, "box": box_gain, "centerness": centerness_gain}
        self.cls_tower = Tower(channels, tower_depth, norm=True, bias=True)
        self.box_tower = Tower(channels, tower_depth, norm=True, bias=True)
        self.cls_out = started(nn.Conv2d(channels, num_classes, 3, padding=1), RARE)
        self.box_out = started(nn.Conv2d(channels, 4, 3, padding=1))
        self.centerness_out = started(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, *levels: Float[Tensor, "B C H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        cls, boxes, centerness = [], [], []
        for x in levels:
            cls.append(self.cls_out(self.cls_tower(x)))
            seen = self.box_tower(x)
            boxes.append(F.relu(self.box_out(seen)))
            centerness.append(self.centerness_out(seen))
        raw = (*cls, *boxes, *centerness)
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels; scores are the root of class probability times centerness."""
        logits, distances, centerness, points, strides = self._split(raw)
        boxes = _boxes(points.T, distances * strides[:, None])
        return Predictions(boxes, (logits.sigmoid() * centerness.sigmoid()).sqrt())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each a sum over the number of points that learn an object, times its gain.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `cls`, `box` and `centerness`, scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        logits, distances, centerness, points, strides = self._split(raw)
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        owner = assign_centre_sampling(points, strides, self.strides, truth, valid, radius=self.radius)
        image, place = (owner >= 0).nonzero(as_tuple=True)
        mine = owner[image, place]
        there = logits[image, place, labels[image, mine]]
        cls = focal_miss(logits).sum() + (focal_hit(there) - focal_miss(there)).sum()
        spots, wanted = points.T[place], truth[image, mine]
        boxes = _boxes(spots, distances[image, place] * strides[place, None])
        box = (1 - giou(boxes, wanted)).sum()
        aim = centerness_of(spots, wanted)
        seen = F.binary_cross_entropy_with_logits(centerness[image, place, 0], aim, reduction="sum")
        sums, count = {"cls": cls, "box": box, "centerness": seen}, normaliser(len(image), logits)
        return {name: value / count * self.gains[name] for name, value in sums.items()}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Class logits [B, N, K], distances in cells [B, N, 4], centerness [B, N, 1], points [2, N], strides [N]."""
        n = len(self.strides)
        cls, boxes, centerness = list(raw[:n]), list(raw[n : 2 * n]), list(raw[2 * n :])
        points, strides = cell_centres(cls, self.strides)
        points = points + (self.point - 0.5) * strides
        return joined(cls, self.num_classes), joined(boxes, 4), joined(centerness, 1), points, strides


def centerness_of(points: Tensor, boxes: Tensor) -> Tensor:
    """How central points [P, 2] lie in boxes [P, 4]: 1 in the middle, 0 at a side."""
    before, after = (points - boxes[:, :2]).clamp(min=0), (boxes[:, 2:] - points).clamp(min=0)
    shares = torch.minimum(before, after) / torch.maximum(before, after).clamp(min=1e-6)
    return shares.prod(1).sqrt()


def _boxes(points: Tensor, sides: Tensor) -> Tensor:
    """Corners from points [..., 2] and distances to left, top, right and bottom [..., 4]."""
    return torch.cat((points - sides[..., :2], points + sides[..., 2:]), -1)
