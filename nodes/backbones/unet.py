"""U-Net: its block and the whole encoder and decoder."""

from __future__ import annotations

import math
from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.fusion import Concat
from nodes.pooling import MaxPool
from nodes.resize import ConvTranspose, MatchSize
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite

PAPER = "Ronneberger et al. 2015, arXiv:1505.04597"


@component("block/unet", title="Double conv", paper=PAPER, aliases=("U-Net block", "DoubleConv"))
class DoubleConv(nn.Module):
    """Twice a 3x3 convolution, norm and ReLU, at one size: the block of U-Net.

    The paper has neither norm nor padding.

    Args:
        out_channels: channels it gives.
        norm: batch norm, or group norm where a step has few images.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        norm: Annotated[str, Choices("batch", "group")] = "batch",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers.append(nn.Conv2d(channels, out_channels, 3, padding=1, bias=False))
            groups = math.gcd(8, out_channels)
            layers.append(nn.BatchNorm2d(out_channels) if norm == "batch" else nn.GroupNorm(groups, out_channels))
            layers.append(nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.layers(x)


@composite(
    "backbone",
    title="U-Net",
    paper=PAPER,
    aliases=("UNet", "encoder-decoder", "semantic segmentation", "biomedical segmentation"),
)
def unet(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    channels: Annotated[int, Range(1, 4096, 8)] = 64,
    depth: Annotated[int, Range(1, 6)] = 4,
    norm: Annotated[str, Choices("batch", "group")] = "batch",
) -> Float[Tensor, "B D H W"]:
    """U-Net: halves the image again and again, enlarges it again, and joins each size with what it was on the way down.

    Ends at the image's own size, for an FCN head of depth 0. The image need not be a multiple of anything.

    Args:
        channels: at the image's size; they double with each halving.
        depth: how often the image is halved.
        norm: batch norm, or group norm where a step has few images.

    Shapes: x [B, C, H, W] -> [B, channels, H, W].
    """
    skips = []
    for level in range(depth):
        x = g.add(DoubleConv, x, name=f"down{level}", out_channels=channels << level, norm=norm)
        skips.append(x)
        x = g.add(MaxPool, x, name=f"pool{level}")
    x = g.add(DoubleConv, x, name="bottom", out_channels=channels << depth, norm=norm)
    for level in reversed(range(depth)):
        x = g.add(ConvTranspose, x, name=f"enlarge{level}", out_channels=channels << level)
        x = g.add(MatchSize, x, skips[level], name=f"match{level}")
        x = g.add(Concat, skips[level], x, name=f"join{level}")
        x = g.add(DoubleConv, x, name=f"up{level}", out_channels=channels << level, norm=norm)
    return x
