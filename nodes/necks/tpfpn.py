"""TPFPN: a pyramid whose levels attend to themselves and to each other, in the manner of FPT."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.attention.pyramid import PAPER, GroundingTransformer, RenderingTransformer, SelfTransformer
from nodes.conv import Conv
from nodes.fusion import Concat
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Dim, Range, composite


@composite(
    "neck",
    title="TPFPN",
    outputs=("n3", "n4", "n5"),
    paper=PAPER,
    aliases=("FPT", "Feature pyramid transformer", "attention neck"),
)
def tpfpn(
    g: Builder,
    p3: Float[Tensor, "B C H W"],
    p4: Float[Tensor, "B C H/2 W/2"],
    p5: Float[Tensor, "B C H/4 W/4"],
    channels: Annotated[int, Dim("C")],
    parts: Annotated[int, Range(1, 16)] = 2,
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B C H/2 W/2"], Float[Tensor, "B C H/4 W/4"]]:
    """Every level is joined with its own attention, with what coarser levels mean and with what finer levels show.

    There is no canonical figure for a neck of this name; this one is built from the paper on the feature pyramid
    transformer. Put it behind an FPN: all levels have the same channels, which it keeps.

    Args:
        parts: softmaxes that each attention mixes; must divide half the channels.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides and channels.
    """
    levels = {3: p3, 4: p4, 5: p5}

    def seen_by(level: int, x: Any) -> list[Any]:
        made = [x, g.add(SelfTransformer, x, name=f"self{level}", parts=parts)]
        for other, y in levels.items():
            if other > level:
                made.append(g.add(GroundingTransformer, x, y, name=f"ground{level}_{other}", parts=parts))
            elif other < level:
                made.append(g.add(RenderingTransformer, x, y, name=f"render{level}_{other}"))
        return made

    out = []
    for level, x in levels.items():
        joined = g.add(Concat, *seen_by(level, x), name=f"concat{level}")
        out.append(g.add(Conv, joined, name=f"output{level}", out_channels=channels, kernel_size=3))
    return out[0], out[1], out[2]
