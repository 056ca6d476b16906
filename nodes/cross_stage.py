"""Residual blocks and stages of Darknet and of cross-stage-partial networks, on all channels or on half of them."""

from __future__ import annotations

import math
from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, TORCH_NORM, ConvNormAct, torch_norms
from nodes.fusion import Concat
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite
from nodes.shape import Split

PAPER = "Wang et al. 2020, arXiv:1911.11929"
DARKNET_PAPER = "Redmon and Farhadi 2018, arXiv:1804.02767"
LEAKY = "leaky_relu"
Activation = Annotated[str, Choices(*ACTIVATIONS)]


@component("block/darknet", title="Darknet block", paper=DARKNET_PAPER, aliases=("YOLOv3 block", "Residual"))
class DarkBlock(nn.Module):
    """A 1x1 convolution that narrows and a 3x3 that widens again, added to the input.

    Args:
        inner: channels between the two; half of the input's in Darknet.
        activation: function after both norms.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        inner: Annotated[int, Range(1, 65536, 8)] = 32,
        activation: Activation = LEAKY,
    ) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(channels, inner, 1, activation=activation)
        self.conv2 = ConvNormAct(inner, channels, 3, activation=activation)
        torch_norms(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.conv2(self.conv1(x))


@component("block/csp", title="CSPResNet block", paper=PAPER, aliases=("CSPResNeXt block", "Bottleneck", "Residual"))
class CSPResNetBlock(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, added to the input and activated.

    Args:
        inner: channels of the 3x3.
        groups: of the 3x3; 32 in CSPResNeXt.
        activation: function after the first two norms and after the sum.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        inner: Annotated[int, Range(1, 65536, 8)] = 64,
        groups: Annotated[int, Range(1, 1024)] = 1,
        activation: Activation = LEAKY,
    ) -> None:
        super().__init__()
        if inner % groups:
            raise ValueError(f"groups is {groups}, must divide inner {inner}. Use {math.gcd(groups, inner)}.")
        self.conv1 = ConvNormAct(channels, inner, 1, activation=activation)
        self.conv2 = ConvNormAct(inner, inner, 3, groups=groups, activation=activation)
        self.conv3 = ConvNormAct(inner, channels, 1, activation="none")
        self.act = ACTIVATIONS[activation]()
        torch_norms(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.act(x + self.conv3(self.conv2(self.conv1(x))))


@composite("block/darknet", title="Darknet stage", paper=DARKNET_PAPER, aliases=("YOLOv3 stage",))
def dark_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
    depth: Annotated[int, Range(1, 64)] = 1,
    activation: Activation = LEAKY,
) -> Float[Tensor, "B D H/2 W/2"]:
    """Darknet's stage: a strided 3x3 convolution, then residual pairs of a 1x1 and a 3x3.

    Args:
        out_channels: channels it gives.
        depth: residual pairs.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """
    norm = {"activation": activation, **TORCH_NORM}
    x = g.add(ConvNormAct, x, name="down", out_channels=out_channels, stride=2, **norm)
    for i in range(depth):
        x = g.add(DarkBlock, x, name=f"block{i}", inner=out_channels // 2, activation=activation)
    return x


@composite("block/csp", title="CSPDarknet stage", paper=PAPER, aliases=("YOLOv4 stage", "Cross stage partial"))
def csp_dark_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
    depth: Annotated[int, Range(1, 64)] = 1,
    full: bool = False,
    activation: Activation = "mish",
) -> Float[Tensor, "B D H/2 W/2"]:
    """Darknet's stage on half of the channels; the other half crosses it and is fused in at the end.

    Args:
        out_channels: channels it gives.
        depth: residual pairs.
        full: keeps the full width on both paths, as the first stage of CSPDarknet53 does.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """
    side = out_channels if full else out_channels // 2
    norm = {"activation": activation, **TORCH_NORM}
    x = g.add(ConvNormAct, x, name="down", out_channels=out_channels, stride=2, **norm)
    x = g.add(ConvNormAct, x, name="split", out_channels=2 * side, kernel_size=1, **norm)
    across, x = g.add(Split, x, name="halves")
    for i in range(depth):
        x = g.add(DarkBlock, x, name=f"block{i}", inner=out_channels // 2, activation=activation)
    x = g.add(ConvNormAct, x, name="after", out_channels=side, kernel_size=1, **norm)
    x = g.add(Concat, across, x, name="concat")
    return g.add(ConvNormAct, x, name="join", out_channels=out_channels, kernel_size=1, **norm)


@composite("block/csp", title="CSPResNet stage", paper=PAPER, aliases=("CSPResNeXt stage", "Cross stage partial"))
def csp_resnet_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    in_channels: Annotated[int, Dim("C")],
    out_channels: Annotated[int, Range(2, 65536, 8)] = 128,
    depth: Annotated[int, Range(1, 64)] = 3,
    stride: Annotated[int, Choices(1, 2)] = 2,
    expansion: Annotated[int, Choices(1, 2)] = 2,
    groups: Annotated[int, Range(1, 1024)] = 1,
    activation: Activation = LEAKY,
) -> Float[Tensor, "B D H/s W/s"]:
    """Bottleneck blocks on half of the channels of a wide 1x1; the other half crosses them and is fused in at the end.

    Args:
        out_channels: channels it gives; the blocks' 3x3 has half of them.
        depth: bottleneck blocks.
        stride: 2 begins with a strided 3x3 that halves the size.
        expansion: channels of the wide 1x1, as a multiple of `out_channels`.
        groups: of the strided and of the blocks' 3x3; 32 in CSPResNeXt.
        activation: function after the norms.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """
    side, inner = out_channels * expansion // 2, out_channels // 2
    norm = {"activation": activation, **TORCH_NORM}
    if stride == 2:
        x = g.add(ConvNormAct, x, name="down", out_channels=in_channels, stride=2, groups=groups, **norm)
    x = g.add(ConvNormAct, x, name="split", out_channels=2 * side, kernel_size=1, activation="none", **TORCH_NORM)
    across, x = g.add(Split, x, name="halves")
    for i in range(depth):
        x = g.add(CSPResNetBlock, x, name=f"block{i}", inner=inner, groups=groups, activation=activation)
    x = g.add(ConvNormAct, x, name="after", out_channels=side, kernel_size=1, **norm)
    x = g.add(Concat, across, x, name="concat")
    return g.add(ConvNormAct, x, name="join", out_channels=out_channels, kernel_size=1, **norm)
