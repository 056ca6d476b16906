"""ConvNeXt and ConvNeXt V2."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from nodes.channel_norm import ChannelNorm
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite

PAPER = "Liu et al. 2022, arXiv:2201.03545"
PAPER_V2 = "Woo et al. 2023, arXiv:2301.00808"


class ResponseNorm(nn.Module):
    """Global response normalisation of ConvNeXt V2. x [B, H, W, C] -> the same.

    Each channel is scaled by how strong it is over the map, relative to the mean of all channels.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        strength = x.norm(p=2, dim=(1, 2), keepdim=True)
        relative = strength / (strength.mean(-1, keepdim=True) + self.eps)
        return x + self.bias + self.weight * x * relative


@component("block/convnext", title="ConvNeXt block", paper=PAPER, aliases=("ConvNeXt V2 block",))
class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7 convolution, layer norm, and a wide 1x1 pair with GELU, added to the input.

    Args:
        version: 1 scales the branch by a learned number a channel, 2 has global response normalisation inside.
        drop_path: chance that the block is skipped for an image in training.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        version: Annotated[int, Choices(1, 2)] = 1,
        drop_path: Annotated[float, Range(0, 0.9)] = 0.0,
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.widen = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.response = ResponseNorm(4 * channels) if version == 2 else nn.Identity()
        self.narrow = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6)) if version == 1 else None
        self.drop = StochasticDepth(drop_path, "row")

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.narrow(self.response(self.act(self.widen(y)))).permute(0, 3, 1, 2)
        return x + self.drop(y if self.scale is None else y * self.scale)


@component("downsample", title="ConvNeXt downsample", paper=PAPER)
class ConvNeXtDown(nn.Module):
    """Layer norm, then a 2x2 convolution of stride 2: what stands between ConvNeXt's stages.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2], odd sizes rounded down.
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 65536, 8)] = 192
    ) -> None:
        super().__init__()
        self.norm = ChannelNorm(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 2, 2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H_half W_half"]:
        return self.conv(self.norm(x))


@component("stem", title="ConvNeXt stem", paper=PAPER, aliases=("Patchify",))
class ConvNeXtStem(nn.Module):
    """A 4x4 convolution of stride 4 and layer norm.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/4, W/4], rounded down.
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 65536, 8)] = 96
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 4, 4)
        self.norm = ChannelNorm(out_channels)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H_quarter W_quarter"]:
        return self.norm(self.conv(x))


@composite("backbone/convnext", title="ConvNeXt stage", paper=PAPER)
def convnext_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    depth: Annotated[int, Range(1, 64)] = 3,
    version: Annotated[int, Choices(1, 2)] = 1,
    drop_first: Annotated[float, Range(0, 0.9)] = 0.0,
    drop_last: Annotated[float, Range(0, 0.9)] = 0.0,
) -> Float[Tensor, "B C H W"]:
    """ConvNeXt blocks of one width.

    Args:
        depth: number of blocks.
        version: of the blocks, 1 or 2.
        drop_first: chance that the first block is skipped for an image in training.
        drop_last: that of the last block; between them it grows evenly.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """
    for i in range(depth):
        drop = drop_first + (drop_last - drop_first) * i / max(1, depth - 1)
        x = g.add(ConvNeXtBlock, x, name=f"block{i}", version=version, drop_path=drop)
    return x


SIZES = {
    "atto": (40, (2, 2, 6, 2)), "femto": (48, (2, 2, 6, 2)), "pico": (64, (2, 2, 6, 2)), "nano": (80, (2, 2, 8, 2)),
    "tiny": (96, (3, 3, 9, 3)), "small": (96, (3, 3, 27, 3)), "base": (128, (3, 3, 27, 3)),
}  # fmt: skip
"""Channels of the first stage, which double from stage to stage, and blocks of each."""


@composite(
    "backbone", title="ConvNeXt", outputs=("c2", "c3", "c4", "c5"), paper=f"{PAPER}; V2: {PAPER_V2}",
    aliases=("ConvNeXt V2", "ConvNeXt-T"),
)  # fmt: skip
def convnext(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    size: Annotated[str, Choices(*SIZES)] = "tiny",
    version: Annotated[int, Choices(1, 2)] = 1,
    drop_path: Annotated[float, Range(0, 0.9)] = 0.0,
) -> tuple[
    Float[Tensor, "B C2 Hq Wq"],
    Float[Tensor, "B C3 H8 W8"],
    Float[Tensor, "B C4 H16 W16"],
    Float[Tensor, "B C5 H32 W32"],
]:
    """ConvNeXt: a convolutional network drawn like a transformer, of depthwise 7x7 blocks.

    Args:
        size: tiny, small and base of the paper; atto to nano of V2's.
        version: 1, or 2 with global response normalisation.
        drop_path: chance that the last block is skipped for an image in training; it grows evenly from 0 at the first.
            The published models trained with 0.1 (tiny), 0.4 (small), 0.5 (base).

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32 with 96, 192, 384, 768 channels (tiny).
    """
    width, depths = SIZES[size]
    x = g.add(ConvNeXtStem, x, name="stem", out_channels=width)
    levels: list[Any] = []
    step, done = drop_path / (sum(depths) - 1), 0
    for i, depth in enumerate(depths):
        if i:
            x = g.add(ConvNeXtDown, x, name=f"down{i + 1}", out_channels=width << i)
        x = g.add(
            convnext_stage, x, name=f"stage{i + 1}", depth=depth, version=version,
            drop_first=step * done, drop_last=step * (done + depth - 1),
        )  # fmt: skip
        done += depth
        levels.append(x)
    return tuple(levels)
