"""The backbone of MHAF-YOLO: RepHMS blocks whose kernels grow from stage to stage."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from jaxtyping import Float
from torch import Tensor

from nodes.attention.psa import PSA
from nodes.conv import ConvDown, ConvNormAct
from nodes.pooling import SPPF
from nodes.rephms import PAPER, SMALLER, RepHMS
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite
from nodes.stems import ConvStem


class Block(NamedTuple):
    """One stage's RepHMS: channels, pieces in its cascade, expansion of its bottlenecks."""

    channels: int
    branches: int
    expansion: float


class Size(NamedTuple):
    """A published model: channels of the stem, the four stages, channels after them."""

    stem: int
    stages: tuple[Block, Block, Block, Block]
    last: int


SIZES = {
    "lite-n": Size(16, (Block(32, 2, 3), Block(64, 2, 3), Block(128, 2, 3), Block(192, 2, 2.5)), 192),
    "n": Size(16, (Block(32, 2, 3), Block(64, 3, 3), Block(128, 3, 3), Block(256, 2, 3)), 256),
    "s": Size(32, (Block(64, 2, 3), Block(128, 3, 3), Block(256, 3, 3), Block(384, 2, 3)), 512),
    "m": Size(48, (Block(96, 3, 3), Block(192, 4, 2.5), Block(384, 4, 2.5), Block(512, 3, 2)), 512),
}


@composite("backbone/mhaf", title="MHAF-YOLO stage", paper=PAPER, aliases=("RepHMS stage",))
def mhaf_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
    branches: Annotated[int, Range(2, 8)] = 3,
    expansion: Annotated[float, Range(1, 8)] = 3.0,
    kernel_size: Annotated[int, Choices(*SMALLER)] = 5,
    separable: bool = False,
) -> Float[Tensor, "B D H/2 W/2"]:
    """Halves the size, then one RepHMS block.

    Args:
        out_channels: channels it gives.
        branches: pieces of the block's cascade.
        expansion: channels inside a bottleneck, in multiples of its own.
        kernel_size: side of the large kernels.
        separable: halves with a 1x1 and a depthwise 3x3 convolution, as the deeper stages do, instead of a dense 3x3.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """
    if separable:
        x = g.add(ConvNormAct, x, name="widen", out_channels=out_channels, kernel_size=1)
        x = g.add(
            ConvNormAct, x, name="down", out_channels=out_channels, stride=2, groups=out_channels, activation="none"
        )
    else:
        x = g.add(ConvDown, x, name="down", out_channels=out_channels)
    settings = {"branches": branches, "expansion": expansion, "kernel_size": kernel_size}
    return g.add(RepHMS, x, name="block", out_channels=out_channels, **settings)


@composite(
    "backbone",
    outputs=("p2", "p3", "p4", "p5"),
    title="MHAF-YOLO backbone",
    paper=PAPER,
    aliases=("MHAF-YOLO", "MAF-YOLO", "RepHMS backbone"),
)
def mhaf(
    g: Builder, x: Float[Tensor, "B C H W"], size: Annotated[str, Choices(*SIZES)] = "n"
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """MHAF-YOLO's backbone: a stem, four RepHMS stages with kernels 3, 5, 7 and 9, SPPF and partial self-attention.

    Args:
        size: lite-n, n, s or m; channels and cascades of the published models.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32; for n with 32, 64, 128, 256 channels.
    """
    model = SIZES[size]
    x = g.add(ConvStem, x, name="stem", out_channels=model.stem)
    levels = []
    for i, (block, kernel_size) in enumerate(zip(model.stages, SMALLER, strict=True)):
        x = g.add(
            mhaf_stage, x, name=f"stage{i + 1}", out_channels=block.channels, branches=block.branches,
            expansion=block.expansion, kernel_size=kernel_size, separable=i >= 2,
        )  # fmt: skip
        levels.append(x)
    p5 = g.add(SPPF, x, name="sppf", out_channels=model.last)
    return levels[0], levels[1], levels[2], g.add(PSA, p5, name="psa")
