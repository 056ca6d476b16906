"""YOLOv10's compact inverted block, alone and in a CSP block."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.rep import branch, merged
from nodes.sdk.declare import Dim, Range, component

PAPER = "Wang et al. 2024, YOLOv10, arXiv:2405.14458"


class LargeDepthwise(nn.Module):
    """A depthwise 7x7 with a 3x3 beside it in training, and SiLU; deployed as one. x [B, C, H, W] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branch(channels, channels, k, groups=channels) for k in (7, 3))
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        large, small = self.branches
        return self.act(large(x) + small(x))

    def fuse(self) -> nn.Module:
        """One depthwise convolution with bias, and SiLU."""
        return nn.Sequential(merged(self.branches), nn.SiLU(inplace=True))


@component("block/csp", title="CIB", paper=PAPER, aliases=("Compact inverted block", "YOLOv10 block"))
class CIB(nn.Module):
    """Depthwise 3x3, 1x1 wider, depthwise 3x3 (or a large kernel), 1x1 back, depthwise 3x3; added to the input.

    Args:
        out_channels: channels it gives.
        ratio: half of the channels inside, as a share of those it gives.
        large: a depthwise 7x7, with a 3x3 beside it in training, in the middle.
        shortcut: whether the input is added where the channels stay.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        ratio: Annotated[float, Range(0.125, 4.0)] = 0.5,
        large: bool = False,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        wide = 2 * max(1, int(out_channels * ratio))
        self.layers = nn.Sequential(
            ConvNormAct(in_channels, in_channels, 3, groups=in_channels),
            ConvNormAct(in_channels, wide, 1),
            LargeDepthwise(wide) if large else ConvNormAct(wide, wide, 3, groups=wide),
            ConvNormAct(wide, out_channels, 1),
            ConvNormAct(out_channels, out_channels, 3, groups=out_channels),
        )
        self.add = shortcut and in_channels == out_channels

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        y = self.layers(x)
        return x + y if self.add else y


@component("block/csp", title="C2f of CIBs", paper=PAPER, aliases=("C2fCIB", "YOLOv10 block"))
class C2fCIB(nn.Module):
    """C2f whose bottlenecks are compact inverted blocks.

    Args:
        out_channels: channels it gives.
        depth: blocks in the chain.
        large: a depthwise 7x7 in each block.
        shortcut: whether each block adds its input.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 1,
        large: bool = False,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.cv1 = ConvNormAct(in_channels, 2 * half, 1)
        self.m = nn.ModuleList(CIB(half, half, 1.0, large, shortcut) for _ in range(depth))
        self.cv2 = ConvNormAct((2 + depth) * half, out_channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        kept = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            kept.append(block(kept[-1]))
        return self.cv2(torch.cat(kept, 1))
