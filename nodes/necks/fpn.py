"""Feature pyramid network."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.basic import Activation
from nodes.conv import Conv
from nodes.fusion import Add
from nodes.pooling import MaxPool
from nodes.resize import MatchSize
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite


@composite(
    "neck",
    title="FPN",
    outputs=("p2", "p3", "p4", "p5"),
    paper="Lin et al. 2017, arXiv:1612.03144",
    aliases=("Feature pyramid",),
)
def fpn(
    g: Builder,
    c2: Float[Tensor, "B C2 H W"],
    c3: Float[Tensor, "B C3 H/2 W/2"],
    c4: Float[Tensor, "B C4 H/4 W/4"],
    c5: Float[Tensor, "B C5 H/8 W/8"],
    channels: Annotated[int, Range(1, 65536, 8)] = 256,
) -> tuple[
    Float[Tensor, "B D H W"], Float[Tensor, "B D H/2 W/2"], Float[Tensor, "B D H/4 W/4"], Float[Tensor, "B D H/8 W/8"]
]:
    """Adds deep, coarse maps to shallow, fine ones from the top down.

    A 1x1 convolution on each level, each sum with the level above it enlarged, a 3x3 convolution on each result; no
    norm. Levels need not be exact halves of each other.

    Args:
        channels: channels of every level it gives.

    Shapes: c2 to c5 at strides 4 to 32 -> p2 to p5 at the same strides, `channels` each.
    """
    p5, p4, p3, p2 = _top_down(g, {5: c5, 4: c4, 3: c3, 2: c2}, channels)
    return p2, p3, p4, p5


@composite(
    "neck",
    title="FPN P2 to P6",
    outputs=("p2", "p3", "p4", "p5", "p6"),
    paper="Lin et al. 2017, arXiv:1612.03144",
    aliases=("Feature pyramid", "SOLO neck", "Faster R-CNN neck", "Mask R-CNN neck", "LastLevelMaxPool"),
)
def fpn_p2_p6(
    g: Builder,
    c2: Float[Tensor, "B C2 H W"],
    c3: Float[Tensor, "B C3 H/2 W/2"],
    c4: Float[Tensor, "B C4 H/4 W/4"],
    c5: Float[Tensor, "B C5 H/8 W/8"],
    channels: Annotated[int, Range(1, 65536, 8)] = 256,
) -> tuple[
    Float[Tensor, "B D H W"],
    Float[Tensor, "B D H/2 W/2"],
    Float[Tensor, "B D H/4 W/4"],
    Float[Tensor, "B D H/8 W/8"],
    Float[Tensor, "B D H/16 W/16"],
]:
    """An FPN with one coarser level, every other cell of its coarsest, for instance segmentation.

    Args:
        channels: channels of every level it gives.

    Shapes: c2 to c5 at strides 4 to 32 -> p2 to p6 at strides 4 to 64, `channels` each.
    """
    p5, p4, p3, p2 = _top_down(g, {5: c5, 4: c4, 3: c3, 2: c2}, channels)
    return p2, p3, p4, p5, g.add(MaxPool, p5, name="output6", kernel_size=1)


@composite(
    "neck",
    title="FPN P3 to P7",
    outputs=("p3", "p4", "p5", "p6", "p7"),
    paper="Lin et al. 2017, arXiv:1612.03144; P6 and P7: Lin et al. 2017, RetinaNet, arXiv:1708.02002",
    aliases=("Feature pyramid", "RetinaNet neck", "FCOS neck", "ATSS neck", "LastLevelP6P7"),
)
def fpn_p3_p7(
    g: Builder,
    c3: Float[Tensor, "B C3 H W"],
    c4: Float[Tensor, "B C4 H/2 W/2"],
    c5: Float[Tensor, "B C5 H/4 W/4"],
    channels: Annotated[int, Range(1, 65536, 8)] = 256,
    extra_from: Annotated[str, Choices("c5", "p5")] = "p5",
) -> tuple[
    Float[Tensor, "B D H W"],
    Float[Tensor, "B D H/2 W/2"],
    Float[Tensor, "B D H/4 W/4"],
    Float[Tensor, "B D H/8 W/8"],
    Float[Tensor, "B D H/16 W/16"],
]:
    """An FPN without its finest level and with two coarser ones, for dense heads.

    Args:
        channels: channels of every level it gives.
        extra_from: what P6 is made of: c5 as RetinaNet does, or p5 as FCOS and ATSS do.

    Shapes: c3 to c5 at strides 8 to 32 -> p3 to p7 at strides 8 to 128, `channels` each.
    """
    p5, p4, p3 = _top_down(g, {5: c5, 4: c4, 3: c3}, channels)
    down = {"out_channels": channels, "kernel_size": 3, "stride": 2}
    p6 = g.add(Conv, c5 if extra_from == "c5" else p5, name="output6", **down)
    p7 = g.add(Conv, g.add(Activation, p6, name="relu6", function="relu"), name="output7", **down)
    return p3, p4, p5, p6, p7


def _top_down(g: Builder, maps: dict[int, Any], channels: int) -> tuple[Any, ...]:
    """Outputs of the levels, deepest first."""
    deepest, *others = maps
    merged = g.add(Conv, maps[deepest], name=f"lateral{deepest}", out_channels=channels)
    levels = {deepest: merged}
    for level in others:
        lateral = g.add(Conv, maps[level], name=f"lateral{level}", out_channels=channels)
        above = g.add(MatchSize, merged, lateral, name=f"up{level}")
        levels[level] = merged = g.add(Add, lateral, above, name=f"merge{level}")
    return tuple(
        g.add(Conv, merged, name=f"output{level}", out_channels=channels, kernel_size=3)
        for level, merged in levels.items()
    )
