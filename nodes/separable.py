"""YOLOv6-Lite's blocks: separable convolutions with a norm after each half, and a CSP block of them.

Reference: Li et al. 2023, YOLOv6 v3.0, arXiv:2301.05586, and its Lite models.
"""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.sdk.declare import Choices, Dim, Range, component

PAPER = "YOLOv6-Lite: Li et al. 2023, arXiv:2301.05586"
ACT = {"activation": "hardswish"}


@component("conv", title="Separable conv", paper=PAPER, aliases=("DPBlock", "Depthwise separable", "YOLOv6-Lite"))
class SeparableConv(nn.Module):
    """A depthwise convolution and a 1x1, both with bias, batch norm and hard swish.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the depthwise kernel; odd.
        stride: 2 halves the size.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 96,
        kernel_size: Annotated[int, Choices(3, 5, 7)] = 5,
        stride: Annotated[int, Range(1, 8)] = 1,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels),
            nn.BatchNorm2d(in_channels, eps=1e-3, momentum=0.03),
            nn.Hardswish(inplace=True),
            nn.Conv2d(in_channels, out_channels, 1),
            nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.03),
            nn.Hardswish(inplace=True),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return self.layers(x)


@component("block/csp", title="Separable CSP", paper=PAPER, aliases=("CSPBlock", "YOLOv6-Lite block"))
class SeparableCSP(nn.Module):
    """A cross-stage-partial block around one 1x1 and one separable convolution.

    Args:
        out_channels: channels it gives, an even number.
        kernel_size: side of the depthwise kernel; odd.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 2)] = 96,
        kernel_size: Annotated[int, Choices(3, 5, 7)] = 5,
    ) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"out_channels is {out_channels}, must be even. Use {out_channels + 1}.")
        half = out_channels // 2
        self.cv1 = ConvNormAct(in_channels, half, 1, **ACT)  # type: ignore[arg-type]
        self.cv2 = ConvNormAct(in_channels, half, 1, **ACT)  # type: ignore[arg-type]
        self.inner = nn.Sequential(
            ConvNormAct(half, half, 1, **ACT),  # type: ignore[arg-type]
            SeparableConv(half, half, kernel_size),
        )
        self.cv3 = ConvNormAct(2 * half, out_channels, 1, **ACT)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.cv3(torch.cat((self.inner(self.cv1(x)), self.cv2(x)), 1))
