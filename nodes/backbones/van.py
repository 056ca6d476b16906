"""VAN, the visual attention network: a convolutional backbone whose blocks attend with large kernels."""

from __future__ import annotations

from typing import Annotated, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from nodes.attention.lka import PAPER, LKAttention
from nodes.channel_norm import ChannelNorm
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite

SIZES = {
    "b0": ((32, 64, 160, 256), (3, 3, 5, 2)),
    "b1": ((64, 128, 320, 512), (2, 2, 4, 2)),
    "b2": ((64, 128, 320, 512), (3, 3, 12, 3)),
    "b3": ((64, 128, 320, 512), (3, 5, 27, 3)),
}
"""Channels and blocks of the four stages."""

EXPANSIONS = (8, 8, 4, 4)
"""Width of each stage's feed-forward layers, in multiples of its channels."""

M = TypeVar("M", bound=nn.Module)


def _started(module: M) -> M:
    """Convolutions drawn with variance 2 / fan-out, of one group, and without bias, as the authors start them."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            fan_out = part.weight[0, 0].numel() * part.out_channels // part.groups
            nn.init.normal_(part.weight, std=(2 / fan_out) ** 0.5)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return module


@component("downsample", title="VAN patch embedding", paper=PAPER, aliases=("Overlapping patches",))
class VANEmbed(nn.Module):
    """Patches that overlap: one strided convolution with bias, then batch norm.

    Args:
        out_channels: channels it gives.
        kernel_size: side of a patch; 7 before the first stage, 3 before the others.
        stride: 4 before the first stage, 2 before the others.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Annotated[int, Choices(3, 5, 7)] = 3,
        stride: Annotated[int, Choices(2, 4)] = 2,
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2)
        self.norm = nn.BatchNorm2d(out_channels)
        _started(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return self.norm(self.proj(x))


@component("block/residual", title="VAN block", paper=PAPER, aliases=("Visual attention network", "LKA"))
class VANBlock(nn.Module):
    """Large-kernel attention, then a feed-forward layer with a depthwise 3x3, each on a scaled skip connection.

    Both take a batch norm before them, and a learned scale per channel that starts at 0.01 behind.

    Args:
        expansion: width of the feed-forward layer, in multiples of the channels.
        drop_path: chance that a branch is left out for an image in training.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        expansion: Annotated[int, Range(1, 16)] = 4,
        drop_path: Annotated[float, Range(0, 0.9)] = 0.0,
    ) -> None:
        super().__init__()
        wide = expansion * channels
        self.norm1 = nn.BatchNorm2d(channels)
        self.attention = LKAttention(channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.feed = nn.Sequential(
            nn.Conv2d(channels, wide, 1),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
            nn.GELU(),
            nn.Conv2d(wide, channels, 1),
        )
        self.scale1 = nn.Parameter(torch.full((channels, 1, 1), 1e-2))
        self.scale2 = nn.Parameter(torch.full((channels, 1, 1), 1e-2))
        self.drop = StochasticDepth(drop_path, "row")
        _started(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        x = x + self.drop(self.scale1 * self.attention(self.norm1(x)))
        return x + self.drop(self.scale2 * self.feed(self.norm2(x)))


@composite("backbone/van", title="VAN stage", paper=PAPER)
def van_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
    depth: Annotated[int, Range(1, 100)] = 3,
    expansion: Annotated[int, Range(1, 16)] = 4,
    kernel_size: Annotated[int, Choices(3, 5, 7)] = 3,
    stride: Annotated[int, Choices(2, 4)] = 2,
    drop_first: Annotated[float, Range(0, 0.9)] = 0.0,
    drop_last: Annotated[float, Range(0, 0.9)] = 0.0,
) -> Float[Tensor, "B D H/s W/s"]:
    """Overlapping patches, VAN blocks, and a layer norm over the channels.

    Args:
        out_channels: channels it gives.
        depth: number of blocks.
        expansion: width of the blocks' feed-forward layers, in multiples of the channels.
        kernel_size: side of a patch.
        stride: distance of the patches.
        drop_first: chance that the first block's branches are left out in training.
        drop_last: that of the last block; between them it grows evenly.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """
    x = g.add(VANEmbed, x, name="embed", out_channels=out_channels, kernel_size=kernel_size, stride=stride)
    for i in range(depth):
        drop = drop_first + (drop_last - drop_first) * i / max(1, depth - 1)
        x = g.add(VANBlock, x, name=f"block{i}", expansion=expansion, drop_path=drop)
    return g.add(ChannelNorm, x, name="norm")


@composite(
    "backbone",
    outputs=("c2", "c3", "c4", "c5"),
    title="VAN",
    paper=PAPER,
    aliases=("Visual attention network", "VAN-B0", "Large kernel"),
)
def van(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    size: Annotated[str, Choices(*SIZES)] = "b0",
    drop_path: Annotated[float, Range(0, 0.9)] = 0.0,
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """VAN: four stages of large-kernel attention blocks.

    Args:
        size: b0 to b3; channels and blocks of the published models.
        drop_path: chance that the last block's branches are left out for an image in training; it grows evenly from
            0 at the first. The published models trained with 0.1, b3 with 0.2.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32; for b0 with 32, 64, 160, 256 channels.
    """
    channels, depths = SIZES[size]
    step, done, levels = drop_path / (sum(depths) - 1), 0, []
    for i, depth in enumerate(depths):
        x = g.add(
            van_stage, x, name=f"stage{i + 1}", out_channels=channels[i], depth=depth, expansion=EXPANSIONS[i],
            kernel_size=3 if i else 7, stride=2 if i else 4,
            drop_first=step * done, drop_last=step * (done + depth - 1),
        )  # fmt: skip
        done += depth
        levels.append(x)
    return levels[0], levels[1], levels[2], levels[3]
