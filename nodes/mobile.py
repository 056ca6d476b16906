"""Blocks of networks for phones: depthwise separable convolutions, inverted residuals, ghost modules, shuffle units."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from nodes.conv import ACTIVATIONS, ConvNormAct, torch_norms
from nodes.sdk.declare import Choices, Dim, Range, component


def rounded(channels: float, divisor: int = 8) -> int:
    """Channels to the nearest multiple of `divisor`, never below 90 % of what was asked."""
    near = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * channels else near


class ChannelGate(nn.Module):
    """Squeeze-and-excitation as mobile networks have it. x [B, C, H, W] -> the same, each channel scaled.

    Args:
        channels: of x.
        squeeze: channels of the bottleneck.
        activation: inside the bottleneck.
        gate: sigmoid or hardsigmoid.
    """

    def __init__(self, channels: int, squeeze: int, activation: str, gate: str) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeeze, 1)
        self.act = ACTIVATIONS[activation]()
        self.expand = nn.Conv2d(squeeze, channels, 1)
        self.gate = nn.Sigmoid() if gate == "sigmoid" else nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.act(self.reduce(self.pool(x)))))


@component("block/mobile", paper="Howard et al. 2017, arXiv:1704.04861", aliases=("MobileNet V1 block", "DWConv"))
class DepthwiseSeparable(nn.Module):
    """A depthwise 3x3 convolution, then a 1x1 that mixes the channels; batch norm and ReLU6 after each.

    Args:
        out_channels: channels it gives.
        stride: 2 halves the size.
        activation: function after both norms.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        stride: Annotated[int, Choices(1, 2)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "relu6",
    ) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(in_channels, in_channels, 3, stride, in_channels, activation)
        self.pointwise = ConvNormAct(in_channels, out_channels, 1, activation=activation)
        torch_norms(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return self.pointwise(self.depthwise(x))


@component(
    "block/mobile", title="MBConv", paper="Sandler et al. 2018, arXiv:1801.04381",
    aliases=("MBConv", "MobileNet V2 block", "MobileNet V3 block", "EfficientNet block", "Inverted bottleneck"),
)  # fmt: skip
class InvertedResidual(nn.Module):
    """A 1x1 that widens, a depthwise convolution, squeeze-and-excitation if asked for, a 1x1 that narrows again.

    The input is added when stride and channels stay. The block of MobileNet V2 and V3 and of EfficientNet.

    Args:
        out_channels: channels it gives.
        expanded: channels inside; equal to the input's, the first 1x1 is left out.
        kernel_size: side of the depthwise kernel.
        stride: 2 halves the size.
        squeeze: channels of the squeeze-and-excitation's bottleneck; 0 leaves it out.
        activation: function after the first two norms.
        gate: of the squeeze-and-excitation; with hardsigmoid its inner activation is ReLU, else the block's.
        eps: added to the variance in the norms.
        momentum: share of each batch in the norms' running statistics; 0.01 in MobileNet V3.
        drop_path: chance that the block is skipped for an image in training; 0.1 to 0.3 when training from scratch.
        dilation: of the depthwise kernel; 2 looks at every other cell, which widens the view without halving.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 24,
        expanded: Annotated[int, Range(1, 65536, 8)] = 96,
        kernel_size: Annotated[int, Choices(3, 5, 7)] = 3,
        stride: Annotated[int, Choices(1, 2)] = 1,
        squeeze: Annotated[int, Range(0, 4096, 4)] = 0,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "relu6",
        gate: Annotated[str, Choices("sigmoid", "hardsigmoid")] = "sigmoid",
        eps: Annotated[float, Range(1e-8, 0.1)] = 1e-5,
        momentum: Annotated[float, Range(0.001, 1)] = 0.1,
        drop_path: Annotated[float, Range(0, 0.9)] = 0.0,
        dilation: Annotated[int, Range(1, 64)] = 1,
    ) -> None:
        super().__init__()
        self.expand: nn.Module = nn.Identity()
        if expanded != in_channels:
            self.expand = ConvNormAct(in_channels, expanded, 1, 1, 1, activation, eps, momentum)
        self.depthwise = ConvNormAct(
            expanded, expanded, kernel_size, stride, expanded, activation, eps, momentum, dilation
        )
        inner = "relu" if gate == "hardsigmoid" else activation
        self.squeeze = ChannelGate(expanded, squeeze, inner, gate) if squeeze else nn.Identity()
        self.project = ConvNormAct(expanded, out_channels, 1, 1, 1, "none", eps, momentum)
        self.drop = StochasticDepth(drop_path, "row")
        self.add = stride == 1 and in_channels == out_channels

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        y = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + self.drop(y) if self.add else y


@component("block/mobile", paper="Han et al. 2020, arXiv:1911.11907", aliases=("GhostNet", "GhostConv"))
class GhostModule(nn.Module):
    """Half of the channels by a convolution, the other half cheaply from those by a depthwise 3x3.

    Args:
        out_channels: channels it gives.
        kernel_size: of the first convolution.
        stride: of the first convolution.
        activation: function after both norms.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Annotated[int, Choices(1, 3, 5)] = 1,
        stride: Annotated[int, Choices(1, 2)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "relu",
    ) -> None:
        super().__init__()
        half = math.ceil(out_channels / 2)
        self.primary = ConvNormAct(in_channels, half, kernel_size, stride, activation=activation)
        self.cheap = ConvNormAct(half, half, 3, groups=half, activation=activation)
        torch_norms(self)
        self.out_channels = out_channels

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        y = self.primary(x)
        return torch.cat([y, self.cheap(y)], 1)[:, : self.out_channels]


@component("block/mobile", paper="Han et al. 2020, arXiv:1911.11907", aliases=("GhostNet block",))
class GhostBottleneck(nn.Module):
    """Two ghost modules, a strided depthwise convolution and squeeze-and-excitation between them, and a skip.

    Args:
        out_channels: channels it gives.
        expanded: channels between the ghost modules.
        kernel_size: of the strided depthwise convolution.
        stride: 2 halves the size.
        squeeze: channels of the squeeze-and-excitation's bottleneck; 0 leaves it out.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 4)] = 24,
        expanded: Annotated[int, Range(1, 65536, 4)] = 72,
        kernel_size: Annotated[int, Choices(3, 5)] = 3,
        stride: Annotated[int, Choices(1, 2)] = 1,
        squeeze: Annotated[int, Range(0, 4096, 4)] = 0,
    ) -> None:
        super().__init__()
        self.ghost1 = GhostModule(in_channels, expanded)
        self.depthwise = _plain(expanded, expanded, kernel_size, stride, expanded) if stride > 1 else nn.Identity()
        self.squeeze = ChannelGate(expanded, squeeze, "relu", "hardsigmoid") if squeeze else nn.Identity()
        self.ghost2 = GhostModule(expanded, out_channels, activation="none")
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.skip = nn.Sequential(
                _plain(in_channels, in_channels, kernel_size, stride, in_channels), _plain(in_channels, out_channels)
            )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return self.ghost2(self.squeeze(self.depthwise(self.ghost1(x)))) + self.skip(x)


@component("block/mobile", paper="Ma et al. 2018, arXiv:1807.11164", aliases=("ShuffleNet V2 block",))
class ShuffleUnit(nn.Module):
    """ShuffleNet V2's unit: one half of the channels passes, the other goes through three convolutions; then a shuffle.

    With stride 2 both branches take the whole input.

    Args:
        out_channels: channels it gives, an even number; at stride 1 those of the input.
        stride: 2 halves the size.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 2)] = 116,
        stride: Annotated[int, Choices(1, 2)] = 2,
    ) -> None:
        super().__init__()
        if stride == 1 and in_channels != out_channels:
            raise ValueError(
                f"out_channels is {out_channels}, at stride 1 it must be the input's {in_channels}. Set it so, or set "
                "stride 2."
            )
        if out_channels % 2:
            raise ValueError(f"out_channels is {out_channels}, must be even. Use {out_channels + 1}.")
        half = out_channels // 2
        self.splits = stride == 1
        start = half if self.splits else in_channels
        self.left: nn.Module = nn.Identity()
        if not self.splits:
            self.left = nn.Sequential(_plain(start, start, 3, 2, start), _relu(start, half))
        self.right = nn.Sequential(_relu(start, half), _plain(half, half, 3, stride, half), _relu(half, half))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        left, right = x.chunk(2, 1) if self.splits else (x, x)
        joined = torch.cat([self.left(left), self.right(right)], 1)
        # Channels of the two halves in turns: 0, h, 1, h + 1, ...
        return joined.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)


def _plain(in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1, groups: int = 1) -> ConvNormAct:
    return torch_norms(ConvNormAct(in_channels, out_channels, kernel_size, stride, groups, "none"))


def _relu(in_channels: int, out_channels: int) -> ConvNormAct:
    return torch_norms(ConvNormAct(in_channels, out_channels, 1, activation="relu"))
