"""Slim-neck's blocks: half of the channels by a dense convolution, half by a depthwise one, mixed by a shuffle.

Reference: Li et al. 2022, arXiv:2206.02424.
"""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, ConvNormAct
from nodes.sdk.declare import Choices, Dim, Range, component

PAPER = "Li et al. 2022, arXiv:2206.02424"


@component("conv", paper=PAPER, aliases=("Slim-neck", "Ghost shuffle convolution", "GSConv"))
class GSConv(nn.Module):
    """A convolution to half the channels, a depthwise 5x5 of that for the other half, and the two shuffled together.

    Args:
        out_channels: channels it gives, a multiple of 4.
        kernel_size: side of the dense convolution's kernel; odd.
        stride: 2 halves the size.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(4, 65536, 4)] = 64,
        kernel_size: Annotated[int, Choices(1, 3, 5)] = 3,
        stride: Annotated[int, Range(1, 8)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "mish",
    ) -> None:
        super().__init__()
        if out_channels % 4:
            raise ValueError(
                f"out_channels is {out_channels}, must be a multiple of 4, since its halves are shuffled in pairs. "
                f"Use {out_channels // 4 * 4 + 4}."
            )
        half = out_channels // 2
        self.dense = ConvNormAct(in_channels, half, kernel_size, stride, activation=activation)
        self.depthwise = ConvNormAct(half, half, 5, groups=half, activation=activation)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        x = self.dense(x)
        x = torch.cat((x, self.depthwise(x)), 1)
        # Even channels first, then odd ones: both halves hold a quarter of each kind from either convolution.
        return x.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)


@component("block/gs", title="GS bottleneck", paper=PAPER, aliases=("Slim-neck", "GSBottleneck"))
class GSBottleneck(nn.Module):
    """Two GSConvs, 1x1 and 3x3, added to a 1x1 convolution of the input.

    Args:
        out_channels: channels it gives, a multiple of 8.
        expand: channels between the two over those it gives; 1 inside VoV-GSCSP.
        activation: function after the norms, except the last of both paths.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(4, 65536, 4)] = 64,
        expand: Annotated[float, Choices(0.5, 1.0)] = 0.5,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "mish",
    ) -> None:
        super().__init__()
        inner = int(out_channels * expand)
        self.cv1 = GSConv(in_channels, inner, 1, activation=activation)
        self.cv2 = GSConv(inner, out_channels, 3, activation="none")
        self.side = ConvNormAct(in_channels, out_channels, 1, activation="none")

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.cv2(self.cv1(x)) + self.side(x)


@component("block/gs", title="VoV-GSCSP", paper=PAPER, aliases=("Slim-neck", "VoVGSCSP", "CSP"))
class VoVGSCSP(nn.Module):
    """A cross-stage-partial block of GS bottlenecks: one 1x1 path goes through them, one around, a 1x1 joins both.

    The published code also builds a 3x3 convolution that it never runs; it is not here, so the count is smaller.

    Args:
        out_channels: channels it gives, a multiple of 8.
        depth: bottlenecks in the chain.
        activation: function after the norms.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(8, 65536, 8)] = 128,
        depth: Annotated[int, Range(1, 64)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "mish",
    ) -> None:
        super().__init__()
        if out_channels % 8:
            raise ValueError(
                f"out_channels is {out_channels}, must be a multiple of 8. Use {out_channels // 8 * 8 + 8}."
            )
        half = out_channels // 2
        self.cv1 = ConvNormAct(in_channels, half, 1, activation=activation)
        self.cv2 = ConvNormAct(in_channels, half, 1, activation=activation)
        self.m = nn.Sequential(*(GSBottleneck(half, half, 1.0, activation) for _ in range(depth)))
        self.cv3 = ConvNormAct(2 * half, out_channels, 1, activation=activation)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))
