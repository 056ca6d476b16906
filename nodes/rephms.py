"""RepHMS of MHAF-YOLO and the large re-parameterised kernels in it."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.rep import branch, merged, yolo_norm
from nodes.reparam import fold_norm
from nodes.sdk.declare import Choices, Dim, Range, component

PAPER = "Yang et al. 2025, arXiv:2502.04656"

SMALLER = {3: (3, 1), 5: (3, 1), 7: (5, 3), 9: (7, 5, 3)}
"""Kernels that train beside one of each size. Beside 3 there is a second 3."""


@component(
    "block/rep",
    title="RepLK convolution",
    paper=f"Ding et al. 2024, arXiv:2311.15599; this form {PAPER}",
    aliases=("UniRepLKNet", "Large kernel", "Dilated reparam block"),
)
class RepLKConv(nn.Module):
    """A depthwise convolution with a large kernel, smaller ones beside it in training; deployed as one.

    Each branch ends with batch norm, and so does their sum.

    Args:
        kernel_size: side of the largest kernel. 3 has 3 and 1 beside it, 5 has 3 and 1, 7 has 5 and 3, 9 has 7, 5
            and 3.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], kernel_size: Annotated[int, Choices(*SMALLER)] = 7) -> None:
        super().__init__()
        sizes = (kernel_size, *SMALLER[kernel_size])
        self.branches = nn.ModuleList(branch(channels, channels, k, groups=channels) for k in sizes)
        self.norm = yolo_norm(channels)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        first, *others = self.branches
        total = first(x)
        for other in others:
            total = total + other(x)
        return self.norm(total)

    def fuse(self) -> nn.Module:
        """One depthwise convolution with bias."""
        return fold_norm(merged(self.branches), self.norm)


class RepBottleneck(nn.Module):
    """Universal inverted bottleneck: 1x1 wider, RepLK, SiLU, 1x1, RepLK, SiLU, 1x1 back. x [B, C, H, W] -> same.

    It has no skip connection.
    """

    def __init__(self, channels: int, expansion: float, kernel_size: int) -> None:
        super().__init__()
        wide = int(expansion * channels)
        self.expand = ConvNormAct(channels, wide, 1)
        self.large1 = RepLKConv(wide, kernel_size)
        self.mix = ConvNormAct(wide, wide, 1)
        self.large2 = RepLKConv(wide, kernel_size)
        self.act = nn.SiLU(inplace=True)
        self.project = ConvNormAct(wide, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix(self.act(self.large1(self.expand(x))))
        return self.project(self.act(self.large2(y)))


@component(
    "block/rep", paper=PAPER, aliases=("MHAF-YOLO block", "RepHELAN", "Re-parameterised heterogeneous multi-scale")
)
class RepHMS(nn.Module):
    """MHAF-YOLO's block: branches in a cascade, each a chain of large-kernel bottlenecks.

    A 1x1 convolution makes `branches` pieces of half the output's channels. The first is kept; the second adds it;
    every further one adds, before each of its bottlenecks, what the same bottleneck of the piece before gave. The
    first piece and all bottlenecks' results are concatenated and fused by a 1x1 convolution.

    Args:
        out_channels: channels it gives.
        branches: pieces, the kept one included.
        depth: bottlenecks of each piece; 1 in the published models.
        expansion: channels inside a bottleneck, in multiples of its own.
        kernel_size: side of the large kernels; it grows with the stage: 3, 5, 7, 9.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 128,
        branches: Annotated[int, Range(2, 8)] = 3,
        depth: Annotated[int, Range(1, 8)] = 1,
        expansion: Annotated[float, Range(1, 8)] = 3.0,
        kernel_size: Annotated[int, Choices(*SMALLER)] = 5,
    ) -> None:
        super().__init__()
        self.count, piece = branches, out_channels // 2
        self.cv1 = ConvNormAct(in_channels, branches * piece, 1)
        self.branches = nn.ModuleList(
            nn.ModuleList(RepBottleneck(piece, expansion, kernel_size) for _ in range(depth))
            for _ in range(branches - 1)
        )
        self.cv2 = ConvNormAct((1 + (branches - 1) * depth) * piece, out_channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        kept, *pieces = self.cv1(x).chunk(self.count, 1)
        results = [kept]
        before: list[Tensor] = []
        pieces[0] = pieces[0] + kept
        for y, chain in zip(pieces, self.branches, strict=True):
            given: list[Tensor] = []
            for i, bottleneck in enumerate(chain.children()):
                y = bottleneck(y + before[i] if before else y)
                given.append(y)
            results += given
            before = given
        return self.cv2(torch.cat(results, 1))
