"""EfficientRep: YOLOv6's backbone of re-parameterised blocks, which Gold-YOLO has too."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from nodes.conv import ConvNormAct
from nodes.pooling import SPPCSP, SPPF
from nodes.rep import RepConv
from nodes.rep_block import PAPER, RepBlock, RepPairCSP
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite


class Size(NamedTuple):
    """Multipliers of width and depth; ratio of the CSP blocks, 0 for plain ones; whether convolutions have branches."""

    width: float
    depth: float
    ratio: float
    rep: bool = True

    def channels(self, base: int) -> int:
        """Scaled and rounded up to a multiple of 8."""
        return -int(-base * self.width // 8) * 8

    def blocks(self, base: int) -> int:
        return max(1, round(base * self.depth))


SIZES = {
    "n": Size(0.25, 0.33, 0.0),
    "s": Size(0.50, 0.33, 0.0),
    "m": Size(0.75, 0.60, 0.6667),
    "l": Size(1.00, 1.00, 0.5, rep=False),
}


def convolve(g: Builder, x: Any, size: Size, name: str, channels: int, stride: int = 1) -> Any:
    """A 3x3 convolution as the size has it: with branches and ReLU, or plain with SiLU."""
    if size.rep:
        return g.add(RepConv, x, name=name, out_channels=channels, stride=stride, activation="relu")
    return g.add(ConvNormAct, x, name=name, out_channels=channels, stride=stride)


def block(g: Builder, x: Any, ratio: float, rep: bool, name: str, channels: int, depth: int) -> Any:
    """A chain of 3x3 convolutions, inside a CSP block where there is a ratio."""
    if not ratio:
        return g.add(RepBlock, x, name=name, out_channels=channels, depth=depth)
    return g.add(RepPairCSP, x, name=name, out_channels=channels, depth=depth, ratio=ratio, rep=rep)


@composite("backbone/efficient_rep", title="EfficientRep stage", paper=PAPER, aliases=("YOLOv6 stage", "ERBlock"))
def efficient_rep_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
    depth: Annotated[int, Range(1, 64)] = 2,
    ratio: Annotated[float, Choices(0.0, 0.5, 0.6667)] = 0.0,
    rep: bool = True,
) -> Float[Tensor, "B D H/2 W/2"]:
    """Halves the size, then a chain of 3x3 convolutions.

    Args:
        out_channels: channels it gives.
        depth: 3x3 convolutions in the chain.
        ratio: channels inside a CSP block around the chain over those outside; 0 for no such block.
        rep: convolutions with branches and ReLU; plain ones with SiLU otherwise.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """
    x = convolve(g, x, Size(1, 1, ratio, rep), "down", out_channels, 2)
    return block(g, x, ratio, rep, "block", out_channels, depth)


@composite(
    "backbone",
    title="EfficientRep",
    outputs=("p2", "p3", "p4", "p5"),
    paper=PAPER,
    aliases=("YOLOv6 backbone", "Gold-YOLO backbone", "CSPBepBackbone", "RepVGG"),
)
def efficient_rep(
    g: Builder, x: Float[Tensor, "B C H W"], size: Annotated[str, Choices(*SIZES)] = "n"
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """A stem and four stages of 3x3 convolutions that are deployed without branches, with spatial pyramid pooling.

    Args:
        size: n, s, m or l; depth and width of the published models. m has CSP blocks, l plain convolutions in them.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32; for n with 32, 64, 128, 256 channels.
    """
    scale = SIZES[size]
    x = convolve(g, x, scale, "stem", scale.channels(64), 2)
    levels = []
    for i, (base, depth) in enumerate(((128, 6), (256, 12), (512, 18), (1024, 6))):
        options = {"depth": scale.blocks(depth), "ratio": scale.ratio, "rep": scale.rep}
        x = g.add(efficient_rep_stage, x, name=f"stage{i + 1}", out_channels=scale.channels(base), **options)
        levels.append(x)
    last = scale.channels(1024)
    if scale.ratio:
        top = g.add(SPPF, x, name="sppf", out_channels=last)
    else:
        top = g.add(SPPCSP, x, name="sppf", out_channels=last, width=last // 2, activation="relu")
    return levels[0], levels[1], levels[2], top
