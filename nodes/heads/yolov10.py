"""YOLOv10's head: two heads of YOLOv8's kind, of which the one that needs no suppression is deployed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from nodes.heads.yolov8 import YOLOv8Head
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions


@component(
    "head",
    title="YOLOv10 head",
    paper="Wang et al. 2024, arXiv:2405.14458",
    aliases=("v10Detect", "dual assignment", "NMS-free", "one-to-one", "detection head", "YOLOv10Head"),
)
class YOLOv10Head(nn.Module):
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
        super().__init__()
        self.strides, self.num_classes = tuple(strides), num_classes
        gains = (box_gain, cls_gain, dfl_gain)
        self.many, self.one = (self._single(channels, strides, num_classes, reg_max, gains) for _ in range(2))
        self.one.top_k = 1
        # One set of fixed weights serves both, as in the published weights.
        self.many.dfl = self.one.dfl

    @staticmethod
    def _single(
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        num_classes: int,
        reg_max: int,
        gains: tuple[float, float, float],
    ) -> YOLOv8Head:
        """One of the two."""
        return YOLOv8Head(channels, strides, num_classes, reg_max, *gains, separable=True)

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | Predictions:
        if not self.training:
            return self.one(*levels)
        return (*self.many(*levels), *self.one(*(x.detach() for x in levels)))

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """Raw maps, of which the last half counts, to boxes in pixels and probabilities."""
        return self.one.decode(raw[-len(self.strides) :])

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of both heads, as YOLOv8's head has them.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `box`, `cls` and `dfl` of the head with ten cells, `one_box`, `one_cls` and `one_dfl` of the other.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        n = len(self.strides)
        one = self.one.loss(raw[n:], targets)
        return {**self.many.loss(raw[:n], targets), **{f"one_{name}": value for name, value in one.items()}}

    def fuse(self) -> nn.Module:
        """The head that is deployed."""
        return self.one
