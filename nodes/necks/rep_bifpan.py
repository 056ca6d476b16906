"""RepBiFPAN: YOLOv6's neck of BiFusions and re-parameterised blocks."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.efficient_rep import SIZES, block
from nodes.bifusion import BiFusion
from nodes.conv import ConvNormAct
from nodes.fusion import Concat
from nodes.rep_block import PAPER
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite


@composite(
    "neck",
    title="RepBiFPAN",
    outputs=("n3", "n4", "n5"),
    paper=PAPER,
    aliases=("YOLOv6 neck", "RepBiFPANNeck", "CSPRepBiFPANNeck", "BiFusion", "BiC"),
)
def rep_bifpan(
    g: Builder,
    p2: Float[Tensor, "B C2 H W"],
    p3: Float[Tensor, "B C3 H/2 W/2"],
    p4: Float[Tensor, "B C4 H/4 W/4"],
    p5: Float[Tensor, "B C5 H/8 W/8"],
    size: Annotated[str, Choices(*SIZES)] = "n",
) -> tuple[Float[Tensor, "B D3 H/2 W/2"], Float[Tensor, "B D4 H/4 W/4"], Float[Tensor, "B D5 H/8 W/8"]]:
    """Down by BiFusions, each of which sees the level above and below its own; back up by strided convolutions.

    Args:
        size: n, s, m or l; depth and width of the published models.

    Shapes: p2 to p5 at strides 4 to 32 -> n3, n4, n5 at strides 8, 16, 32, with 32, 64, 128 channels for n.
    """
    scale = SIZES[size]
    act = {"activation": "relu"}
    narrow, wide, last = scale.channels(128), scale.channels(256), scale.channels(512)

    def chain(name: str, x: Any, channels: int) -> Any:
        return block(g, x, scale.ratio, scale.rep, name, channels, scale.blocks(12))

    def one(name: str, x: Any, channels: int) -> Any:
        return g.add(ConvNormAct, x, name=name, out_channels=channels, kernel_size=1, **act)

    def down(name: str, x: Any, channels: int) -> Any:
        return g.add(ConvNormAct, x, name=name, out_channels=channels, stride=2, **act)

    l5 = one("lateral5", p5, wide)
    t4 = chain("top_down4", g.add(BiFusion, l5, p4, p3, name="fuse4", out_channels=wide), wide)
    l4 = one("lateral4", t4, narrow)
    n3 = chain("out3", g.add(BiFusion, l4, p3, p2, name="fuse3", out_channels=narrow), narrow)
    n4 = chain("out4", g.add(Concat, down("down3", n3, narrow), l4, name="concat4"), wide)
    n5 = chain("out5", g.add(Concat, down("down4", n4, wide), l5, name="concat5"), last)
    return n3, n4, n5
