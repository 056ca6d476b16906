"""YOLOv7's necks: a PAFPN of ELAN blocks behind SPPCSP, and the tiny form."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.yolov7 import TINY
from nodes.conv import ConvNormAct
from nodes.elan import ELAN, ELAN_PAPER, ELANDown
from nodes.fusion import Concat
from nodes.pooling import SPPCSP
from nodes.rep import RepConv
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite


@composite(
    "neck",
    title="ELAN-PAFPN (YOLOv7)",
    outputs=("n3", "n4", "n5"),
    paper=ELAN_PAPER,
    aliases=("YOLOv7 neck", "YOLOv7-tiny neck", "PANet", "ELAN-H"),
)
def yolov7_neck(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    size: Annotated[str, Choices("tiny", "l")] = "l",
) -> tuple[Float[Tensor, "B D3 H W"], Float[Tensor, "B D4 H/2 W/2"], Float[Tensor, "B D5 H/4 W/4"]]:
    """Deep maps go down to fine ones, then fine maps go back up, fused by ELAN blocks; a 3x3 convolution ends a level.

    Args:
        size: tiny, with strided convolutions and leaky ReLU; or l, the plain YOLOv7, whose last convolutions are
            re-parameterised.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides, with 128, 256, 512 channels (tiny) or
    256, 512, 1024 (l).
    """
    tiny = size == "tiny"
    width3, width4, width5 = (64, 128, 256) if tiny else (128, 256, 512)
    act = {"activation": "leaky_relu" if tiny else "silu"}

    def narrow(name: str, x: Any, width: int) -> Any:
        return g.add(ConvNormAct, x, name=name, out_channels=width, kernel_size=1, **act)

    def fuse(name: str, width: int, *maps: Any) -> Any:
        """An ELAN block whose paths have half the width of what comes in, twice `width`, or a quarter for tiny."""
        joined = g.add(Concat, *maps, name=f"concat_{name}")
        if tiny:
            return g.add(ELAN, joined, name=name, out_channels=width, inner=width // 2, **TINY)
        return g.add(ELAN, joined, name=name, out_channels=width, inner=width, links=4, convs=1, chain=width // 2)

    def down(name: str, x: Any, width: int) -> Any:
        if tiny:
            return g.add(ConvNormAct, x, name=name, out_channels=width, kernel_size=3, stride=2, **act)
        return g.add(ELANDown, x, name=name, out_channels=width)

    top = g.add(SPPCSP, p5, name="sppcsp", out_channels=width5, tiny=tiny, **act)
    up5 = g.add(Upsample, narrow("narrow5", top, width4), name="up5")
    t4 = fuse("top_down4", width4, narrow("lateral4", p4, width4), up5)
    up4 = g.add(Upsample, narrow("narrow4", t4, width3), name="up4")
    t3 = fuse("top_down3", width3, narrow("lateral3", p3, width3), up4)
    b4 = fuse("bottom_up4", width4, down("down3", t3, width4), t4)
    b5 = fuse("bottom_up5", width5, down("down4", b4, width5), top)
    if tiny:
        n3, n4, n5 = (
            g.add(ConvNormAct, x, name=f"out{i}", out_channels=2 * w, kernel_size=3, **act)
            for i, x, w in ((3, t3, width3), (4, b4, width4), (5, b5, width5))
        )
    else:
        n3, n4, n5 = (
            g.add(RepConv, x, name=f"out{i}", out_channels=2 * w)
            for i, x, w in ((3, t3, width3), (4, b4, width4), (5, b5, width5))
        )
    return n3, n4, n5
