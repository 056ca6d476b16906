"""LiteNeck: a PAN of separable convolutions with four levels of equal width, for small devices."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.conv import ConvNormAct
from nodes.fusion import Add, Concat
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite
from nodes.separable import PAPER, SeparableConv, SeparableCSP


@composite(
    "neck",
    title="LiteNeck",
    outputs=("n3", "n4", "n5", "n6"),
    paper=PAPER,
    aliases=("Lite_EffiNeck", "YOLOv6-Lite neck", "mobile neck", "PAN"),
)
def lite_neck(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    channels: Annotated[int, Range(2, 4096, 2)] = 96,
    kernel_size: Annotated[int, Choices(3, 5, 7)] = 5,
) -> tuple[
    Float[Tensor, "B D H W"], Float[Tensor, "B D H/2 W/2"], Float[Tensor, "B D H/4 W/4"], Float[Tensor, "B D H/8 W/8"]
]:
    """Brings all levels to one width, goes down and up once, and adds a fourth level.

    Args:
        channels: channels of every level it gives, an even number.
        kernel_size: side of the depthwise kernels; odd.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3 to n6 at strides 8 to 64, `channels` each.
    """

    def lateral(level: int, x: Any) -> Any:
        act = {"activation": "hardswish"}
        return g.add(ConvNormAct, x, name=f"lateral{level}", out_channels=channels, kernel_size=1, **act)

    def fuse(name: str, *maps: Any) -> Any:
        joined = g.add(Concat, *maps, name=f"concat_{name}")
        return g.add(SeparableCSP, joined, name=name, out_channels=channels, kernel_size=kernel_size)

    def down(name: str, x: Any) -> Any:
        return g.add(SeparableConv, x, name=name, out_channels=channels, kernel_size=kernel_size, stride=2)

    l3, l4, l5 = lateral(3, p3), lateral(4, p4), lateral(5, p5)
    t4 = fuse("top_down4", g.add(Upsample, l5, name="up5"), l4)
    n3 = fuse("out3", g.add(Upsample, t4, name="up4"), l3)
    n4 = fuse("out4", down("down3", n3), t4)
    n5 = fuse("out5", down("down4", n4), l5)
    n6 = g.add(Add, down("top6", l5), down("down5", n5), name="out6")
    return n3, n4, n5, n6
