"""MAFPN: MHAF-YOLO's neck, whose fusions also see the maps next to their own."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from nodes.assisted_fusion import AAF, SAF
from nodes.conv import ConvDown
from nodes.rephms import PAPER
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite


class Block(NamedTuple):
    """The RepHMS of one fusion: channels, pieces in its cascade, expansion of its bottlenecks."""

    channels: int
    branches: int
    expansion: float


class Size(NamedTuple):
    """Fusions of the path down (levels 5, 4, 3) and up (3, 4, 5), and whether deeper maps of the backbone join."""

    down: tuple[Block, Block, Block]
    up: tuple[Block, Block, Block]
    deeper: bool = True


def _even(*channels: int) -> tuple[Block, Block, Block]:
    first, second, third = (Block(c, 2, 3) for c in channels)
    return first, second, third


SIZES = {
    "lite-n": Size(_even(96, 96, 64), _even(64, 96, 96), deeper=False),
    "n": Size(_even(128, 96, 96), _even(96, 96, 128)),
    "s": Size(_even(256, 192, 192), _even(192, 192, 256)),
    "m": Size(
        (Block(384, 3, 2), Block(256, 3, 2.5), Block(256, 3, 3)),
        (Block(256, 3, 3), Block(256, 3, 2.5), Block(384, 3, 2)),
    ),
}


@composite(
    "neck",
    title="MAFPN",
    outputs=("n3", "n4", "n5"),
    paper=PAPER,
    aliases=("MHAF-YOLO neck", "MAF-YOLO neck", "SAF", "AAF", "Multi-branch auxiliary FPN"),
)
def mafpn(
    g: Builder,
    p2: Float[Tensor, "B C2 H W"],
    p3: Float[Tensor, "B C3 H/2 W/2"],
    p4: Float[Tensor, "B C4 H/4 W/4"],
    p5: Float[Tensor, "B C5 H/8 W/8"],
    size: Annotated[str, Choices(*SIZES)] = "n",
) -> tuple[Float[Tensor, "B D3 H/2 W/2"], Float[Tensor, "B D4 H/4 W/4"], Float[Tensor, "B D5 H/8 W/8"]]:
    """Shallow maps come in averaged, deep ones enlarged; once from the top down (SAF), once back up (AAF).

    Kernels grow with the level: 5, 7 and 9.

    Args:
        size: lite-n, n, s or m; channels and depth of the published models.

    Shapes: p2 to p5 at strides 4 to 32 -> n3, n4, n5 at strides 8, 16, 32, with 96, 96, 128 channels for n.
    """
    scale = SIZES[size]

    def fuse(kind: Any, name: str, block: Block, kernel_size: int, *maps: Any) -> Any:
        settings = {"branches": block.branches, "expansion": block.expansion, "kernel_size": kernel_size}
        return g.add(kind, *maps, name=name, out_channels=block.channels, **settings)

    def deeper(x: Any) -> list[Any]:
        return [x] if scale.deeper else []

    s5 = fuse(SAF, "saf5", scale.down[0], 9, p5, p4)
    s4 = fuse(SAF, "saf4", scale.down[1], 7, p4, p3, *deeper(p5), s5)
    s3 = fuse(SAF, "saf3", scale.down[2], 5, p3, p2, *deeper(p4), s4)
    n3 = fuse(AAF, "aaf3", scale.up[0], 5, s3, s4)
    wide = scale.up[1].channels
    n4 = fuse(AAF, "aaf4", scale.up[1], 7, s4, g.add(ConvDown, n3, name="down3", out_channels=wide), s3, s5)
    n5 = fuse(AAF, "aaf5", scale.up[2], 9, s5, g.add(ConvDown, n4, name="down4", out_channels=wide), s4)
    return n3, n4, n5
