"""EfficientDet's head: two towers of separable convolutions that all levels share, with norms of each level's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.anchors import decode, encode, pyramid_anchors
from nodes.assign.max_iou import assign_multibox
from nodes.heads.dense import check_labels
from nodes.heads.towers import RARE, joined
from nodes.losses.focal import focal_hit, focal_miss
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions

ASPECTS = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
"""Width and height of the anchors of one size, as multiples of it."""
ALPHA, GAMMA, DELTA = 0.25, 1.5, 0.1
"""Weight of objects and focus of the focal loss; where the Huber loss of the boxes turns from a square to a line."""


@component(
    "head",
    title="EfficientDet head",
    paper="Tan et al. 2020, arXiv:1911.09070",
    aliases=("BiFPN head", "separable convolution", "anchors", "detection head", "EfficientDet-D0"),
)
class EfficientDetHead(nn.Module):
    """Anchor-based detection like RetinaNet's with a fraction of its weights.

    Nine anchors a cell by default: three shapes, three sizes. Made for five levels P3 to P7 of a BiFPN; all levels
    have the same channels: 64 and three layers in D0, 88 and three in D1, 112 and three in D2, 160 and four in D3.

    Args:
        levels: feature maps of equal channels, finest first, usually of strides 8 to 128.
        num_classes: number of object classes; the published models have 90, COCO's ids with their gaps.
        tower_depth: separable convolutions before each output.
        base_size: side of the smallest square anchor in cells.
        octaves: sizes of anchors between one level and the next.
        cls_gain: weight of the focal loss of the classes.
        box_gain: weight of the Huber loss of the boxes.

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
        tower_depth: Annotated[int, Range(0, 8)] = 3,
        base_size: Annotated[int, Range(1, 32)] = 4,
        octaves: Annotated[int, Range(1, 8)] = 3,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 1000)] = 50.0,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes = tuple(strides), num_classes
        self.gains = {"cls": cls_gain, "box": box_gain}
        for i, stride in enumerate(strides):
            sizes = [base_size * stride * 2 ** (o / octaves) for o in range(octaves)]
            sides = torch.tensor([(size * w, size * h) for size in sizes for w, h in ASPECTS])
            self.register_buffer(f"sides{i}", sides, persistent=False)
        per_cell = octaves * len(ASPECTS)
        self.cls_tower = SeparableTower(channels, tower_depth, len(strides), per_cell * num_classes, RARE)
        self.box_tower = SeparableTower(channels, tower_depth, len(strides), per_cell * 4, 0.0)

    def forward(self, *levels: Float[Tensor, "B C H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        cls = tuple(self.cls_tower(x, i) for i, x in enumerate(levels))
        raw = (*cls, *(self.box_tower(x, i) for i, x in enumerate(levels)))
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps, first of the classes, then of the boxes, to boxes in pixels and probabilities."""
        logits, changes, anchors = self._split(raw)
        return Predictions(decode(anchors, changes), logits.sigmoid())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch: classes over one more than the anchors that learn an object, boxes over their sides.

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
        logits, changes, anchors = self._split(raw)
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        owner = assign_multibox(anchors, truth, valid)
        image, place = (owner >= 0).nonzero(as_tuple=True)
        mine = owner[image, place]
        there = logits[image, place, labels[image, mine]]
        cls = focal_miss(logits, ALPHA, GAMMA).sum()
        cls = cls + (focal_hit(there, ALPHA, GAMMA) - focal_miss(there, ALPHA, GAMMA)).sum()
        wanted = encode(anchors[place], truth[image, mine])
        box = F.huber_loss(changes[image, place], wanted, reduction="sum", delta=DELTA)
        count = normaliser(len(image), logits, least=0.0, more=1.0)
        return {"cls": cls / count * self.gains["cls"], "box": box / (4 * count) * self.gains["box"]}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits [B, N, K], changes [B, N, 4] and anchors [N, 4]."""
        levels = len(self.strides)
        logits, changes = list(raw[:levels]), list(raw[levels:])
        sides = [self.get_buffer(f"sides{i}") for i in range(levels)]
        anchors = pyramid_anchors(logits, self.strides, sides, 0.5, whole=False)
        return joined(logits, self.num_classes), joined(changes, 4), anchors


class SeparableTower(nn.Module):
    """`depth` times a separable convolution, batch norm and SiLU, then one more for the output.

    Args:
        channels: of every layer.
        depth: layers before the output.
        levels: each has norms of its own, since statistics differ from level to level.
        out_channels: of the output.
        bias: what the output's bias begins with.
    """

    def __init__(self, channels: int, depth: int, levels: int, out_channels: int, bias: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_separable(channels, channels) for _ in range(depth))
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01) for _ in range(levels))
            for _ in range(depth)
        )
        self.out = _separable(channels, out_channels)
        nn.init.normal_(self.out[1].weight, std=0.01)  # type: ignore[arg-type]
        nn.init.constant_(self.out[1].bias, bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, level: int) -> Tensor:
        for conv, norms in zip(self.convs, self.norms, strict=True):
            x = F.silu(norms[level](conv(x)))  # type: ignore[index]
        return self.out(x)


def _separable(channels: int, out_channels: int) -> nn.Sequential:
    """A 3x3 convolution of each channel by itself, then a 1x1 with bias."""
    each = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    nn.init.normal_(each.weight, std=math.sqrt(1 / 9))
    return nn.Sequential(each, nn.Conv2d(channels, out_channels, 1))
