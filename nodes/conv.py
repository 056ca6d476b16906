"""Convolutions: with norm and activation as the YOLO family uses them, and plain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from nodes.reparam import fold_norm
from nodes.sdk.declare import Choices, Dim, Range, component

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": lambda: nn.SiLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.1, inplace=True),
    "leaky_relu_0.01": lambda: nn.LeakyReLU(0.01, inplace=True),
    "hardswish": lambda: nn.Hardswish(inplace=True),
    "mish": lambda: nn.Mish(inplace=True),
    "gelu": lambda: nn.GELU(),
    "none": lambda: nn.Identity(),
}

TORCH_NORM = {"eps": 1e-5, "momentum": 0.1}
"""Settings of `ConvNormAct` for families whose batch norms are torch's own."""

M = TypeVar("M", bound=nn.Module)


def set_norms(module: M, eps: float, momentum: float) -> M:
    """Gives all batch norms of a module this eps and momentum."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps, part.momentum = eps, momentum
    return module


def torch_norms(module: M) -> M:
    """Gives the batch norms of parts made for the YOLO family torch's own eps 1e-5 and momentum 0.1."""
    return set_norms(module, **TORCH_NORM)


@component("conv", aliases=("Conv", "CBS", "Conv-BN-SiLU", "CBL"))
class ConvNormAct(nn.Module):
    """Convolution without bias, batch norm, activation.

    Padding keeps the size at stride 1.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the kernel; odd.
        stride: 2 halves the size.
        groups: 1 is dense; equal to the input channels it is depthwise.
        activation: function after the norm.
        eps: added to the variance in the norm; 1e-3 in the YOLO family, 1e-5 in most others.
        momentum: share of each batch in the norm's running statistics; 0.03 in the YOLO family, 0.1 in most others.
        dilation: 2 looks at every other cell, which widens the view without halving.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Annotated[int, Choices(1, 3, 5, 7, 9, 11)] = 3,
        stride: Annotated[int, Range(1, 8)] = 1,
        groups: Annotated[int, Range(1, 65536)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "silu",
        eps: Annotated[float, Range(1e-8, 0.1)] = 1e-3,
        momentum: Annotated[float, Range(0.001, 1)] = 0.03,
        dilation: Annotated[int, Range(1, 64)] = 1,
    ) -> None:
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"groups is {groups}, must divide {name} {channels}. Use 1 or "
                    f"{math.gcd(in_channels, out_channels)}."
                )
        padding = kernel_size // 2 * dilation
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=eps, momentum=momentum)
        self.act = ACTIVATIONS[activation]()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return self.act(self.bn(self.conv(x)))

    def fuse(self) -> nn.Module:
        """The same with the norm folded into the convolution."""
        return nn.Sequential(fold_norm(self.conv, self.bn), self.act)


@component("downsample", aliases=("Downsample", "Strided convolution"))
class ConvDown(ConvNormAct):
    """Halves the size with a 3x3 convolution of stride 2, batch norm and SiLU.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 65536, 8)] = 64
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return super().forward(x)


@component("conv", aliases=("Conv2d", "1x1", "Pointwise", "Projection"))
class Conv(nn.Module):
    """A plain convolution, with bias and without norm; at kernel size 1 it changes channels only.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the kernel; odd.
        stride: 2 halves the size.
        bias: adds a learned constant per channel.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Annotated[int, Choices(1, 3, 5, 7, 9, 11)] = 1,
        stride: Annotated[int, Range(1, 8)] = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=bias)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return self.conv(x)
