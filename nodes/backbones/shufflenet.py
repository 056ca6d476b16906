"""ShuffleNet V2."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.mobile import ShuffleUnit
from nodes.pooling import MaxPool
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite

PAPER = "Ma et al. 2018, arXiv:1807.11164"
WIDTHS = {"0.5": (48, 96, 192), "1.0": (116, 232, 464), "1.5": (176, 352, 704), "2.0": (244, 488, 976)}
"""Channels of the three stages."""


@composite("backbone/shufflenet", title="ShuffleNet stage", paper=PAPER)
def shuffle_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(2, 4096, 2)] = 116,
    depth: Annotated[int, Range(1, 64)] = 4,
) -> Float[Tensor, "B D H/2 W/2"]:
    """Shuffle units of one width; the first halves the size.

    Args:
        out_channels: channels it gives, an even number.
        depth: number of units.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """
    for i in range(depth):
        x = g.add(ShuffleUnit, x, name=f"unit{i}", out_channels=out_channels, stride=2 if i == 0 else 1)
    return x


@composite("backbone", title="ShuffleNet V2", outputs=("c2", "c3", "c4", "c5"), paper=PAPER)
def shufflenet_v2(
    g: Builder, x: Float[Tensor, "B C H W"], width: Annotated[str, Choices(*WIDTHS)] = "1.0"
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """ShuffleNet V2: a strided convolution, max pooling and three stages of shuffle units.

    The classifier's 1x1 to 1024 is not part of it.

    Args:
        width: 0.5, 1.0, 1.5 or 2.0 times the channels.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32 with 24, 116, 232, 464 channels at width 1.0.
    """
    x = g.add(ConvNormAct, x, name="stem", out_channels=24, stride=2, activation="relu", **TORCH_NORM)
    x = g.add(MaxPool, x, name="pool", kernel_size=3, stride=2, padding=1)
    levels: list[Any] = [x]
    for i, (channels, depth) in enumerate(zip(WIDTHS[width], (4, 8, 4), strict=True)):
        x = g.add(shuffle_stage, x, name=f"stage{i + 2}", out_channels=channels, depth=depth)
        levels.append(x)
    return tuple(levels)
