"""MHAF-YOLO's fusion nodes: maps of neighbouring sizes brought to one, joined, and mixed by a RepHMS block.

Reference: Yang et al. 2024, MAF-YOLO, arXiv:2407.04381; 2025, MHAF-YOLO, arXiv:2502.04656.
"""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.fitting import fitted
from nodes.rephms import PAPER, SMALLER, RepHMS
from nodes.sdk.declare import Choices, Dim, Range, component


class _AssistedFusion(nn.Module):
    """Brings maps to the size of the first, by averaging or repeating; joins and mixes them."""

    def __init__(
        self,
        channels: int,
        others: tuple[int, ...],
        out_channels: int,
        branches: int,
        expansion: float,
        kernel_size: int,
    ) -> None:
        super().__init__()
        total = channels + sum(others)
        self.mix = RepHMS(total, out_channels, branches, expansion=expansion, kernel_size=kernel_size)

    def forward(self, same: Tensor, *others: Tensor) -> Tensor:
        return self.mix(torch.cat([same, *(fitted(x, *same.shape[-2:]) for x in others)], 1))


@component(
    "fusion", title="SAF", paper=PAPER, aliases=("Superficial assisted fusion", "MAFPN", "MHAF-YOLO", "MAF-YOLO")
)
class SAF(_AssistedFusion):
    """Superficial assisted fusion: a level of the backbone with the shallower one, and deeper ones where there are any.

    Args:
        same: the map whose size counts.
        others: the shallower map of the backbone, the deeper one, and the deeper one of the neck.
        out_channels: channels it gives.
        branches: pieces of the RepHMS block, the kept one included.
        expansion: channels inside its bottlenecks, in multiples of their own.
        kernel_size: side of its large kernels.

    Shapes: same [B, C, H, W], others [B, C_i, H_i, W_i] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        others: Annotated[tuple[int, ...], Dim("C_")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 96,
        branches: Annotated[int, Range(2, 8)] = 2,
        expansion: Annotated[float, Range(1, 8)] = 3.0,
        kernel_size: Annotated[int, Choices(*SMALLER)] = 7,
    ) -> None:
        super().__init__(channels, others, out_channels, branches, expansion, kernel_size)

    def forward(self, same: Float[Tensor, "B C H W"], *others: Float[Tensor, "B C_ H_ W_"]) -> Float[Tensor, "B D H W"]:
        return super().forward(same, *others)


@component("fusion", title="AAF", paper=PAPER, aliases=("Advanced assisted fusion", "MAFPN", "MHAF-YOLO", "MAF-YOLO"))
class AAF(_AssistedFusion):
    """Advanced assisted fusion: a level of the path down with its neighbours and with the finer level of the path up.

    Args:
        same: the map whose size counts.
        others: the finer result brought to this size, and the finer and the coarser map of the path down.
        out_channels: channels it gives.
        branches: pieces of the RepHMS block, the kept one included.
        expansion: channels inside its bottlenecks, in multiples of their own.
        kernel_size: side of its large kernels.

    Shapes: same [B, C, H, W], others [B, C_i, H_i, W_i] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        others: Annotated[tuple[int, ...], Dim("C_")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 96,
        branches: Annotated[int, Range(2, 8)] = 2,
        expansion: Annotated[float, Range(1, 8)] = 3.0,
        kernel_size: Annotated[int, Choices(*SMALLER)] = 7,
    ) -> None:
        super().__init__(channels, others, out_channels, branches, expansion, kernel_size)

    def forward(self, same: Float[Tensor, "B C H W"], *others: Float[Tensor, "B C_ H_ W_"]) -> Float[Tensor, "B D H W"]:
        return super().forward(same, *others)
