"""GDFPN: Gold-YOLO's neck, which gathers all levels twice and lets each level take from the result."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.efficient_rep import SIZES as BACKBONES
from nodes.backbones.efficient_rep import block
from nodes.conv import ConvNormAct
from nodes.gather_distribute import PAPER, AttentionFusion, ConvFusion, Gather, Inject, LocalFusion
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite


class Size(NamedTuple):
    """Channels inside the first mixing, layers and heads of the second."""

    embed: int
    layers: int
    heads: int


SIZES = {"n": Size(96, 2, 4), "s": Size(128, 2, 4), "m": Size(192, 2, 4), "l": Size(192, 3, 8)}


@composite(
    "neck",
    title="GDFPN (Gold-YOLO)",
    outputs=("n3", "n4", "n5"),
    paper=PAPER,
    aliases=("Gold-YOLO neck", "Gather and distribute", "RepGDNeck", "GDNeck", "FAM", "IFM", "LAF"),
)
def gdfpn(
    g: Builder,
    p2: Float[Tensor, "B C2 H W"],
    p3: Float[Tensor, "B C3 H/2 W/2"],
    p4: Float[Tensor, "B C4 H/4 W/4"],
    p5: Float[Tensor, "B C5 H/8 W/8"],
    size: Annotated[str, Choices(*SIZES)] = "n",
) -> tuple[Float[Tensor, "B D3 H/2 W/2"], Float[Tensor, "B D4 H/4 W/4"], Float[Tensor, "B D5 H/8 W/8"]]:
    """Gathers all levels, mixes them, injects the result into levels 4 and 3; then again, into levels 4 and 5.

    The first mixing is done by convolutions at level 4, the second by attention at half of level 5. Made for the
    widths of EfficientRep of the same size.

    Args:
        size: n, s, m or l; depth and width of the published models.

    Shapes: p2 to p5 at strides 4 to 32 -> n3, n4, n5 at strides 8, 16, 32, with 32, 64, 128 channels for n.
    """
    scale, own = BACKBONES[size], SIZES[size]
    narrow, wide, last = scale.channels(128), scale.channels(256), scale.channels(512)
    act = {"activation": "relu"}

    def one(name: str, x: Any, channels: int) -> Any:
        return g.add(ConvNormAct, x, name=name, out_channels=channels, kernel_size=1, **act)

    def chain(name: str, x: Any, channels: int) -> Any:
        return block(g, x, scale.ratio, scale.rep, name, channels, scale.blocks(12))

    gathered = g.add(Gather, p4, p2, p3, p5, name="low_gather")
    low = {"embed_channels": own.embed, "first_channels": wide, "second_channels": narrow, "rep": scale.rep}
    low4, low3 = g.add(ConvFusion, gathered, name="low_fusion", **low)
    l5 = one("lateral5", p5, wide)
    near4 = g.add(LocalFusion, p3, p4, l5, name="low_local4", out_channels=wide)
    t4 = chain("low4", g.add(Inject, near4, low4, name="low_inject4", out_channels=wide), wide)
    l4 = one("lateral4", t4, narrow)
    near3 = g.add(LocalFusion, p2, p3, l4, name="low_local3", out_channels=narrow)
    n3 = chain("out3", g.add(Inject, near3, low3, name="low_inject3", out_channels=narrow), narrow)

    gathered = g.add(Gather, p5, n3, t4, name="high_gather", stride=2)
    high = {"depth": own.layers, "heads": own.heads, "first_channels": wide, "second_channels": last}
    high4, high5 = g.add(AttentionFusion, gathered, name="high_fusion", **high)
    near4 = g.add(Gather, l4, n3, name="high_local4")
    n4 = chain("out4", g.add(Inject, near4, high4, name="high_inject4", out_channels=wide), wide)
    # The largest model takes the level of the first pass here.
    near5 = g.add(Gather, l5, t4 if size == "l" else n4, name="high_local5")
    n5 = chain("out5", g.add(Inject, near5, high5, name="high_inject5", out_channels=last), last)
    return n3, n4, n5
