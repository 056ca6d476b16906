"""Anchor-based YOLO heads: version 3, version 4 and version 5, which version 7 shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.anchor_shape import Matches, best_shape, like_shapes, like_sides, match_cells
from nodes.conv import ConvNormAct
from nodes.heads.dense import cell_centres, check_labels
from nodes.losses.iou import ciou, iou
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions

COCO_V3 = (10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326)
COCO_V4 = (12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401)
"""Widths and heights of nine anchors in pixels, three a level, finest level first."""

Anchors = Annotated[tuple[int, ...], Range(1, 8192)]
Gain = Annotated[float, Range(0, 100)]
Classes = Annotated[int, Range(1, 10000)]
Channels = Annotated[tuple[int, ...], Dim("C_")]
Strides = Annotated[tuple[int, ...], Stride("levels")]
Raw = tuple[Float[Tensor, "B D H_ W_"], ...]


class AnchorHead(nn.Module):
    """What the three share: raw maps [B, A * (5 + K), H, W] of x, y, w, h, objectness and classes for each anchor.

    Args:
        towers: a module a level, which gives the raw map.
        strides: pixels per cell of each level.
        num_classes: K.
        anchors: width and height of every anchor in pixels, as many a level for each level, finest level first.
        gains: weights of the losses `box`, `obj` and `cls`.
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self, towers: Sequence[nn.Module], strides: tuple[int, ...], num_classes: int, anchors: tuple[int, ...],
        gains: tuple[float, float, float],
    ) -> None:  # fmt: skip
        super().__init__()
        self.strides, self.num_classes = tuple(strides), num_classes
        self.per_cell = anchors_per_cell(anchors, len(strides))
        self.gains = dict(zip(("box", "obj", "cls"), gains, strict=True))
        self.towers = nn.ModuleList(towers)
        sizes = torch.tensor(anchors, dtype=torch.float32).view(len(strides), self.per_cell, 2)
        # Not saved: the anchors are a setting, and the document has them.
        self.register_buffer("anchors", sizes, persistent=False)
        self.anchors: Tensor
        self._reset_biases()

    def _reset_biases(self) -> None:
        """Starts from eight objects in an image of 640 x 640 pixels, any class equally likely."""
        with torch.no_grad():
            for tower, stride in zip(self.towers, self.strides, strict=True):
                bias = _last_bias(tower).view(self.per_cell, -1)
                bias[:, 4] += math.log(8 / (640 / stride) ** 2)
                bias[:, 5:] += math.log(0.6 / self.num_classes)

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> Raw | Predictions:
        raw = tuple(tower(x) for tower, x in zip(self.towers, levels, strict=True))
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps to boxes in pixels and probabilities: objectness times class. N = A cells of every level."""
        values = self._flatten(raw)
        boxes = self._boxes(values[:, :4], *self._cells(raw))
        return Predictions(boxes.transpose(1, 2), (values[:, 4:5].sigmoid() * values[:, 5:].sigmoid()).transpose(1, 2))

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each a sum over the number of matches and already times its gain.

        A batch without objects gives zero for `box` and `cls`.

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
        values, cells = self._flatten(raw), self._cells(raw)
        sizes = truth[..., 2:] - truth[..., :2]
        valid = (labels >= 0) & (sizes > 0).all(-1)
        if truth.shape[1] == 0:
            nothing = labels.new_zeros(0)
            found = Matches(nothing, nothing, nothing)
        else:
            chosen = self._choose(sizes.clamp(min=1e-3), self.anchors) & valid[..., None, None]
            found = self._matches(chosen, truth, raw)
        image, owner, place = found
        mine, wanted = values[image, :, place], truth[image, owner]  # [P, 5 + K], [P, 4]
        box, quality = self._box_loss(mine[:, :4].T, tuple(part[..., place] for part in cells), wanted, raw)
        aims = torch.zeros_like(values[:, 4]).view(-1)
        aims = aims.scatter_reduce(0, image * values.shape[2] + place, quality.detach(), "amax").view(len(values), -1)
        obj = F.binary_cross_entropy_with_logits(values[:, 4], aims, reduction="none")
        obj = obj * self._counts(values, cells, truth, valid, aims)
        classes = F.one_hot(labels[image, owner], self.num_classes).to(mine)
        cls = F.binary_cross_entropy_with_logits(mine[:, 5:], classes, reduction="sum")
        matches = normaliser(len(image), values)
        sums = {"box": box.sum(), "obj": obj.sum(), "cls": cls}
        return {name: value / matches * self.gains[name] for name, value in sums.items()}

    # -- what a version decides --------------------------------------------------------------------------------------

    def _choose(self, sizes: Tensor, anchors: Tensor) -> Tensor:
        """Which anchors [B, M, L, A] learn objects of these sizes [B, M, 2]."""
        raise NotImplementedError

    def _matches(self, chosen: Tensor, truth: Tensor, raw: Sequence[Tensor]) -> Matches:
        grids = [(m.shape[-2], m.shape[-1]) for m in raw]
        return match_cells(chosen, (truth[..., :2] + truth[..., 2:]) / 2, self.strides, grids, neighbours=False)

    def _boxes(self, values: Tensor, corners: Tensor, strides: Tensor, anchors: Tensor) -> Tensor:
        """Corners [..., 4, N] from x, y, w, h [..., 4, N] and the cells' left upper corners, strides, anchors."""
        raise NotImplementedError

    def _box_loss(
        self, values: Tensor, spots: tuple[Tensor, ...], wanted: Tensor, raw: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The loss [P] of P matches, and how good an object each prediction is to claim to be, 0..1.

        `values` are [4, P], `spots` what `_cells` gives for those P, `wanted` corners [P, 4].
        """
        return 1 - ciou(self._boxes(values, *spots).T, wanted), torch.ones_like(values[0])

    def _counts(
        self, values: Tensor, cells: tuple[Tensor, ...], truth: Tensor, valid: Tensor, aims: Tensor
    ) -> Tensor | float:
        """Weights [B, N] of the objectness; zero where it is not to be learned."""
        return 1.0

    # -- shapes ------------------------------------------------------------------------------------------------------

    def _ignoring(
        self, overlap: float, values: Tensor, cells: tuple[Tensor, ...], truth: Tensor, valid: Tensor, aims: Tensor
    ) -> Tensor | float:
        """Leaves out predictions that overlap an object by more than `overlap` and do not answer for it."""
        if truth.shape[1] == 0:
            return 1.0
        with torch.no_grad():
            boxes = self._boxes(values[:, :4], *cells).transpose(1, 2)
            near = (iou(truth[:, :, None], boxes[:, None]) * valid[..., None]).amax(1) > overlap
            return (~near | (aims > 0)).float()

    def _flatten(self, raw: Sequence[Tensor]) -> Tensor:
        """[B, 5 + K, N] of all levels, in float32 whatever the maps are."""
        parts = [m.unflatten(1, (self.per_cell, -1)).transpose(1, 2).flatten(2) for m in raw]
        return torch.cat(parts, 2).float()

    def _cells(self, raw: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Left upper corners [2, N] of the cells in pixels, strides [N], anchors [2, N]."""
        corners, strides, anchors = [], [], []
        for level, stride, sizes in zip(raw, self.strides, self.anchors, strict=True):
            centres, stride_of = cell_centres((level,), (stride,))
            corners.append((centres - stride / 2).repeat(1, self.per_cell))
            strides.append(stride_of.repeat(self.per_cell))
            anchors.append(sizes.T[:, :, None].expand(-1, -1, len(stride_of)).flatten(1))
        return torch.cat(corners, 1), torch.cat(strides), torch.cat(anchors, 1)


@component(
    "head",
    paper="Redmon and Farhadi 2018, arXiv:1804.02767",
    aliases=("YOLO", "anchors", "detection head", "darknet"),
)
class YOLOv3Head(AnchorHead):
    """Anchor-based detection: every anchor of every cell gives a box, an objectness and K classes.

    A 3x3 convolution doubles the channels, a 1x1 gives the outputs. An object is learned by the one anchor of all
    levels that is shaped most like it; other predictions that overlap it well are left alone.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        anchors: width and height of each anchor in pixels, finest level first; these nine are for COCO at 416.
        box_gain: weight of the box loss.
        obj_gain: weight of the objectness.
        cls_gain: weight of the binary cross-entropy of the classes.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, A * (5 + K), H_i, W_i]; in eval
    boxes [B, N, 4] in pixels and scores [B, N, K], N anchors of all cells.
    """

    ignored_above: ClassVar[float] = 0.5

    def __init__(
        self, channels: Channels, strides: Strides, num_classes: Classes = 80, anchors: Anchors = COCO_V3,
        box_gain: Gain = 1.0, obj_gain: Gain = 1.0, cls_gain: Gain = 1.0,
    ) -> None:  # fmt: skip
        towers = _towers(channels, anchors, num_classes)
        super().__init__(towers, strides, num_classes, anchors, (box_gain, obj_gain, cls_gain))

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> Raw | Predictions:
        return super().forward(*levels)

    def _choose(self, sizes: Tensor, anchors: Tensor) -> Tensor:
        return best_shape(sizes, anchors)

    def _boxes(self, values: Tensor, corners: Tensor, strides: Tensor, anchors: Tensor) -> Tensor:
        xy, wh = values[..., :2, :].sigmoid() * strides + corners, _grown(values[..., 2:, :]) * anchors
        return torch.cat((xy - wh / 2, xy + wh / 2), -2)

    def _box_loss(
        self, values: Tensor, spots: tuple[Tensor, ...], wanted: Tensor, raw: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the place in the cell, half the squared error of the log size; small objects up to twice."""
        corners, strides, anchors = spots
        low, high = wanted.T.split(2)
        place = (((low + high) / 2 - corners) / strides).clamp(0, 1)
        xy = F.binary_cross_entropy_with_logits(values[:2], place, reduction="none")
        wh = 0.5 * (values[2:] - ((high - low) / anchors).clamp(min=1e-6).log()).square()
        area = raw[0].shape[-2] * raw[0].shape[-1] * self.strides[0] ** 2
        weight = 2 - ((high - low).prod(0) / area).clamp(max=1)
        return (xy + wh).sum(0) * weight, torch.ones_like(weight)

    def _counts(
        self, values: Tensor, cells: tuple[Tensor, ...], truth: Tensor, valid: Tensor, aims: Tensor
    ) -> Tensor | float:
        return self._ignoring(self.ignored_above, values, cells, truth, valid, aims)


@component(
    "head",
    paper="Bochkovskiy et al. 2020, arXiv:2004.10934; CIoU: Zheng et al. 2020, arXiv:1911.08287",
    aliases=("YOLO", "anchors", "detection head", "darknet", "Scaled-YOLOv4"),
)
class YOLOv4Head(AnchorHead):
    """YOLOv3's network with boxes that reach the cell's border, CIoU loss and several anchors an object.

    The place in the cell is sigmoid * s - (s - 1) / 2, so that its border needs no infinite logit. An object is learned
    by each anchor that overlaps it in shape by more than 0.213, and by the best one in any case.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        anchors: width and height of each anchor in pixels, finest level first; these nine are for COCO at 608.
        box_gain: weight of the CIoU loss.
        obj_gain: weight of the objectness.
        cls_gain: weight of the binary cross-entropy of the classes.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, A * (5 + K), H_i, W_i]; in eval
    boxes [B, N, 4] in pixels and scores [B, N, K], N anchors of all cells.
    """

    ignored_above: ClassVar[float] = 0.7

    def __init__(
        self, channels: Channels, strides: Strides, num_classes: Classes = 80, anchors: Anchors = COCO_V4,
        box_gain: Gain = 5.0, obj_gain: Gain = 1.0, cls_gain: Gain = 1.0,
    ) -> None:  # fmt: skip
        towers = _towers(channels, anchors, num_classes)
        super().__init__(towers, strides, num_classes, anchors, (box_gain, obj_gain, cls_gain))

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> Raw | Predictions:
        return super().forward(*levels)

    def _choose(self, sizes: Tensor, anchors: Tensor) -> Tensor:
        return like_shapes(sizes, anchors, 0.213)

    def _boxes(self, values: Tensor, corners: Tensor, strides: Tensor, anchors: Tensor) -> Tensor:
        # 1.2 at stride 8, 1.1 at 16, 1.05 at 32, and what this halving gives at any other.
        reach = 1 + 1.6 / strides
        xy = (values[..., :2, :].sigmoid() * reach - (reach - 1) / 2) * strides + corners
        wh = _grown(values[..., 2:, :]) * anchors
        return torch.cat((xy - wh / 2, xy + wh / 2), -2)

    def _box_loss(
        self, values: Tensor, spots: tuple[Tensor, ...], wanted: Tensor, raw: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """CIoU loss; a side more than e times too long or short also pays the square of what its log is beyond that.

        The overlap has next to no gradient there, so that a box that grew away in the first steps would stay lost.
        """
        low, high = wanted.T.split(2)
        wrong = values[2:] - ((high - low) / spots[2]).clamp(min=1e-6).log()
        beyond = F.relu(wrong.abs() - 1).square().sum(0)
        loss, quality = super()._box_loss(values, spots, wanted, raw)
        return loss + beyond, quality

    def _counts(
        self, values: Tensor, cells: tuple[Tensor, ...], truth: Tensor, valid: Tensor, aims: Tensor
    ) -> Tensor | float:
        return self._ignoring(self.ignored_above, values, cells, truth, valid, aims)


class Implicit(nn.Module):
    """A 1x1 convolution between a learned vector that is added before and one that multiplies after (YOLOv7)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.before = nn.Parameter(torch.randn(1, channels, 1, 1) * 0.02)
        self.after = nn.Parameter(1 + torch.randn(1, out, 1, 1) * 0.02)
        self.conv = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x + self.before) * self.after

    def fuse(self) -> nn.Module:
        """One convolution that does the same."""
        conv = nn.Conv2d(self.conv.in_channels, self.conv.out_channels, 1, device=self.conv.weight.device)
        with torch.no_grad():
            assert self.conv.bias is not None
            assert conv.bias is not None
            shift = self.conv.bias + (self.conv.weight * self.before).sum((1, 2, 3))
            conv.weight.copy_(self.conv.weight * self.after.view(-1, 1, 1, 1))
            conv.bias.copy_(shift * self.after.flatten())
        return conv


@component(
    "head",
    paper="no paper (YOLOv5); implicit knowledge and matching of YOLOv7: Wang et al. 2022, arXiv:2207.02696",
    aliases=("YOLO", "anchors", "detection head", "YOLOv7", "Detect"),
)
class YOLOv5Head(AnchorHead):
    """Anchor-based detection with a single 1x1 convolution a level, as in YOLOv5 and YOLOv7.

    The place is 2 sigmoid - 0.5 cells, the size (2 sigmoid)^2 anchors. An object is learned by every anchor whose sides
    differ from its own by less than `side_ratio`, in its cell and the two nearest ones.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        anchors: width and height of each anchor in pixels, finest level first; these nine are for COCO at 640.
        side_ratio: an anchor learns objects whose sides are up to this many times longer or shorter.
        implicit: adds and multiplies learned vectors as YOLOv7's head does; they are folded away on export.
        box_gain: weight of the CIoU loss.
        obj_gain: weight of the objectness.
        cls_gain: weight of the binary cross-entropy of the classes.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, A * (5 + K), H_i, W_i]; in eval
    boxes [B, N, 4] in pixels and scores [B, N, K], N anchors of all cells.
    """

    def __init__(
        self, channels: Channels, strides: Strides, num_classes: Classes = 80, anchors: Anchors = COCO_V3,
        side_ratio: Annotated[float, Range(1.1, 16)] = 4.0, implicit: bool = False,
        box_gain: Gain = 5.0, obj_gain: Gain = 1.0, cls_gain: Gain = 1.0,
    ) -> None:  # fmt: skip
        out = anchors_per_cell(anchors, len(channels)) * (5 + num_classes)
        towers = [Implicit(c, out) if implicit else nn.Conv2d(c, out, 1) for c in channels]
        super().__init__(towers, strides, num_classes, anchors, (box_gain, obj_gain, cls_gain))
        self.side_ratio = side_ratio

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> Raw | Predictions:
        return super().forward(*levels)

    def _choose(self, sizes: Tensor, anchors: Tensor) -> Tensor:
        return like_sides(sizes, anchors, self.side_ratio)

    def _matches(self, chosen: Tensor, truth: Tensor, raw: Sequence[Tensor]) -> Matches:
        grids = [(m.shape[-2], m.shape[-1]) for m in raw]
        return match_cells(chosen, (truth[..., :2] + truth[..., 2:]) / 2, self.strides, grids, neighbours=True)

    def _boxes(self, values: Tensor, corners: Tensor, strides: Tensor, anchors: Tensor) -> Tensor:
        near = 2 * values.sigmoid()
        xy, wh = (near[..., :2, :] - 0.5) * strides + corners, near[..., 2:, :].square() * anchors
        return torch.cat((xy - wh / 2, xy + wh / 2), -2)

    def _box_loss(
        self, values: Tensor, spots: tuple[Tensor, ...], wanted: Tensor, raw: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        overlap = ciou(self._boxes(values, *spots).T, wanted)
        return 1 - overlap, overlap.clamp(min=0)


def anchors_per_cell(anchors: Sequence[int], levels: int) -> int:
    """How many anchors a cell has. Raises ValueError when they do not divide among the levels."""
    if not anchors or len(anchors) % (2 * levels):
        raise ValueError(
            f"anchors has {len(anchors)} numbers; {levels} level(s) need a width and a height for as many anchors "
            f"each, so a multiple of {2 * levels}. Mend the anchors, or wire as many levels as they are for."
        )
    return len(anchors) // (2 * levels)


def _towers(channels: Sequence[int], anchors: Sequence[int], num_classes: int) -> list[nn.Module]:
    out = anchors_per_cell(anchors, len(channels)) * (5 + num_classes)
    return [
        nn.Sequential(
            ConvNormAct(c, 2 * c, 3, activation="leaky_relu", eps=1e-5, momentum=0.1), nn.Conv2d(2 * c, out, 1)
        )
        for c in channels
    ]


def _last_bias(tower: nn.Module) -> Tensor:
    bias = [m for m in tower.modules() if isinstance(m, nn.Conv2d)][-1].bias
    assert bias is not None
    return bias


def _grown(values: Tensor) -> Tensor:
    """e to the value, at most 1000 times an anchor: an untrained network must not give infinite boxes."""
    return values.clamp(max=math.log(1000)).exp()
