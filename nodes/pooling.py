"""Pooling, and the spatial pyramid that pools at several sizes."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, ConvNormAct
from nodes.sdk.declare import Choices, Dim, Range, component


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
        ceil_mode: rounds an odd size up: the last rows and columns are a window, too, if they do not fill one.

    Shapes: x [B, C, H, W] -> [B, C, H/stride, W/stride].
    """

    def __init__(
        self,
        kernel_size: Annotated[int, Range(1, 64)] = 2,
        stride: Annotated[int, Range(1, 64)] = 2,
        padding: Annotated[int, Range(0, 32)] = 0,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        _check_padding(padding, kernel_size)
        self.pool = nn.MaxPool2d(kernel_size, stride, padding, ceil_mode=ceil_mode)

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


@component("pooling", aliases=("GMP", "AdaptiveMaxPool2d"))
class GlobalMaxPool(nn.Module):
    """Keeps the strongest value of each channel over the whole map.

    Shapes: x [B, C, H, W] -> [B, C, 1, 1].
    """

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C 1 1"]:
        return x.amax((2, 3), keepdim=True)


@component("pooling", aliases=("AdaptiveAvgPool2d", "AdaptiveMaxPool2d"))
class AdaptivePool(nn.Module):
    """Pools to a height and width, whatever the size that comes in.

    Args:
        height: rows it gives.
        width: columns it gives.
        mode: `average`, or `max` for the strongest value.

    Shapes: x [B, C, H, W] -> [B, C, height, width].
    """

    def __init__(
        self,
        height: Annotated[int, Range(1, 4096)] = 1,
        width: Annotated[int, Range(1, 4096)] = 1,
        mode: Annotated[str, Choices("average", "max")] = "average",
    ) -> None:
        super().__init__()
        self.pool = (nn.AdaptiveAvgPool2d if mode == "average" else nn.AdaptiveMaxPool2d)((height, width))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C I J"]:
        return self.pool(x)


@component("pooling", paper="He et al. 2015, arXiv:1406.4729", aliases=("Spatial pyramid pooling",))
class SPP(nn.Module):
    """Spatial pyramid pooling: max-pools of several sizes side by side, concatenated and fused.

    Args:
        out_channels: channels it gives.
        kernel_sizes: sides of the windows; odd.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 256,
        kernel_sizes: Annotated[tuple[int, ...], Range(3, 31, 2)] = (5, 9, 13),
    ) -> None:
        super().__init__()
        if even := [k for k in kernel_sizes if k % 2 == 0]:
            raise ValueError(f"kernel_sizes has {even[0]}, they must be odd. Use {even[0] + 1}.")
        half = max(1, in_channels // 2)
        self.cv1 = ConvNormAct(in_channels, half, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in kernel_sizes)
        self.cv2 = ConvNormAct((1 + len(kernel_sizes)) * half, out_channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        x = self.cv1(x)
        return self.cv2(torch.cat([x, *(pool(x) for pool in self.pools)], 1))


@component(
    "pooling",
    aliases=("Spatial pyramid pooling", "SPP", "SPPELAN"),
    paper="He et al. 2015, arXiv:1406.4729; fast form YOLOv5",
)
class SPPF(nn.Module):
    """Spatial pyramid pooling, fast: three max-pools in a row see 5, 9 and 13 cells around each place.

    A 1x1 convolution, three chained max-pools, the four results concatenated and fused.

    Args:
        out_channels: channels it gives.
        kernel_size: side of each window; odd.
        width: channels of the first 1x1; 0 for half of those that arrive. YOLOv9's SPPELAN sets it.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 256,
        kernel_size: Annotated[int, Range(3, 31, 2)] = 5,
        width: Annotated[int, Range(0, 65536, 8)] = 0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, must be odd. Use {kernel_size + 1}.")
        width = width or max(1, in_channels // 2)
        self.cv1 = ConvNormAct(in_channels, width, 1)
        self.cv2 = ConvNormAct(4 * width, out_channels, 1)
        self.pool = nn.MaxPool2d(kernel_size, 1, kernel_size // 2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        x = self.cv1(x)
        once = self.pool(x)
        twice = self.pool(once)
        return self.cv2(torch.cat((x, once, twice, self.pool(twice)), 1))


@component(
    "pooling",
    title="SPPCSP",
    paper="Wang et al. 2022 (YOLOv7), arXiv:2207.02696; pooling: He et al. 2015, arXiv:1406.4729",
    aliases=("SPPCSPC", "SPPFCSP", "SimCSPSPPF", "YOLOv7 SPP", "YOLOv6 SPP"),
)
class SPPCSP(nn.Module):
    """Spatial pyramid pooling on one of two paths: convolutions, three chained max-pools and convolutions; then a 1x1.

    Args:
        out_channels: channels it gives.
        width: channels of both paths; 0 for those it gives.
        tiny: leaves out the 3x3 convolutions, as YOLOv7-tiny does.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 512,
        width: Annotated[int, Range(0, 65536, 8)] = 0,
        tiny: bool = False,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "silu",
    ) -> None:
        super().__init__()
        width = width or out_channels

        def conv(channels: int, kernel_size: int) -> ConvNormAct:
            return ConvNormAct(channels, width, kernel_size, activation=activation)

        self.before = nn.Sequential(conv(in_channels, 1), *(() if tiny else (conv(width, 3), conv(width, 1))))
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.after = nn.Sequential(conv(4 * width, 1), *(() if tiny else (conv(width, 3),)))
        self.side = conv(in_channels, 1)
        self.fuse_all = ConvNormAct(2 * width, out_channels, 1, activation=activation)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        seen = [self.before(x)]
        for _ in range(3):
            seen.append(self.pool(seen[-1]))
        return self.fuse_all(torch.cat((self.after(torch.cat(seen, 1)), self.side(x)), 1))
