"""RetinaNet's head: anchors on every level, two shared towers, focal loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.anchors import anchor_sides, decode, encode, pyramid_anchors
from nodes.assign.max_iou import IGNORED, assign_max_iou
from nodes.heads.dense import check_labels
from nodes.heads.towers import RARE, Tower, joined, started
from nodes.losses.focal import focal_hit, focal_miss
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions

RATIOS = (0.5, 1.0, 2.0)


@component(
    "head",
    title="RetinaNet head",
    paper="Lin et al. 2017, arXiv:1708.02002",
    aliases=("focal loss", "anchors", "detection head", "RetinaHead"),
)
class RetinaNetHead(nn.Module):
    """Anchor-based detection with two towers that all levels share, trained with the focal loss.

    Nine anchors a cell by default: three ratios, three sizes. Made for five levels P3 to P7 of an FPN; all levels
    have the same channels.

    Args:
        levels: feature maps of equal channels, finest first, usually of strides 8 to 128.
        num_classes: number of object classes.
        tower_depth: convolutions before each output.
        base_size: side of the smallest anchor in cells.
        octaves: sizes of anchors between one level and the next.
        norm: group norm in the towers; the paper has none.
        cls_gain: weight of the focal loss of the classes.
        box_gain: weight of the L1 loss of the boxes.

    Shapes: levels [B, C, H_i, W_i] -> in training a tuple of raw maps, [B, A * K, H_i, W_i] of every level, then
    [B, A * 4, H_i, W_i] of every level; in eval boxes [B, N, 4] in pixels and scores [B, N, K],
    N anchors of all cells.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        tower_depth: Annotated[int, Range(0, 8)] = 4,
        base_size: Annotated[int, Range(1, 32)] = 4,
        octaves: Annotated[int, Range(1, 8)] = 3,
        norm: bool = False,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 1.0,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes = tuple(strides), num_classes
        self.gains = {"cls": cls_gain, "box": box_gain}
        self.per_cell = octaves * len(RATIOS)
        for i, stride in enumerate(strides):
            sides = anchor_sides(stride, base_size, octaves, RATIOS)
            self.register_buffer(f"sides{i}", sides, persistent=False)
        self.cls_tower = Tower(channels, tower_depth, norm=norm, bias=True)
        self.box_tower = Tower(channels, tower_depth, norm=norm, bias=True)
        self.cls_out = started(nn.Conv2d(channels, self.per_cell * num_classes, 3, padding=1), RARE)
        self.box_out = started(nn.Conv2d(channels, self.per_cell * 4, 3, padding=1))

    def forward(self, *levels: Float[Tensor, "B C H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        cls = tuple(self.cls_out(self.cls_tower(x)) for x in levels)
        raw = (*cls, *(self.box_out(self.box_tower(x)) for x in levels))
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps, first of the classes, then of the boxes, to boxes in pixels and probabilities."""
        logits, changes, anchors = self._split(raw)
        return Predictions(decode(anchors, changes), logits.sigmoid())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each a sum over the number of anchors that learn an object, times its gain.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `cls` and `box`, scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        logits, changes, anchors = self._split(raw)
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        owner = assign_max_iou(anchors, truth, valid)
        image, place = (owner >= 0).nonzero(as_tuple=True)
        mine = owner[image, place]
        # All classes of all anchors as if none were there, then what those that are add to it.
        there = logits[image, place, labels[image, mine]]
        cls = (focal_miss(logits) * (owner != IGNORED)[..., None]).sum() + (focal_hit(there) - focal_miss(there)).sum()
        box = F.l1_loss(changes[image, place], encode(anchors[place], truth[image, mine]), reduction="sum")
        count = normaliser(len(image), logits)
        return {"cls": cls / count * self.gains["cls"], "box": box / count * self.gains["box"]}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits [B, N, K], changes [B, N, 4] and anchors [N, 4]."""
        levels = len(self.strides)
        logits, changes = list(raw[:levels]), list(raw[levels:])
        sides = [self.get_buffer(f"sides{i}") for i in range(levels)]
        anchors = pyramid_anchors(logits, self.strides, sides, 0.0)
        return joined(logits, self.num_classes), joined(changes, 4), anchors
