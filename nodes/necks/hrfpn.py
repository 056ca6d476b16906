"""HRFPN: HRNet's four branches joined at the finest size, and a pyramid pooled from the result."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.conv import Conv
from nodes.fusion import Concat
from nodes.pooling import AvgPool
from nodes.resize import MatchSize
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Range, composite


@composite(
    "neck",
    title="HRFPN",
    outputs=("p2", "p3", "p4", "p5", "p6"),
    paper="Sun et al. 2019, arXiv:1904.04514",
    aliases=("HRNetV2p", "HRNet neck", "High-resolution feature pyramid"),
)
def hrfpn(
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
    """Enlarges all branches to the finest, joins them, and averages the result down to five levels.

    A 1x1 convolution after the joining, a 3x3 convolution on each level; no norm.

    Args:
        channels: channels of every level it gives.

    Shapes: c2 to c5 at strides 4 to 32 -> p2 to p6 at strides 4 to 64, `channels` each.
    """
    larger = [g.add(MatchSize, c, c2, name=f"up{i}", mode="bilinear") for i, c in ((3, c3), (4, c4), (5, c5))]
    joined = g.add(Concat, c2, *larger, name="concat")
    whole = g.add(Conv, joined, name="reduce", out_channels=channels)
    levels = []
    for i in range(5):
        x = g.add(AvgPool, whole, name=f"pool{i + 2}", kernel_size=2**i, stride=2**i) if i else whole
        levels.append(g.add(Conv, x, name=f"output{i + 2}", out_channels=channels, kernel_size=3))
    return levels[0], levels[1], levels[2], levels[3], levels[4]
