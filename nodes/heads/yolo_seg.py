"""YOLO's instance segmentation head: YOLOv8's detection head, with a mask for each box out of shared prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.heads.dense import no_autocast
from nodes.heads.yolov8 import Matched, YOLOv8Head
from nodes.losses.normaliser import normaliser
from nodes.masks import resized, touched
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import MaskPredictions


class Prototypes(nn.Sequential):
    """The maps that masks are sums of, at twice the size of the level they come from.

    Shapes: x [B, C, H, W] -> [B, count, 2H, 2W].
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__(
            ConvNormAct(channels, channels, 3),
            nn.ConvTranspose2d(channels, channels, 2, 2),
            ConvNormAct(channels, channels, 3),
            ConvNormAct(channels, count, 1),
        )


@component(
    "head",
    title="YOLO segmentation head",
    paper="masks: Bolya et al. 2019, YOLACT, arXiv:1904.02689; the rest as the YOLOv8 head",
    aliases=("Segment", "YOLOv8-seg", "YOLACT", "Proto", "instance segmentation", "masks", "YOLOSegHead"),
)
class YOLOSegHead(YOLOv8Head):
    """Finds objects with their masks: YOLOv8's head, and for each cell the coefficients of its object's mask.

    A third tower gives each cell `prototypes` coefficients; the finest level gives as many maps of twice its size. A
    mask is the sigmoid of the sum of these maps, weighted by the coefficients. Wire it to Mask NMS.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        reg_max: bins per side; a side reaches at most (reg_max - 1) strides from the cell's centre.
        prototypes: maps that all masks of an image are made of.
        box_gain: weight of the CIoU loss of the boxes.
        cls_gain: weight of the binary cross-entropy of the classes.
        dfl_gain: weight of the distribution focal loss of the box sides.
        mask_gain: weight of the binary cross-entropy of the masks.
        separable: depthwise convolutions in the towers of the classes, as YOLO11 has them.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, 4 * reg_max + K + P, H_i, W_i] and the
    prototypes [B, P, 2 H_1, 2 W_1]; in eval boxes [B, N, 4] in pixels, scores [B, N, K], coefficients [B, N, P] and
    the prototypes, N cells over all levels.
    """

    task: ClassVar[str] = "segment"

    def __init__(
        self,
        channels: Annotated[tuple[int, ...], Dim("C_")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        reg_max: Annotated[int, Range(2, 64)] = 16,
        prototypes: Annotated[int, Range(1, 256)] = 32,
        box_gain: Annotated[float, Range(0, 100)] = 7.5,
        cls_gain: Annotated[float, Range(0, 100)] = 0.5,
        dfl_gain: Annotated[float, Range(0, 100)] = 1.5,
        mask_gain: Annotated[float, Range(0, 100)] = 7.5,
        separable: bool = False,
    ) -> None:
        super().__init__(channels, strides, num_classes, reg_max, box_gain, cls_gain, dfl_gain, separable)
        self.gains["mask"] = mask_gain
        width = max(channels[0] // 4, prototypes)
        self.mask_towers = nn.ModuleList(
            nn.Sequential(ConvNormAct(c, width, 3), ConvNormAct(width, width, 3), nn.Conv2d(width, prototypes, 1))
            for c in channels
        )
        self.prototypes = Prototypes(channels[0], prototypes)

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | MaskPredictions:
        towers = zip(levels, self.box_towers, self.cls_towers, self.mask_towers, strict=True)
        maps = [torch.cat((box(x), cls(x), mask(x)), 1) for x, box, cls, mask in towers]
        raw = (*maps, self.prototypes(levels[0]))
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> MaskPredictions:  # type: ignore[override]
        """Raw maps to boxes in pixels, probabilities and coefficients, level after level, with the prototypes."""
        maps, coefficients = self._split(raw)
        boxes, scores = super().decode(maps)
        return MaskPredictions(boxes, scores, coefficients, raw[-1].float())

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each already times its gain; their sum is what to minimise.

        `box`, `cls` and `dfl` are the YOLOv8 head's. `mask` is the binary cross-entropy of the mask of each cell that
        answers for an object, summed inside the object's box over the cells there, averaged over the answering cells.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels, `labels` [B, M] int64, -1 where padded, and `masks`
                [B, M, H/4, W/4] of 0 and 1.

        Returns:
            `box`, `cls`, `dfl` and `mask`, scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        maps, coefficients = self._split(raw)
        losses, matched = self.matched_losses(maps, targets)
        losses["mask"] = self._mask_loss(coefficients, raw[-1].float(), matched, targets) * self.gains["mask"]
        return losses

    def _split(self, raw: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The maps of the detection head, and the coefficients [B, N, P] in float32."""
        count = raw[-1].shape[1]
        both = [m.split((m.shape[1] - count, count), 1) for m in raw[:-1]]
        coefficients = torch.cat([c.flatten(2) for _, c in both], 2).float().transpose(1, 2)
        return [m for m, _ in both], coefficients

    def _mask_loss(
        self, coefficients: Tensor, prototypes: Tensor, matched: Matched, targets: dict[str, Tensor]
    ) -> Tensor:
        height, width = prototypes.shape[-2:]
        # The prototypes have half the stride of the level they come from.
        cell = self.strides[0] / 2
        masks, boxes = resized(targets["masks"], height, width), targets["boxes"].float()
        image = matched.image
        answering = normaliser(len(image), prototypes)  # before any return: all processes come here
        counts = torch.bincount(image, minlength=len(prototypes))
        # A row for each answering cell of an image, padded to the image with most of them: one product for the batch.
        row = torch.arange(len(image), device=image.device) - (counts.cumsum(0) - counts)[image]
        wanted = coefficients.new_zeros(len(prototypes), int(counts.max()), coefficients.shape[2])
        wanted = wanted.index_put((image, row), coefficients[image, matched.cell])
        owner = image.new_zeros(wanted.shape[:2]).index_put((image, row), matched.owner)
        used = image.new_zeros(wanted.shape[:2]).index_put((image, row), torch.ones_like(image))
        if not masks.shape[1]:  # no object in the batch: nothing answers
            return wanted.sum()
        with no_autocast(prototypes):
            logits = (wanted @ prototypes.flatten(2)).unflatten(2, (height, width))
        which = torch.arange(len(owner), device=owner.device)[:, None]
        inside = touched(boxes[which, owner], height, width, (cell, cell)) & (used > 0)[..., None, None]
        wrong = F.binary_cross_entropy_with_logits(logits, masks[which, owner], reduction="none") * inside
        return (wrong.sum((2, 3)) / inside.sum((2, 3)).clamp(min=1)).sum() / answering
