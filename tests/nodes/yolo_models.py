"""MHAF-YOLO as published, drawn from components, so that its backbone can be held to the figures of whole models."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.mhaf import mhaf
from nodes.conv import Conv, ConvDown, ConvNormAct
from nodes.fusion import Concat
from nodes.pooling import AvgPool
from nodes.rephms import RepHMS, RepLKConv
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import composite

Image = Float[Tensor, "B C H W"]
Level2, Level3 = Float[Tensor, "B C2 H2 W2"], Float[Tensor, "B C3 H3 W3"]
Level4, Level5 = Float[Tensor, "B C4 H4 W4"], Float[Tensor, "B C5 H5 W5"]


class Block(NamedTuple):
    channels: int
    branches: int
    expansion: float


class Neck(NamedTuple):
    """RepHMS blocks of the path down (levels 5, 4, 3) and up (3, 4, 5), and whether deeper backbone maps join."""

    down: tuple[Block, Block, Block]
    up: tuple[Block, Block, Block]
    deeper: bool = True


NECKS = {
    "lite-n": Neck(
        (Block(96, 2, 3), Block(96, 2, 3), Block(64, 2, 3)), (Block(64, 2, 3), Block(96, 2, 3), Block(96, 2, 3)), False
    ),
    "n": Neck(
        (Block(128, 2, 3), Block(96, 2, 3), Block(96, 2, 3)), (Block(96, 2, 3), Block(96, 2, 3), Block(128, 2, 3))
    ),
    "s": Neck(
        (Block(256, 2, 3), Block(192, 2, 3), Block(192, 2, 3)), (Block(192, 2, 3), Block(192, 2, 3), Block(256, 2, 3))
    ),
    "m": Neck(
        (Block(384, 3, 2), Block(256, 3, 2.5), Block(256, 3, 3)),
        (Block(256, 3, 3), Block(256, 3, 2.5), Block(384, 3, 2)),
    ),
}
CLASSES, BOX = 80, 64
Levels = tuple[Level3, Level4, Level5]
OUTPUTS = ("level3", "level4", "level5")


@composite("test", outputs=OUTPUTS, title="MAFPN")
def mafpn(g: Builder, b2: Level2, b3: Level3, b4: Level4, b5: Level5, size: str = "n") -> Levels:
    """The neck: shallow maps come in pooled, deep ones enlarged."""
    neck = NECKS[size]

    def fuse(name: str, block: Block, kernel_size: int, *maps: Any) -> Any:
        joined = g.add(Concat, *maps, name=f"join_{name}")
        settings = {"branches": block.branches, "expansion": block.expansion, "kernel_size": kernel_size}
        return g.add(RepHMS, joined, name=name, out_channels=block.channels, **settings)

    def deeper(x: Any) -> list[Any]:
        return [g.add(Upsample, x)] if neck.deeper else []

    s5 = fuse("s5", neck.down[0], 9, g.add(AvgPool, b4), b5)
    s4 = fuse("s4", neck.down[1], 7, g.add(AvgPool, b3), b4, *deeper(b5), g.add(Upsample, s5))
    s3 = fuse("s3", neck.down[2], 5, g.add(AvgPool, b2), b3, *deeper(b4), g.add(Upsample, s4))
    o3 = fuse("o3", neck.up[0], 5, g.add(Upsample, s4), s3)
    wide = neck.up[1].channels
    shrunk = g.add(ConvDown, o3, name="down3", out_channels=wide)
    o4 = fuse("o4", neck.up[1], 7, shrunk, g.add(AvgPool, s3), g.add(Upsample, s5), s4)
    shrunk = g.add(ConvDown, o4, name="down4", out_channels=wide)
    return o3, o4, fuse("o5", neck.up[2], 9, shrunk, g.add(AvgPool, s4), s5)


@composite("test", outputs=OUTPUTS, title="Towers")
def towers(g: Builder, p3: Level3, p4: Level4, p5: Level5, finest: int = 96) -> Levels:
    """One of its two heads without the decoding: box bins and class scores of each level, concatenated."""
    box, hidden = max(16, finest // 4, BOX), max(finest, min(CLASSES, 100))
    levels = []
    for i, x in enumerate((p3, p4, p5)):
        channels = NECK_CHANNELS[finest][i]
        y = g.add(RepLKConv, g.add(ConvNormAct, x, out_channels=box, kernel_size=1), kernel_size=5)
        boxes = g.add(Conv, g.add(ConvNormAct, y, out_channels=box, kernel_size=1), out_channels=BOX)
        y = x
        for wide in (channels, hidden):
            y = g.add(ConvNormAct, y, out_channels=wide, groups=wide)
            y = g.add(ConvNormAct, y, out_channels=hidden, kernel_size=1)
        levels.append(g.add(Concat, boxes, g.add(Conv, y, out_channels=CLASSES)))
    return levels[0], levels[1], levels[2]


NECK_CHANNELS = {n.up[0].channels: tuple(b.channels for b in n.up) for n in NECKS.values()}


@composite("test", outputs=tuple(f"{head}_{level}" for head in ("many", "one") for level in OUTPUTS), title="MHAF-YOLO")
def mhaf_yolo(g: Builder, x: Image, size: str = "n", heads: int = 2) -> tuple[Image, ...]:
    """Backbone, neck, and the heads that train: one match an object and many. Only the first of one is deployed."""
    levels = g.add(mafpn, *g.add(mhaf, x, name="backbone", size=size), name="neck", size=size)
    finest = NECKS[size].up[0].channels
    outputs = [g.add(towers, *levels, name=f"head{i}", finest=finest) for i in range(heads)]
    return (*outputs[0], *outputs[-1])
