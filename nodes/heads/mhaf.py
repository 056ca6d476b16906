"""MHAF-YOLO's head: YOLOv10's pair of heads with lighter towers for the box."""

from __future__ import annotations

from typing import Annotated, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.heads.yolov8 import YOLOv8Head, separable_tower
from nodes.heads.yolov10 import YOLOv10Head
from nodes.rephms import RepLKConv
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions

PAPER = "Yang et al. 2025, arXiv:2502.04656; two heads: Wang et al. 2024, YOLOv10, arXiv:2405.14458"


class LightHead(YOLOv8Head):
    """YOLOv8's head with depthwise towers: a large kernel for the box, two 3x3 for the classes."""

    def _towers(self, channels: tuple[int, ...]) -> tuple[nn.ModuleList, nn.ModuleList]:
        box = max(16, channels[0] // 4, 4 * self.reg_max)
        cls = max(channels[0], min(self.num_classes, 100))
        return (
            nn.ModuleList(_box_tower(c, box, 4 * self.reg_max) for c in channels),
            nn.ModuleList(separable_tower(c, cls, self.num_classes) for c in channels),
        )


@component(
    "head",
    title="MHAF-YOLO head",
    paper=PAPER,
    aliases=("dual assignment", "NMS-free", "one-to-one", "detection head", "MHAFHead"),
)
class MHAFHead(YOLOv10Head):
    """Two heads learn side by side: ten cells an object in one, a single cell in the other, which is used in eval.

    What the single-cell head finds needs no suppression: wire it to Top-k. It does not train what comes before it;
    deployed, the other one is left out.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        reg_max: bins per side; a side reaches at most (reg_max - 1) strides from the cell's centre.
        box_gain: weight of the CIoU loss of the boxes.
        cls_gain: weight of the binary cross-entropy of the classes.
        dfl_gain: weight of the distribution focal loss of the box sides.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of raw maps [B, 4 * reg_max + K, H_i, W_i], those of the
    head with ten cells, then those of the other; in eval boxes [B, N, 4] in pixels and scores [B, N, K], N cells over
    all levels.
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
    ) -> None:
        super().__init__(channels, strides, num_classes, reg_max, box_gain, cls_gain, dfl_gain)

    @staticmethod
    def _single(
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        num_classes: int,
        reg_max: int,
        gains: tuple[float, float, float],
    ) -> YOLOv8Head:
        return LightHead(channels, strides, num_classes, reg_max, *gains)

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        return super().forward(*levels)


def _box_tower(channels: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNormAct(channels, width, 1), RepLKConv(width, 5), ConvNormAct(width, width, 1), nn.Conv2d(width, out, 1)
    )
