"""Convolutions, pools and padding with every setting that torch and ONNX know: what imported models are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nodes.conv import ACTIVATIONS
from nodes.reparam import fold_norm
from nodes.sdk.declare import Choices, Dim, Range, component

Sides = Annotated[tuple[int, ...], Range(1, 1024)]
Padding = Annotated[tuple[int, ...], Range(0, 1024)]


def _pair(name: str, values: Sequence[int]) -> tuple[int, int]:
    if len(values) not in (1, 2):
        raise ValueError(f"{name} has {len(values)} numbers, must have 1, or 2 for rows and columns.")
    return values[0], values[-1]


def _edges(padding: Sequence[int]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of a padding given as one number, two or four."""
    if len(padding) == 4:
        top, left, bottom, right = padding
        return top, left, bottom, right
    vertical, horizontal = _pair("padding", padding)
    return vertical, horizontal, vertical, horizontal


@component(
    "conv", title="Conv (all settings)", aliases=("Conv2d", "Rectangular kernel", "Dilated", "Asymmetric padding")
)
class FreeConv(nn.Module):
    """A convolution with any kernel, stride, padding, dilation and groups, a norm and an activation if wanted.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the kernel, or rows and columns.
        stride: one number, or vertical and horizontal.
        padding: one number, two for vertical and horizontal, or four: top, left, bottom, right.
        dilation: distance between the kernel's places, one number or two.
        groups: 1 is dense; equal to the input channels it is depthwise.
        bias: adds a learned constant per channel; not used with a norm.
        norm: batch norm behind it.
        activation: function at the end.
        eps: added to the variance in the norm.
        momentum: share of each batch in the norm's running statistics.

    Shapes: x [B, C, H, W] -> [B, out_channels, H', W'].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Sides = (3, 3),
        stride: Sides = (1, 1),
        padding: Padding = (1, 1),
        dilation: Sides = (1, 1),
        groups: Annotated[int, Range(1, 65536)] = 1,
        bias: bool = True,
        norm: bool = False,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "none",
        eps: Annotated[float, Range(1e-8, 0.1)] = 1e-5,
        momentum: Annotated[float, Range(0.001, 1)] = 0.1,
    ) -> None:
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"groups is {groups}, must divide {name} {channels}. Use 1.")
        top, left, bottom, right = _edges(padding)
        even = (top, left) == (bottom, right)
        self.pad: nn.Module = nn.Identity() if even else nn.ZeroPad2d((left, right, top, bottom))
        self.conv = nn.Conv2d(
            in_channels, out_channels, _pair("kernel_size", kernel_size), _pair("stride", stride),
            (top, left) if even else 0, _pair("dilation", dilation), groups, bias and not norm,
        )  # fmt: skip
        self.bn: nn.Module = nn.BatchNorm2d(out_channels, eps, momentum) if norm else nn.Identity()
        self.act = ACTIVATIONS[activation]()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D I J"]:
        return self.act(self.bn(self.conv(self.pad(x))))

    def fuse(self) -> nn.Module:
        """The same with the norm, if there is one, folded into the convolution."""
        conv = fold_norm(self.conv, self.bn) if isinstance(self.bn, nn.BatchNorm2d) else self.conv
        return nn.Sequential(self.pad, conv, self.act)


@component("resize", title="Transposed conv (all settings)", aliases=("ConvTranspose2d", "Deconvolution"))
class FreeConvTranspose(nn.Module):
    """A transposed convolution with any kernel, stride, padding, dilation and groups.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the kernel, or rows and columns.
        stride: how many times larger, one number or two.
        padding: rows and columns cut off around, one number or two.
        output_padding: rows and columns added at the bottom and right, one number or two.
        dilation: distance between the kernel's places, one number or two.
        groups: 1 is dense.
        bias: adds a learned constant per channel.

    Shapes: x [B, C, H, W] -> [B, out_channels, H', W'].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Sides = (2, 2),
        stride: Sides = (2, 2),
        padding: Padding = (0, 0),
        output_padding: Padding = (0, 0),
        dilation: Sides = (1, 1),
        groups: Annotated[int, Range(1, 65536)] = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"groups is {groups}, must divide {name} {channels}. Use 1.")
        self.conv = nn.ConvTranspose2d(
            in_channels, out_channels, _pair("kernel_size", kernel_size), _pair("stride", stride),
            _pair("padding", padding), _pair("output_padding", output_padding), groups, bias,
            _pair("dilation", dilation),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D I J"]:
        return self.conv(x)


@component("pooling", title="Pool (all settings)", aliases=("MaxPool2d", "AvgPool2d", "Rectangular window"))
class FreePool(nn.Module):
    """Pools with any window, stride and padding.

    Args:
        mode: `max` keeps the strongest value of each window, `average` averages it.
        kernel_size: side of the window, or rows and columns.
        stride: one number, or vertical and horizontal.
        padding: one number, two for vertical and horizontal, or four: top, left, bottom, right.
        dilation: distance between the window's cells, one number or two; only for `max`.
        ceil_mode: the last rows and columns are a window, too, if they do not fill one.
        count_padding: whether the zeros of the padding count in an average.

    Shapes: x [B, C, H, W] -> [B, C, H', W'].
    """

    def __init__(
        self,
        mode: Annotated[str, Choices("max", "average")] = "max",
        kernel_size: Sides = (2, 2),
        stride: Sides = (2, 2),
        padding: Padding = (0, 0),
        dilation: Sides = (1, 1),
        ceil_mode: bool = False,
        count_padding: bool = False,
    ) -> None:
        super().__init__()
        self.mode, self.ceil_mode, self.count_padding = mode, ceil_mode, count_padding
        self.kernel_size, self.stride = _pair("kernel_size", kernel_size), _pair("stride", stride)
        self.dilation, (top, left, bottom, right) = _pair("dilation", dilation), _edges(padding)
        if mode == "average" and self.dilation != (1, 1):
            raise ValueError(f"dilation is {list(self.dilation)}, an average takes 1. Use mode max.")
        # torch pads both sides alike, and by half a window at most; anything else is padded before.
        even = (top, left) == (bottom, right) and top <= self.kernel_size[0] // 2 and left <= self.kernel_size[1] // 2
        self.padding = (top, left) if even else (0, 0)
        self.before = (0, 0, 0, 0) if even else (left, right, top, bottom)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C I J"]:
        if self.mode == "max":
            if any(self.before):
                x = functional.pad(x, self.before, value=float("-inf"))
            return functional.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
        if not any(self.before):
            return self._average(x)
        total = self._average(functional.pad(x, self.before))
        if self.count_padding:
            return total
        # The share of each window that lies on the map.
        return total / self._average(functional.pad(torch.ones_like(x[:, :1]), self.before))

    def _average(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_padding)


@component("resize", aliases=("ZeroPad2d", "ReflectionPad2d", "ReplicationPad2d"))
class Pad(nn.Module):
    """Adds rows and columns around a map.

    Args:
        padding: one number, two for vertical and horizontal, or four: top, left, bottom, right.
        mode: `constant` adds a value, `reflect` mirrors the map, `replicate` repeats its edge.
        value: what is added with `constant`.

    Shapes: x [B, C, H, W] -> [B, C, H + top + bottom, W + left + right].
    """

    def __init__(
        self,
        padding: Padding = (1, 1),
        mode: Annotated[str, Choices("constant", "reflect", "replicate")] = "constant",
        value: Annotated[float, Range(-1e30, 1e30)] = 0.0,
    ) -> None:
        super().__init__()
        top, left, bottom, right = _edges(padding)
        self.edges, self.mode, self.value = (left, right, top, bottom), mode, value

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C I J"]:
        return functional.pad(x, self.edges, self.mode, self.value if self.mode == "constant" else None)


@component("norm", title="Local response norm", paper="Krizhevsky et al. 2012, NeurIPS 25", aliases=("LRN",))
class LocalResponseNorm(nn.Module):
    """Divides each value by a power of the squares of neighbouring channels, as AlexNet and GoogLeNet do.

    Args:
        size: channels that are looked at.
        alpha: share of the squares.
        beta: the power.
        k: added to the squares.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        size: Annotated[int, Range(1, 4096)] = 5,
        alpha: Annotated[float, Range(0, 1e3)] = 1e-4,
        beta: Annotated[float, Range(0, 100)] = 0.75,
        k: Annotated[float, Range(0, 1e6)] = 1.0,
    ) -> None:
        super().__init__()
        self.norm = nn.LocalResponseNorm(size, alpha, beta, k)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.norm(x)


@component("norm", title="Instance norm", paper="Ulyanov et al. 2016, arXiv:1607.08022", aliases=("InstanceNorm2d",))
class InstanceNorm(nn.Module):
    """Brings each channel of each image to mean 0 and variance 1, then scales and shifts it.

    Args:
        eps: added to the variance.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], eps: Annotated[float, Range(1e-8, 0.1)] = 1e-5) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, eps, affine=True)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.norm(x)


@component("basic", title="Leaky ReLU", paper="He et al. 2015, arXiv:1502.01852", aliases=("LeakyReLU", "PReLU"))
class LeakyRelu(nn.Module):
    """Passes what is positive and a share of what is negative; the share may be learned for each channel.

    Args:
        slope: share of the negative values, at first if it is learned.
        learned: a share of its own for each channel, changed by training (PReLU).

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        slope: Annotated[float, Range(-100, 100)] = 0.01,
        learned: bool = False,
    ) -> None:
        super().__init__()
        self.function = nn.PReLU(channels, slope) if learned else nn.LeakyReLU(slope)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.function(x)
