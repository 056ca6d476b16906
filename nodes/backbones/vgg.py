"""VGG, and the backbones that SSD makes of it: fully convolutional, with coarser levels behind."""

from __future__ import annotations

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.backbones.mobilenet import LEVELS, Pyramid
from nodes.pooling import MaxPool
from nodes.sdk.builder import Builder, Ref
from nodes.sdk.declare import Choices, Dim, Range, component, composite

PAPER = "Simonyan and Zisserman 2015, arXiv:1409.1556"
SSD_PAPER = "Liu et al. 2016, arXiv:1512.02325"
WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of each stage, by the number of layers with weights, VGG's three linear ones included."""


@component("conv", title="Conv + ReLU", paper=PAPER, aliases=("VGG block", "Atrous convolution", "Dilated convolution"))
class ConvReLU(nn.Module):
    """A convolution with bias and a ReLU, with batch norm between them if wanted.

    A map that is smaller than the kernel is padded with zeros to its size.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the kernel.
        stride: 2 halves the size.
        padding: zeros added on every side; half the kernel keeps the size.
        dilation: distance between the kernel's places; above 1 the convolution is atrous.
        norm: batch norm before the ReLU.

    Shapes: x [B, C, H, W] -> [B, out_channels, H', W'], the same size by default.
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Annotated[int, Range(1, 11)] = 3,
        stride: Annotated[int, Range(1, 8)] = 1,
        padding: Annotated[int, Range(0, 64)] = 1,
        dilation: Annotated[int, Range(1, 32)] = 1,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation)
        # 13 such layers without a norm: torch's own initial weights would shrink what passes to nothing.
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.bn = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        self.least = dilation * (kernel_size - 1) + 1 - 2 * padding

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H2 W2"]:
        height, width = x.shape[-2:]
        if height < self.least or width < self.least:
            x = F.pad(x, (0, max(0, self.least - width), 0, max(0, self.least - height)))
        return self.relu(self.bn(self.conv(x)))


@component("norm", title="L2 norm", paper="Liu et al. 2015, ParseNet, arXiv:1506.04579", aliases=("SSD L2Norm",))
class L2Norm(nn.Module):
    """Brings the vector of channels at every place to length 1, then scales each channel by a learned factor.

    Args:
        scale: what every factor begins with.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self, channels: Annotated[int, Dim("C")], scale: Annotated[float, Range(0.01, 1000)] = 20.0
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.scale.view(1, -1, 1, 1) * F.normalize(x)


@composite("backbone/vgg", title="VGG stage", paper=PAPER)
def vgg_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
    depth: Annotated[int, Range(1, 16)] = 2,
    norm: bool = False,
) -> Float[Tensor, "B D H W"]:
    """3x3 convolutions of one width, each with a ReLU.

    Args:
        out_channels: channels of every convolution.
        depth: number of convolutions.
        norm: batch norm in each.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """
    for i in range(depth):
        x = g.add(ConvReLU, x, name=f"conv{i}", out_channels=out_channels, norm=norm)
    return x


@composite("backbone", title="VGG", outputs=LEVELS, paper=PAPER, aliases=("VGG16", "VGG-16", "VGG19", "VGG11"))
def vgg(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    depth: Annotated[int, Choices(*DEPTHS)] = 16,
    norm: bool = False,
) -> Pyramid:
    """VGG: five stages of 3x3 convolutions, each followed by a max-pool. Its three linear layers are not part of it.

    Args:
        depth: layers with weights.
        norm: batch norm in every layer, as in VGG-BN.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 64, 128, 256, 512, 512 channels.
    """
    levels: list[Any] = []
    for i, (width, count) in enumerate(zip(WIDTHS, DEPTHS[depth], strict=True)):
        x = g.add(vgg_stage, x, name=f"stage{i + 1}", out_channels=width, depth=count, norm=norm)
        x = g.add(MaxPool, x, name=f"pool{i + 1}", ceil_mode=True)
        levels.append(x)
    return tuple(levels)


@composite(
    "backbone", title="SSD300 VGG", paper=SSD_PAPER, aliases=("SSD backbone", "VGG16 SSD"),
    outputs=("conv4", "conv7", "conv8", "conv9", "conv10", "conv11"),
)  # fmt: skip
def ssd300_vgg(g: Builder, x: Float[Tensor, "B C H W"]) -> tuple[
    Float[Tensor, "B C4 H/8 W/8"], Float[Tensor, "B C7 H/16 W/16"], Float[Tensor, "B C8 H/32 W/32"],
    Float[Tensor, "B C9 H/64 W/64"], Float[Tensor, "B C10 H10 W10"], Float[Tensor, "B C11 H11 W11"],
]:  # fmt: skip
    """SSD300's backbone: VGG16 whose linear layers became convolutions, and four coarser levels.

    The finest level is normalised; the last two come of 3x3 convolutions without padding.

    Shapes: x [B, 3, H, W] -> six maps with 512, 1024, 512, 256, 256, 256 channels; 38, 19, 10, 5, 3, 1 cells a side
    of 300 x 300 pixels.
    """
    conv4, conv7 = _base(g, x)
    conv8 = _coarser(g, conv7, 8, 512, stride=2)
    conv9 = _coarser(g, conv8, 9, 256, stride=2)
    conv10 = _coarser(g, conv9, 10, 256, padding=0)
    return conv4, conv7, conv8, conv9, conv10, _coarser(g, conv10, 11, 256, padding=0)


@composite(
    "backbone", title="SSD512 VGG", paper=SSD_PAPER, aliases=("SSD backbone", "VGG16 SSD"),
    outputs=("conv4", "conv7", "conv8", "conv9", "conv10", "conv11", "conv12"),
)  # fmt: skip
def ssd512_vgg(g: Builder, x: Float[Tensor, "B C H W"]) -> tuple[
    Float[Tensor, "B C4 H/8 W/8"], Float[Tensor, "B C7 H/16 W/16"], Float[Tensor, "B C8 H/32 W/32"],
    Float[Tensor, "B C9 H/64 W/64"], Float[Tensor, "B C10 H/128 W/128"], Float[Tensor, "B C11 H/256 W/256"],
    Float[Tensor, "B C12 H12 W12"],
]:  # fmt: skip
    """SSD512's backbone: VGG16 whose linear layers became convolutions, and five coarser levels.

    The finest level is normalised.

    Shapes: x [B, 3, H, W] -> seven maps with 512, 1024, 512, 256, 256, 256, 256 channels; 64, 32, 16, 8, 4, 2, 1
    cells a side of 512 x 512 pixels.
    """
    conv4, x = _base(g, x)
    levels = [conv4, x]
    for i, width in ((8, 512), (9, 256), (10, 256), (11, 256)):
        x = _coarser(g, x, i, width, stride=2)
        levels.append(x)
    return (*levels, _coarser(g, x, 12, 256, kernel_size=4))


def _base(g: Builder, x: Any) -> tuple[Ref, Ref]:
    """VGG16 to conv4_3, normalised, and on to fc7."""
    finest = x
    for i, (width, count) in enumerate(zip(WIDTHS, DEPTHS[16], strict=True)):
        if i:
            # Rounded up: 75 cells become 38.
            x = g.add(MaxPool, x, name=f"pool{i}", ceil_mode=True)
        x = g.add(vgg_stage, x, name=f"stage{i + 1}", out_channels=width, depth=count)
        finest = x if i == 3 else finest
    x = g.add(MaxPool, x, name="pool5", kernel_size=3, stride=1, padding=1)
    x = g.add(ConvReLU, x, name="fc6", out_channels=1024, padding=6, dilation=6)
    x = g.add(ConvReLU, x, name="fc7", out_channels=1024, kernel_size=1, padding=0)
    return g.add(L2Norm, finest, name="norm4"), x


def _coarser(g: Builder, x: Any, level: int, width: int, **params: int) -> Any:
    """Half of the channels by a 1x1 convolution, then a 3x3 that shrinks the map."""
    x = g.add(ConvReLU, x, name=f"reduce{level}", out_channels=width // 2, kernel_size=1, padding=0)
    return g.add(ConvReLU, x, name=f"conv{level}", out_channels=width, **params)
