"""PANet's neck: an FPN and a second path from the bottom up."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.conv import Conv
from nodes.fusion import Add
from nodes.necks.fpn import fpn
from nodes.pooling import MaxPool
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Range, composite


@composite(
    "neck",
    title="PANet",
    outputs=("n2", "n3", "n4", "n5", "n6"),
    paper="Liu et al. 2018, arXiv:1803.01534",
    aliases=("PAFPN", "Path aggregation network", "PAN"),
)
def panet(
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
    """Adds fine maps, halved by 3x3 convolutions, to the coarser levels of an FPN; convolutions with bias, no norm.

    Args:
        channels: channels of every level it gives.

    Shapes: c2 to c5 at strides 4 to 32 -> n2 to n6 at strides 4 to 64, `channels` each.
    """
    n2, *others = g.add(fpn, c2, c3, c4, c5, name="fpn", channels=channels)
    levels = [n2]
    for i, p in enumerate(others, 3):
        down = g.add(Conv, levels[-1], name=f"down{i - 1}", out_channels=channels, kernel_size=3, stride=2)
        levels.append(g.add(Add, p, down, name=f"merge{i}"))
    levels = [n2] + [
        g.add(Conv, n, name=f"output{i}", out_channels=channels, kernel_size=3) for i, n in enumerate(levels[1:], 3)
    ]
    return levels[0], levels[1], levels[2], levels[3], g.add(MaxPool, levels[3], name="output6", kernel_size=1)
