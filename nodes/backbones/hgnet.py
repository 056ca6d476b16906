"""PP-HGNetV2: the backbone of RT-DETR and D-FINE."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.hg import PAPER, HGBlock, HGStem
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite


class Size(NamedTuple):
    """Widths of the stem and the channels it gives, (width, channels, blocks) of each stage, depth of a block."""

    stem: tuple[int, int]
    stages: tuple[tuple[int, int, int], ...]
    depth: int
    affine: bool = False


SIZES = {
    "b0": Size((16, 16), ((16, 64, 1), (32, 256, 1), (64, 512, 2), (128, 1024, 1)), 3, affine=True),
    "b2": Size((24, 32), ((32, 96, 1), (64, 384, 1), (128, 768, 3), (256, 1536, 1)), 4, affine=True),
    "b4": Size((32, 48), ((48, 128, 1), (96, 512, 1), (192, 1024, 3), (384, 2048, 1)), 6),
    "b5": Size((32, 64), ((64, 128, 1), (128, 512, 2), (256, 1024, 5), (512, 2048, 2)), 6),
}
LIGHT_FROM = 2
"""The stage from which on blocks are of depthwise 5x5 convolutions."""


@composite("backbone/hgnet", title="HGNet stage", paper=PAPER, aliases=("PP-HGNetV2 stage",))
def hg_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(2, 65536, 8)] = 512,
    width: Annotated[int, Range(1, 65536, 8)] = 96,
    blocks: Annotated[int, Range(1, 64)] = 1,
    depth: Annotated[int, Range(1, 64)] = 6,
    light: bool = False,
    affine: bool = False,
) -> Float[Tensor, "B D H W"]:
    """HG blocks one after another; all but the first add their input.

    Args:
        out_channels: channels it gives, an even number.
        width: channels of the chain in a block.
        blocks: how many.
        depth: convolutions in the chain of a block.
        light: chains of 1x1 and depthwise 5x5 convolutions in place of dense 3x3.
        affine: a learned factor and shift behind every ReLU.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """
    options = {"width": width, "depth": depth, "kernel_size": 5 if light else 3, "light": light, "affine": affine}
    for i in range(blocks):
        x = g.add(HGBlock, x, name=f"block{i}", out_channels=out_channels, shortcut=i > 0, **options)
    return x


@composite(
    "backbone",
    title="HGNetV2",
    outputs=("c2", "c3", "c4", "c5"),
    paper=PAPER,
    aliases=("PP-HGNet", "PP-HGNetV2", "HGNetv2", "RT-DETR backbone", "D-FINE backbone"),
)
def hgnet(
    g: Builder, x: Float[Tensor, "B C H W"], size: Annotated[str, Choices(*SIZES)] = "b4"
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """PP-HGNetV2: a stem and four stages of HG blocks, halved between them by depthwise convolutions.

    Args:
        size: b0, b2, b4 or b5; b4 is RT-DETR-L's, b5 RT-DETR-X's. b0 and b2 have learned affines behind every ReLU.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32; for b4 with 128, 512, 1024, 2048 channels.
    """
    scale = SIZES[size]
    width, channels = scale.stem
    x = g.add(HGStem, x, name="stem", out_channels=channels, width=width, affine=scale.affine)
    levels: list[Any] = []
    for i, (width, channels, blocks) in enumerate(scale.stages):
        if i:
            before = scale.stages[i - 1][1]
            x = g.add(
                ConvNormAct, x, name=f"down{i + 1}", out_channels=before, stride=2, groups=before, activation="none",
                **TORCH_NORM,
            )  # fmt: skip
        x = g.add(
            hg_stage, x, name=f"stage{i + 1}", out_channels=channels, width=width, blocks=blocks, depth=scale.depth,
            light=i >= LIGHT_FROM, affine=scale.affine,
        )  # fmt: skip
        levels.append(x)
    return tuple(levels)
