"""InternImage: a backbone of transformer-like blocks whose mixing is a deformable convolution."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from nodes.channel_norm import ChannelNorm
from nodes.dcnv3 import DCNv3
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite

PAPER = "Wang et al. 2023, arXiv:2211.05778"

GROUP_CHANNELS = 16
"""Channels of one group of a deformable convolution."""


class Size(NamedTuple):
    """A published model: channels and blocks of the stages, norm behind instead of before, learned scales."""

    channels: int
    depths: tuple[int, int, int, int]
    post_norm: bool


SIZES = {
    "tiny": Size(64, (4, 4, 18, 4), False),
    "small": Size(80, (4, 4, 21, 4), True),
    "base": Size(112, (4, 4, 21, 4), True),
}


@component("stem", title="InternImage stem", paper=PAPER)
class InternImageStem(nn.Sequential):
    """Two 3x3 convolutions of stride 2, each with a layer norm over the channels, GELU between.

    Args:
        out_channels: channels it gives; the first convolution has half as many.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/4, W/4].
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(2, 65536, 8)] = 64
    ) -> None:
        half = out_channels // 2
        super().__init__(
            nn.Conv2d(in_channels, half, 3, 2, 1),
            ChannelNorm(half),
            nn.GELU(),
            nn.Conv2d(half, out_channels, 3, 2, 1),
            ChannelNorm(out_channels),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/4 W/4"]:
        return super().forward(x)


@component("downsample", title="InternImage downsampling", paper=PAPER)
class InternImageDown(nn.Sequential):
    """Halves the size and doubles the channels: a 3x3 convolution of stride 2, then a layer norm over the channels.

    Shapes: x [B, C, H, W] -> [B, 2*C, H/2, W/2].
    """

    def __init__(self, channels: Annotated[int, Dim("C")]) -> None:
        super().__init__(nn.Conv2d(channels, 2 * channels, 3, 2, 1, bias=False), ChannelNorm(2 * channels))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return super().forward(x)


@component("block/residual", title="InternImage block", paper=PAPER, aliases=("DCNv3 block", "InternImage layer"))
class InternImageBlock(nn.Module):
    """Deformable convolution, then a feed-forward layer, each on a skip connection with a layer norm.

    Args:
        groups: groups of channels that sample points of their own; must divide the channels.
        expansion: width of the feed-forward layer, in multiples of the channels.
        post_norm: norm behind each branch, and a learned scale that starts at 0.00001 (small, base), instead of a
            norm before it (tiny).
        drop_path: chance that a branch is left out for an image in training.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        groups: Annotated[int, Range(1, 4096)] = 4,
        expansion: Annotated[int, Range(1, 16)] = 4,
        post_norm: bool = False,
        drop_path: Annotated[float, Range(0, 0.9)] = 0.0,
    ) -> None:
        super().__init__()
        self.post_norm = post_norm
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.deform = DCNv3(channels, groups)
        self.feed = nn.Sequential(
            nn.Conv2d(channels, expansion * channels, 1), nn.GELU(), nn.Conv2d(expansion * channels, channels, 1)
        )
        self.drop = StochasticDepth(drop_path, "row")
        if post_norm:
            self.scale1 = nn.Parameter(torch.full((channels, 1, 1), 1e-5))
            self.scale2 = nn.Parameter(torch.full((channels, 1, 1), 1e-5))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        if self.post_norm:
            x = x + self.drop(self.scale1 * self.norm1(self.deform(x)))
            return x + self.drop(self.scale2 * self.norm2(self.feed(x)))
        x = x + self.drop(self.deform(self.norm1(x)))
        return x + self.drop(self.feed(self.norm2(x)))


@composite("backbone/internimage", title="InternImage stage", paper=PAPER)
def internimage_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    groups: Annotated[int, Range(1, 4096)] = 4,
    depth: Annotated[int, Range(1, 100)] = 4,
    post_norm: bool = False,
    drop_first: Annotated[float, Range(0, 0.9)] = 0.0,
    drop_last: Annotated[float, Range(0, 0.9)] = 0.0,
) -> Float[Tensor, "B C H W"]:
    """InternImage blocks; with the norm before the branches, a last layer norm over the channels.

    Args:
        groups: groups of channels that sample points of their own.
        depth: number of blocks.
        post_norm: norm behind each branch instead of before it.
        drop_first: chance that the first block's branches are left out in training.
        drop_last: that of the last block; between them it grows evenly.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """
    for i in range(depth):
        drop = drop_first + (drop_last - drop_first) * i / max(1, depth - 1)
        x = g.add(InternImageBlock, x, name=f"block{i}", groups=groups, post_norm=post_norm, drop_path=drop)
    return x if post_norm else g.add(ChannelNorm, x, name="norm")


@composite(
    "backbone",
    outputs=("c2", "c3", "c4", "c5"),
    title="InternImage",
    paper=PAPER,
    aliases=("DCNv3", "Deformable backbone", "InternImage-T"),
)
def internimage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    size: Annotated[str, Choices(*SIZES)] = "tiny",
    drop_path: Annotated[float, Range(0, 0.9)] = 0.0,
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """InternImage: a stem and four stages of deformable blocks.

    Args:
        size: tiny, small or base; channels and blocks of the published models.
        drop_path: chance that the last block's branches are left out for an image in training; it grows evenly from
            0 at the first. The published models trained with 0.1, 0.4 and 0.5.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32; for tiny with 64, 128, 256, 512 channels.
    """
    model = SIZES[size]
    step, done, levels = drop_path / (sum(model.depths) - 1), 0, []
    x = g.add(InternImageStem, x, name="stem", out_channels=model.channels)
    for i, depth in enumerate(model.depths):
        if i:
            x = g.add(InternImageDown, x, name=f"down{i + 1}")
        x = g.add(
            internimage_stage, x, name=f"stage{i + 1}", groups=(model.channels << i) // GROUP_CHANNELS, depth=depth,
            post_norm=model.post_norm, drop_first=step * done, drop_last=step * (done + depth - 1),
        )  # fmt: skip
        done += depth
        levels.append(x)
    return levels[0], levels[1], levels[2], levels[3]
