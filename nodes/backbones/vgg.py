"""VGG, and VGG-16 as SSD uses it: with an atrous replacement of its first two linear layers, and coarser levels."""

from __future__ import annotations

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.backbones.mobilenet import LEVELS, Pyramid
from nodes.pooling import MaxPool
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite

VGG = "Simonyan and Zisserman 2015, arXiv:1409.1556"
SSD = "Liu et al. 2016, SSD, arXiv:1512.02325"

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of each stage, by the number of layers with weights, the three linear ones included."""


@component("block/vgg", title="VGG convolution", paper=VGG, aliases=("Conv + ReLU", "Conv-ReLU"))
class VGGConv(nn.Module):
    """A 3x3 convolution with bias, batch norm if wanted, ReLU.

    Args:
        out_channels: channels it gives.
        norm: batch norm before the ReLU.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        # torch's own initial weights let each layer pass a sixth of the variance: after 13 layers without a norm
        # nothing is left to learn from.
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.bn = nn.BatchNorm2d(out_channels) if norm else nn.Identity()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return F.relu(self.bn(self.conv(x)))


@component("norm", title="L2 scale", paper=SSD, aliases=("L2Norm", "normalise"))
class L2Scale(nn.Module):
    """Brings the channels of each place to length 1, then multiplies each by a learned factor.

    Args:
        scale: what the factors start from.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], scale: Annotated[float, Range(0.001, 1000)] = 20.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), float(scale)))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return F.normalize(x) * self.weight.view(1, -1, 1, 1)


@component("block/vgg", title="Atrous fc6 and fc7", paper=SSD, aliases=("dilated convolution", "fc6"))
class AtrousFC(nn.Module):
    """VGG's first two linear layers as convolutions: a pool that keeps the size, a dilated 3x3, a 1x1, each with ReLU.

    Args:
        out_channels: channels of both.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 65536, 8)] = 1024
    ) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.fc6 = _xavier(nn.Conv2d(in_channels, out_channels, 3, padding=6, dilation=6))
        self.fc7 = _xavier(nn.Conv2d(out_channels, out_channels, 1))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return F.relu(self.fc7(F.relu(self.fc6(self.pool(x)))))


@component("block/vgg", title="SSD extra level", paper=SSD, aliases=("extra layers",))
class SSDExtra(nn.Module):
    """A coarser level: a 1x1 convolution to half the channels, a 3x3, each with ReLU.

    Args:
        out_channels: channels it gives.
        halve: a stride of 2; otherwise no padding, which takes two rows and two columns off.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2], or two smaller.
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 256,
        halve: bool = True,
    ) -> None:
        super().__init__()
        self.narrow = _xavier(nn.Conv2d(in_channels, out_channels // 2, 1))
        stride, padding = (2, 1) if halve else (1, 0)
        self.conv = _xavier(nn.Conv2d(out_channels // 2, out_channels, 3, stride, padding))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return F.relu(self.conv(F.relu(self.narrow(x))))


@composite("backbone/vgg", title="VGG stage", paper=VGG, aliases=("VGG block",))
def vgg_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(1, 65536, 8)] = 128,
    depth: Annotated[int, Range(1, 16)] = 2,
    pool: Annotated[str, Choices("none", "floor", "ceil")] = "floor",
    norm: bool = False,
) -> Float[Tensor, "B D H/s W/s"]:
    """A max-pool, then 3x3 convolutions with ReLU.

    Args:
        out_channels: channels it gives.
        depth: convolutions.
        pool: how an odd size is halved: rounded down, up, or not at all as in the first stage.
        norm: batch norm in every convolution.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2], or the same size.
    """
    if pool != "none":
        x = g.add(MaxPool, x, name="pool", ceil_mode=pool == "ceil")
    for i in range(depth):
        x = g.add(VGGConv, x, name=f"conv{i + 1}", out_channels=out_channels, norm=norm)
    return x


@composite("backbone", title="VGG", outputs=LEVELS, paper=VGG, aliases=("VGG16", "VGG-16", "VGG19", "VGG-BN"))
def vgg(
    g: Builder, x: Float[Tensor, "B C H W"], depth: Annotated[int, Choices(*DEPTHS)] = 16, norm: bool = False
) -> Pyramid:
    """VGG: five stages of 3x3 convolutions, a max-pool after each. Its three linear layers are not part of it.

    Args:
        depth: layers with weights.
        norm: batch norm in every layer, as in VGG-BN.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 64, 128, 256, 512, 512 channels.
    """
    levels: list[Any] = []
    for i, (width, count) in enumerate(zip((64, 128, 256, 512, 512), DEPTHS[depth], strict=True)):
        x = g.add(vgg_stage, x, name=f"stage{i + 1}", out_channels=width, depth=count, pool="none", norm=norm)
        # Rounded up, so that levels of odd sizes fit what necks expect.
        x = g.add(MaxPool, x, name=f"pool{i + 1}", ceil_mode=True)
        levels.append(x)
    return tuple(levels)


@composite(
    "backbone",
    title="VGG-16 (SSD)",
    outputs=("p3", "p4", "p5", "p6", "p7", "p8"),
    paper=f"{SSD}; VGG: {VGG}",
    aliases=("SSD300", "SSD backbone", "VGG16"),
)
def ssd_vgg(
    g: Builder, x: Float[Tensor, "B C H W"]
) -> tuple[
    Float[Tensor, "B C3 H3 W3"],
    Float[Tensor, "B C4 H4 W4"],
    Float[Tensor, "B C5 H5 W5"],
    Float[Tensor, "B C6 H6 W6"],
    Float[Tensor, "B C7 H7 W7"],
    Float[Tensor, "B C8 H8 W8"],
]:
    """SSD300's backbone: VGG-16 up to conv5_3, fc6 and fc7 as convolutions, four coarser levels.

    Images of 300 x 300 pixels give levels of 38, 19, 10, 5, 3 and 1 cells; smaller than 290 is too small.

    Shapes: x [B, C, H, W] -> six maps with 512, 1024, 512, 256, 256 and 256 channels.
    """
    pools = ("none", "floor", "floor", "ceil")
    for i, (width, depth, pool) in enumerate(zip((64, 128, 256, 512), (2, 2, 3, 3), pools, strict=True)):
        x = g.add(vgg_stage, x, name=f"stage{i + 1}", out_channels=width, depth=depth, pool=pool)
    p3 = g.add(L2Scale, x, name="scale")
    x = g.add(vgg_stage, x, name="stage5", out_channels=512, depth=3)
    p4 = g.add(AtrousFC, x, name="fc")
    p5 = g.add(SSDExtra, p4, name="extra5", out_channels=512)
    p6 = g.add(SSDExtra, p5, name="extra6")
    p7 = g.add(SSDExtra, p6, name="extra7", halve=False)
    return p3, p4, p5, p6, p7, g.add(SSDExtra, p7, name="extra8", halve=False)


def _xavier(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.xavier_uniform_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
