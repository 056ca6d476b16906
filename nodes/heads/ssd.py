"""SSD's head: default boxes of several shapes on every level, a background class, hard negatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.anchors import decode, encode
from nodes.assign.max_iou import assign_multibox
from nodes.heads.dense import check_labels
from nodes.heads.towers import joined
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, ImageSides, Range, component
from nodes.types import Predictions

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""What a box's changes are multiplied by before the head learns them."""


@component(
    "head",
    title="SSD head",
    paper="Liu et al. 2016, arXiv:1512.02325",
    aliases=("multibox", "single shot detector", "default boxes", "anchors", "detection head"),
)
class SSDHead(nn.Module):
    """One 3x3 convolution a level for the classes, background among them, and one for the boxes.

    Trained with cross-entropy on the boxes that learn an object and on the hardest backgrounds, three for each.

    Args:
        levels: feature maps, finest first; six for SSD300.
        num_classes: number of object classes, background not counted.
        boxes_per_cell: default boxes of each level: 2 squares and both forms of ratio 2 (4), of ratio 3 as well (6).
        scales: side of each level's square in hundredths of the image, and one more for the level after the last.
        steps: pixels between the cells of each level; none spreads them evenly over the image.
        negatives: backgrounds that count for each box with an object.
        cls_gain: weight of the cross-entropy of the classes.
        box_gain: weight of the smooth L1 loss of the boxes.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps, classes [B, A * (K + 1), H_i, W_i] of every
    level, then boxes [B, A * 4, H_i, W_i]; in eval boxes [B, N, 4] in pixels and scores [B, N, K], N default boxes.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[tuple[int, ...], Dim("C_")],
        image_size: Annotated[tuple[int, ...], ImageSides()],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        boxes_per_cell: Annotated[tuple[int, ...], Range(2, 6)] = (4, 6, 6, 6, 4, 4),
        scales: Annotated[tuple[int, ...], Range(1, 200)] = (7, 15, 33, 51, 69, 87, 105),
        steps: Annotated[tuple[int, ...], Range(1, 4096)] = (8, 16, 32, 64, 100, 300),
        negatives: Annotated[int, Range(0, 100)] = 3,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        box_gain: Annotated[float, Range(0, 100)] = 1.0,
    ) -> None:
        super().__init__()
        _check(len(channels), boxes_per_cell, scales, steps)
        self.image_size, self.num_classes, self.negatives = tuple(image_size), num_classes, negatives
        self.steps, self.gains = tuple(steps), {"cls": cls_gain, "box": box_gain}
        for i, count in enumerate(boxes_per_cell):
            self.register_buffer(f"sides{i}", _sides(scales[i], scales[i + 1], count), persistent=False)
        self.register_buffer("weights", torch.tensor(WEIGHTS), persistent=False)
        self.weights: Tensor
        pairs = list(zip(channels, boxes_per_cell, strict=True))
        self.cls_outs = nn.ModuleList(nn.Conv2d(c, a * (num_classes + 1), 3, padding=1) for c, a in pairs)
        self.box_outs = nn.ModuleList(nn.Conv2d(c, a * 4, 3, padding=1) for c, a in pairs)
        for conv in (*self.cls_outs, *self.box_outs):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        cls = tuple(out(x) for out, x in zip(self.cls_outs, levels, strict=True))
        raw = (*cls, *(out(x) for out, x in zip(self.box_outs, levels, strict=True)))
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels and probabilities; that of the background is left out."""
        logits, changes, defaults = self._split(raw)
        return Predictions(decode(defaults, changes / self.weights), logits.softmax(2)[..., 1:])

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each a sum over the number of boxes that learn an object, times its gain.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded. An image without
                objects teaches nothing, as it sets the number of backgrounds.

        Returns:
            `cls` and `box`, scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        logits, changes, defaults = self._split(raw)
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        owner = assign_multibox(defaults, truth, valid)
        there = owner >= 0
        image, place = there.nonzero(as_tuple=True)
        mine = owner[image, place]
        aims = torch.zeros_like(owner)
        aims[image, place] = labels[image, mine] + 1
        cls = F.cross_entropy(logits.transpose(1, 2), aims, reduction="none")  # [B, N]
        # The hardest backgrounds: those whose rank by loss is below their number.
        rank = cls.detach().masked_fill(there, -1).argsort(1, descending=True).argsort(1)
        hard = (rank < self.negatives * there.sum(1, keepdim=True)) & ~there
        wanted = encode(defaults[place], truth[image, mine]) * self.weights
        box = F.smooth_l1_loss(changes[image, place], wanted, reduction="sum")
        count = normaliser(len(image), logits)
        sums = {"cls": cls[there | hard].sum(), "box": box}
        return {name: value / count * self.gains[name] for name, value in sums.items()}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits [B, N, K + 1], changes [B, N, 4] and default boxes [N, 4] in pixels."""
        levels = len(self.cls_outs)
        logits, changes = list(raw[:levels]), list(raw[levels:])
        defaults = torch.cat([self._defaults(i, m) for i, m in enumerate(logits)])
        return joined(logits, self.num_classes + 1), joined(changes, 4), defaults

    def _defaults(self, level: int, like: Tensor) -> Tensor:
        """Corners [H * W * A, 4] of a level's default boxes: cell after cell, a cell's side by side."""
        rows, columns = like.shape[-2:]
        height, width = self.image_size
        steps = (self.steps[level],) * 2 if self.steps else (height / rows, width / columns)
        y = (torch.arange(rows, dtype=torch.float32, device=like.device) + 0.5) * steps[0]
        x = (torch.arange(columns, dtype=torch.float32, device=like.device) + 0.5) * steps[1]
        centres = torch.stack((x.expand(rows, columns), y[:, None].expand(rows, columns)), -1).view(-1, 1, 2)
        half = self.get_buffer(f"sides{level}") * centres.new_tensor((width, height)) / 2
        return torch.cat((centres - half, centres + half), 2).view(-1, 4)


def _sides(scale: int, following: int, count: int) -> Tensor:
    """Width and height [A, 2] of a level's default boxes, as shares of the image, at most 1."""
    own, between = scale / 100, math.sqrt(scale * following) / 100
    sides = [(own, own), (between, between)]
    for ratio in (2, 3)[: (count - 2) // 2]:
        wide, high = own * math.sqrt(ratio), own / math.sqrt(ratio)
        sides += [(wide, high), (high, wide)]
    return torch.tensor(sides).clamp(max=1)


def _check(levels: int, boxes_per_cell: Sequence[int], scales: Sequence[int], steps: Sequence[int]) -> None:
    if len(boxes_per_cell) != levels or len(scales) != levels + 1 or len(steps) not in (0, levels):
        raise ValueError(
            f"{levels} level(s) are wired, boxes_per_cell is for {len(boxes_per_cell)}, scales for {len(scales) - 1} "
            f"and steps for {len(steps)}. Give boxes_per_cell {levels} numbers, scales {levels + 1}, steps {levels} or "
            "none."
        )
    if odd := [count for count in boxes_per_cell if count % 2]:
        raise ValueError(f"boxes_per_cell has {odd[0]}; a cell has 2, 4 or 6 default boxes.")
