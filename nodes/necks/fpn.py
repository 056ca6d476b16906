"""Feature pyramid network."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.conv import Conv
from nodes.fusion import Add
from nodes.resize import MatchSize
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Range, composite


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
    merged = g.add(Conv, c5, name="lateral5", out_channels=channels)
    levels = [merged]
    for level, c in ((4, c4), (3, c3), (2, c2)):
        lateral = g.add(Conv, c, name=f"lateral{level}", out_channels=channels)
        above = g.add(MatchSize, merged, lateral, name=f"up{level}")
        merged = g.add(Add, lateral, above, name=f"merge{level}")
        levels.append(merged)
    p5, p4, p3, p2 = (
        g.add(Conv, m, name=f"output{5 - i}", out_channels=channels, kernel_size=3) for i, m in enumerate(levels)
    )
    return p2, p3, p4, p5
