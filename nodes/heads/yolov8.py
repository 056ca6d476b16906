"""YOLOv8's detection head: anchor-free, separate towers for box and class, box sides as distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.task_aligned import assign_task_aligned
from nodes.conv import ConvNormAct
from nodes.heads.dense import cell_centres, check_labels, no_autocast
from nodes.losses.dfl import distribution_focal_loss, expected_distance
from nodes.losses.iou import ciou
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions


class Matched(NamedTuple):
    """Which P cells of a batch answer for an object, from the assignment.

    Attributes:
        image: [P] index of the image, rising.
        cell: [P] index of the cell over all levels.
        owner: [P] row of the object in the image's targets.
        weight: [P] the class score to learn, which also weights the box losses.
    """

    image: Tensor
    cell: Tensor
    owner: Tensor
    weight: Tensor


@component(
    "head",
    paper="no paper; distribution focal loss: Li et al. 2020, arXiv:2006.04388; assignment: Feng et al. 2021, "
    "arXiv:2108.07755; CIoU: Zheng et al. 2020, arXiv:1911.08287",
    aliases=("Detect", "YOLO", "YOLO11", "YOLO12", "detection head", "anchor-free", "DFL"),
)
class YOLOv8Head(nn.Module):
    """Detects objects on every pyramid level, one box and K class scores per cell.

    Each level has two towers of two 3x3 convolutions and a 1x1: one for the distances from the cell's centre to the
    four sides of the box, each a distribution over `reg_max` bins of one stride, one for the classes. YOLO11 and YOLO12
    have depthwise convolutions with 1x1s behind them in the tower of the classes.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        reg_max: bins per side; a side reaches at most (reg_max - 1) strides from the cell's centre.
        box_gain: weight of the CIoU loss of the boxes.
        cls_gain: weight of the binary cross-entropy of the classes.
        dfl_gain: weight of the distribution focal loss of the box sides.
        separable: depthwise convolutions in the towers of the classes, as YOLO11 has them.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, 4 * reg_max + K, H_i, W_i]; in eval
    boxes [B, N, 4] in pixels and scores [B, N, K], N cells over all levels.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[tuple[int, ...], Dim("C_")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        reg_max: Annotated[int, Range(2, 64)] = 16,
        box_gain: Annotated[float, Range(0, 100)] = 7.5,
        cls_gain: Annotated[float, Range(0, 100)] = 0.5,
        dfl_gain: Annotated[float, Range(0, 100)] = 1.5,
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes, self.reg_max = tuple(strides), num_classes, reg_max
        self.separable = separable
        self.gains = {"box": box_gain, "cls": cls_gain, "dfl": dfl_gain}
        self.top_k = 10  # cells that learn an object
        self.box_towers, self.cls_towers = self._towers(tuple(channels))
        # Fixed weights 0, 1, ..., reg_max - 1: turns a distribution into its mean. A parameter, so that it is counted
        # and saved as in YOLOv8's own weights.
        self.dfl = nn.Conv2d(reg_max, 1, 1, bias=False).requires_grad_(False)
        self.reset_parameters()

    def _towers(self, channels: tuple[int, ...]) -> tuple[nn.ModuleList, nn.ModuleList]:
        """A tower for the box and one for the classes of each level."""
        box = max(16, channels[0] // 4, 4 * self.reg_max)
        cls = max(channels[0], min(self.num_classes, 100))
        make = separable_tower if self.separable else _tower
        return (
            nn.ModuleList(_tower(c, box, 4 * self.reg_max) for c in channels),
            nn.ModuleList(make(c, cls, self.num_classes) for c in channels),
        )

    def reset_parameters(self) -> None:
        """Sets the fixed weights, and biases that start from few objects and small boxes."""
        with torch.no_grad():
            self.dfl.weight.copy_(torch.arange(self.reg_max).view(1, -1, 1, 1))
            for box, cls, stride in zip(self.box_towers, self.cls_towers, self.strides, strict=True):
                (*_, box_bias), (*_, cls_bias) = box.parameters(), cls.parameters()
                box_bias.fill_(1.0)
                # About five objects in an image of 640 x 640 pixels, any class equally likely.
                cls_bias.fill_(math.log(5 / self.num_classes / (640 / stride) ** 2))

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        raw = tuple(
            torch.cat((box(x), cls(x)), 1) for x, box, cls in zip(levels, self.box_towers, self.cls_towers, strict=True)
        )
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps [B, 4 * reg_max + K, H_i, W_i] to boxes in pixels and probabilities, level after level."""
        box_logits, cls_logits = self._flatten(raw)
        boxes = self._boxes(box_logits, *cell_centres(raw, self.strides))
        return Predictions(boxes.transpose(1, 2), cls_logits.sigmoid().transpose(1, 2))

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each already times its gain; their sum is what to minimise.

        All three are sums over the batch, over the sum of the target scores, so that they do not grow with the batch.
        A batch without objects gives zero for `box` and `dfl`.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `box`, `cls` and `dfl`, scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        return self.matched_losses(raw, targets)[0]

    def matched_losses(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> tuple[dict[str, Tensor], Matched]:
        """What `loss` returns, with the cells that answered for an object, for a head that learns more from them."""
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        box_logits, cls_logits = self._flatten(raw)
        points, strides = cell_centres(raw, self.strides)
        with torch.no_grad():
            predicted = self._boxes(box_logits, points, strides).transpose(1, 2)
            wanted = labels.clamp(min=0)[..., None].expand(-1, -1, predicted.shape[1])
            class_scores = cls_logits.gather(1, wanted).sigmoid()  # [B, M, N]
        assigned = assign_task_aligned(
            class_scores, predicted, points.T, truth, labels >= 0,
            top_k=self.top_k, smallest=float(min(self.strides)),
        )  # fmt: skip
        image, cell = assigned.positive.nonzero(as_tuple=True)
        matched = assigned.owner[image, cell]
        weight = assigned.score[image, cell]
        total = normaliser(weight.sum(), cls_logits)
        # Binary cross-entropy with logits x and targets t is softplus(x) - x t, and t is zero nearly everywhere.
        hit = cls_logits[image, labels[image, matched], cell]
        cls = F.softplus(cls_logits).sum() - (hit * weight).sum()
        box, dfl = self._box_losses(
            box_logits[image, :, cell], points[:, cell].T, strides[cell, None], truth[image, matched]
        )
        sums = {"box": (box * weight).sum(), "cls": cls, "dfl": (dfl * weight).sum()}
        losses = {name: value / total * self.gains[name] for name, value in sums.items()}
        return losses, Matched(image, cell, matched, weight)

    def _boxes(self, logits: Tensor, points: Tensor, strides: Tensor) -> Tensor:
        """Corners [B, 4, N] in pixels from box logits [B, 4R, N], cell centres [2, N] and strides [N]."""
        batch, _, cells = logits.shape
        sides = logits.view(batch, 4, self.reg_max, cells).transpose(1, 2).softmax(1)  # [B, R, 4, N]
        with no_autocast(sides):
            distances = F.conv2d(sides, self.dfl.weight.float()).squeeze(1) * strides
        return torch.cat((points - distances[:, :2], points + distances[:, 2:]), 1)

    def _box_losses(self, logits: Tensor, points: Tensor, strides: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """CIoU and distribution focal loss [P] of P positives: logits [P, 4R], points [P, 2], strides [P, 1]."""
        logits = logits.view(-1, 4, self.reg_max)
        distances = expected_distance(logits) * strides
        predicted = torch.cat((points - distances[:, :2], points + distances[:, 2:]), 1)
        wanted = torch.cat((points - truth[:, :2], truth[:, 2:] - points), 1) / strides
        return 1 - ciou(predicted, truth), distribution_focal_loss(logits, wanted).mean(1)

    def _flatten(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Box logits [B, 4R, N] and class logits [B, K, N] of all levels, in float32 whatever the maps are."""
        joined = torch.cat([m.flatten(2) for m in raw], 2).float()
        # split, not two slices: the gradient of a split is one cat, that of each slice a tensor of zeros as large again
        box, cls = joined.split((4 * self.reg_max, self.num_classes), 1)
        return box, cls


def _tower(channels: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(channels, width, 3), ConvNormAct(width, width, 3), nn.Conv2d(width, out, 1))


def separable_tower(channels: int, width: int, out: int) -> nn.Sequential:
    """Twice a depthwise 3x3 with a 1x1 behind it, and the 1x1 that gives `out` channels."""
    layers: list[nn.Module] = []
    for c in (channels, width):
        layers += [ConvNormAct(c, c, 3, groups=c), ConvNormAct(c, width, 1)]
    return nn.Sequential(*layers, nn.Conv2d(width, out, 1))
