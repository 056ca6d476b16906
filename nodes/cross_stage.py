"""Stages of Darknet and of cross-stage-partial networks: residual blocks on all channels or on half of them."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, ConvNormAct
from nodes.sdk.declare import Choices, Dim, Range, component

PAPER = "Wang et al. 2020, arXiv:1911.11929"
LEAKY = "leaky_relu"


class DarkBlock(nn.Module):
    """A 1x1 and a 3x3 convolution, added to the input. x [B, C, H, W] -> the same.

    Args:
        channels: of input and output.
        inner: between the two.
        activation: after both.
    """

    def __init__(self, channels: int, inner: int, activation: str) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(channels, inner, 1, activation=activation, eps=1e-5)
        self.conv2 = ConvNormAct(inner, channels, 3, activation=activation, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


class WideBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, added to the input and activated. x [B, C, H, W] -> the same.

    Args:
        channels: of input and output.
        inner: of the 3x3.
        groups: of the 3x3.
        activation: after the first two and after the sum.
    """

    def __init__(self, channels: int, inner: int, groups: int, activation: str) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(channels, inner, 1, activation=activation, eps=1e-5)
        self.conv2 = ConvNormAct(inner, inner, 3, groups=groups, activation=activation, eps=1e-5)
        self.conv3 = ConvNormAct(inner, channels, 1, activation="none", eps=1e-5)
        self.act = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.conv3(self.conv2(self.conv1(x))))


@component("block/darknet", paper="Redmon and Farhadi 2018, arXiv:1804.02767", aliases=("YOLOv3 block",))
class DarkStage(nn.Module):
    """Darknet's stage: a strided 3x3 convolution, then residual pairs of a 1x1 and a 3x3.

    Args:
        out_channels: channels it gives.
        depth: residual pairs.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = LEAKY,
    ) -> None:
        super().__init__()
        self.down = ConvNormAct(in_channels, out_channels, 3, 2, activation=activation, eps=1e-5)
        self.blocks = nn.Sequential(*(DarkBlock(out_channels, out_channels // 2, activation) for _ in range(depth)))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return self.blocks(self.down(x))


@component("block/csp", title="CSP Darknet stage", paper=PAPER, aliases=("YOLOv4 stage", "Cross stage partial"))
class CSPDarkStage(nn.Module):
    """Darknet's stage on half of the channels; the other half crosses it and is fused in at the end.

    Args:
        out_channels: channels it gives, an even number.
        depth: residual pairs.
        full: keeps the full width on both paths, as the first stage of CSPDarknet53 does.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 1,
        full: bool = False,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "mish",
    ) -> None:
        super().__init__()
        side = out_channels if full else out_channels // 2
        inner = out_channels // 2
        self.down = ConvNormAct(in_channels, out_channels, 3, 2, activation=activation, eps=1e-5)
        self.split = ConvNormAct(out_channels, 2 * side, 1, activation=activation, eps=1e-5)
        self.blocks = nn.Sequential(*(DarkBlock(side, inner, activation) for _ in range(depth)))
        self.after = ConvNormAct(side, side, 1, activation=activation, eps=1e-5)
        self.join = ConvNormAct(2 * side, out_channels, 1, activation=activation, eps=1e-5)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        across, through = self.split(self.down(x)).chunk(2, 1)
        return self.join(torch.cat([across, self.after(self.blocks(through))], 1))


@component("block/csp", title="CSP ResNet stage", paper=PAPER, aliases=("CSPResNeXt", "Cross stage partial"))
class CSPResNetStage(nn.Module):
    """Bottleneck blocks on half of the channels of a wide 1x1; the other half crosses them and is fused in at the end.

    Args:
        out_channels: channels it gives, an even number.
        depth: bottleneck blocks.
        stride: 2 begins with a strided 3x3 that halves the size.
        expansion: channels of the wide 1x1, as a multiple of `out_channels`.
        groups: of the bottlenecks' 3x3; 32 in CSPResNeXt.
        activation: function after the norms.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 128,
        depth: Annotated[int, Range(1, 64)] = 3,
        stride: Annotated[int, Choices(1, 2)] = 2,
        expansion: Annotated[int, Choices(1, 2)] = 2,
        groups: Annotated[int, Range(1, 1024)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = LEAKY,
    ) -> None:
        super().__init__()
        side = out_channels * expansion // 2
        inner = out_channels // 2
        if inner % groups:
            raise ValueError(f"groups is {groups}, must divide half of out_channels {out_channels}. Use 1 or {inner}.")
        self.down: nn.Module = nn.Identity()
        if stride == 2:
            self.down = ConvNormAct(in_channels, in_channels, 3, 2, groups, activation, 1e-5)
        self.split = ConvNormAct(in_channels, 2 * side, 1, activation="none", eps=1e-5)
        self.blocks = nn.Sequential(*(WideBlock(side, inner, groups, activation) for _ in range(depth)))
        self.after = ConvNormAct(side, side, 1, activation=activation, eps=1e-5)
        self.join = ConvNormAct(2 * side, out_channels, 1, activation=activation, eps=1e-5)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        across, through = self.split(self.down(x)).chunk(2, 1)
        return self.join(torch.cat([across, self.after(self.blocks(through))], 1))
