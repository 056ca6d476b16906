"""YOLOX's head: no anchors, separate towers for classes and boxes, and cells chosen by SimOTA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.sim_ota import assign_sim_ota
from nodes.conv import ConvNormAct
from nodes.heads.dense import cell_centres, check_labels
from nodes.heads.towers import RARE, joined
from nodes.losses.iou import iou
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions

LARGEST = 12.0
"""Limit of a logarithmic side: e^12 cells, so that an untrained network gives no infinite boxes."""


@component(
    "head",
    title="YOLOX head",
    paper="Ge et al. 2021, arXiv:2107.08430",
    aliases=("YOLOX", "decoupled head", "SimOTA", "anchor-free", "detection head", "YOLOXHead"),
)
class YOLOXHead(nn.Module):
    """Anchor-free detection with two towers a level: one for the classes, one for the box and the objectness.

    A cell gives its box's centre as an offset from the cell's corner and its sides as logarithms of cells.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        feat_channels: channels of the towers; 0 for those of the finest level.
        tower_depth: 3x3 convolutions of a tower.
        box_gain: weight of the loss of the boxes, one minus the squared IoU.
        obj_gain: weight of the cross-entropy of the objectness.
        cls_gain: weight of the cross-entropy of the classes.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, 4 + 1 + K, H_i, W_i]; in eval boxes
    [B, N, 4] in pixels and scores [B, N, K], N cells of all levels.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[tuple[int, ...], Dim("C_")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        feat_channels: Annotated[int, Range(0, 4096, 8)] = 0,
        tower_depth: Annotated[int, Range(0, 8)] = 2,
        box_gain: Annotated[float, Range(0, 100)] = 5.0,
        obj_gain: Annotated[float, Range(0, 100)] = 1.0,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes = tuple(strides), num_classes
        self.gains = {"box": box_gain, "obj": obj_gain, "cls": cls_gain}
        width = feat_channels or channels[0]
        self.cls_towers = nn.ModuleList(_tower(c, width, tower_depth) for c in channels)
        self.box_towers = nn.ModuleList(_tower(c, width, tower_depth) for c in channels)
        last = [width if tower_depth else c for c in channels]
        self.cls_outs = nn.ModuleList(_rare(nn.Conv2d(c, num_classes, 1)) for c in last)
        self.box_outs = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in last)
        self.obj_outs = nn.ModuleList(_rare(nn.Conv2d(c, 1, 1)) for c in last)

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        raw = []
        for i, x in enumerate(levels):
            seen = self.box_towers[i](x)
            classes = self.cls_outs[i](self.cls_towers[i](x))
            raw.append(torch.cat((self.box_outs[i](seen), self.obj_outs[i](seen), classes), 1))
        return tuple(raw) if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels and probabilities: objectness times class."""
        values, points, strides = self._split(raw)
        return Predictions(_boxes(values, points, strides), values[..., 4:5].sigmoid() * values[..., 5:].sigmoid())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each a sum over the number of cells that learn an object, times its gain.

        The objectness aims at 1 where a cell learns an object; its class at the overlap of its box with the object.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `box`, `obj` and `cls`, scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        values, points, strides = self._split(raw)
        boxes = _boxes(values, points, strides)
        with torch.no_grad():
            scores = (values[..., 4:5].sigmoid() * values[..., 5:].sigmoid()).sqrt()
        valid = (labels >= 0) & ((truth[..., 2:] - truth[..., :2]) > 0).all(-1)
        found = assign_sim_ota(scores, boxes, points.T, strides, truth, labels, valid)
        image, cell = found.positive.nonzero(as_tuple=True)
        owner = found.owner[image, cell]
        box = (1 - iou(boxes[image, cell], truth[image, owner]).square()).sum()
        obj = F.binary_cross_entropy_with_logits(values[..., 4], found.positive.float(), reduction="sum")
        aims = torch.zeros(len(image), self.num_classes, device=values.device)
        aims[torch.arange(len(image), device=values.device), labels[image, owner]] = found.score[image, cell]
        cls = F.binary_cross_entropy_with_logits(values[image, cell, 5:], aims, reduction="sum")
        sums, count = {"box": box, "obj": obj, "cls": cls}, normaliser(len(image), values)
        return {name: value / count * self.gains[name] for name, value in sums.items()}

    def _split(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Values [B, N, 4 + 1 + K] in float32, centres of the cells [2, N] and strides [N]."""
        return joined(list(raw), 5 + self.num_classes), *cell_centres(raw, self.strides)


def _tower(in_channels: int, width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ConvNormAct(width if i else in_channels, width, 3) for i in range(depth)))


def _rare(conv: nn.Conv2d) -> nn.Conv2d:
    assert conv.bias is not None
    nn.init.constant_(conv.bias, RARE)
    return conv


def _boxes(values: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Corners [B, N, 4] in pixels; an offset of 0 is the cell's left upper corner."""
    step = strides[:, None]
    middle = points.T - step / 2 + values[..., :2] * step
    half = values[..., 2:4].clamp(max=LARGEST).exp() * step / 2
    return torch.cat((middle - half, middle + half), -1)
