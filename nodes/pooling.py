"""Pooling, and the spatial pyramid that pools at several sizes."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.sdk.declare import Dim, Range, component


def _check_padding(padding: int, kernel_size: int) -> None:
    if padding > kernel_size // 2:
        raise ValueError(
            f"padding is {padding}, must be at most half of kernel_size {kernel_size}. Use {kernel_size // 2}."
        )


@component("pooling", aliases=("MaxPool2d",))
class MaxPool(nn.Module):
    """Keeps the strongest activation of each window.

    Args:
        kernel_size: side of the window.
        stride: 2 halves the size.
        padding: rows and columns added around; at most half the window.

    Shapes: x [B, C, H, W] -> [B, C, H/stride, W/stride].
    """

    def __init__(
        self,
        kernel_size: Annotated[int, Range(1, 64)] = 2,
        stride: Annotated[int, Range(1, 64)] = 2,
        padding: Annotated[int, Range(0, 32)] = 0,
    ) -> None:
        super().__init__()
        _check_padding(padding, kernel_size)
        self.pool = nn.MaxPool2d(kernel_size, stride, padding)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H/s W/s"]:
        return self.pool(x)


@component("pooling", aliases=("AvgPool2d", "Average pool"))
class AvgPool(nn.Module):
    """Averages each window; what padding adds does not count.

    Args:
        kernel_size: side of the window.
        stride: 2 halves the size.
        padding: rows and columns added around; at most half the window.

    Shapes: x [B, C, H, W] -> [B, C, H/stride, W/stride].
    """

    def __init__(
        self,
        kernel_size: Annotated[int, Range(1, 64)] = 2,
        stride: Annotated[int, Range(1, 64)] = 2,
        padding: Annotated[int, Range(0, 32)] = 0,
    ) -> None:
        super().__init__()
        _check_padding(padding, kernel_size)
        self.pool = nn.AvgPool2d(kernel_size, stride, padding, count_include_pad=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H/s W/s"]:
        return self.pool(x)


@component("pooling", aliases=("GAP", "AdaptiveAvgPool2d", "Global average pool"))
class GlobalAvgPool(nn.Module):
    """Averages each channel over the whole map.

    Shapes: x [B, C, H, W] -> [B, C, 1, 1].
    """

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C 1 1"]:
        return x.mean((2, 3), keepdim=True)


@component(
    "pooling", aliases=("Spatial pyramid pooling", "SPP"), paper="He et al. 2015, arXiv:1406.4729; fast form YOLOv5"
)
class SPPF(nn.Module):
    """Spatial pyramid pooling, fast: three max-pools in a row see 5, 9 and 13 cells around each place.

    A 1x1 convolution to half the channels, three chained max-pools, the four results concatenated and fused.

    Args:
        out_channels: channels it gives.
        kernel_size: side of each window; odd.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 256,
        kernel_size: Annotated[int, Range(3, 31, 2)] = 5,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, must be odd. Use {kernel_size + 1}.")
        half = max(1, in_channels // 2)
        self.cv1 = ConvNormAct(in_channels, half, 1)
        self.cv2 = ConvNormAct(4 * half, out_channels, 1)
        self.pool = nn.MaxPool2d(kernel_size, 1, kernel_size // 2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        x = self.cv1(x)
        once = self.pool(x)
        twice = self.pool(once)
        return self.cv2(torch.cat((x, once, twice, self.pool(twice)), 1))
