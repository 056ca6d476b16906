"""SlimFPN: the PAFPN of YOLOv5 with GSConv and VoV-GSCSP in place of its convolutions and C3 blocks."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.fusion import Concat
from nodes.gsconv import PAPER, GSConv, VoVGSCSP
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Dim, Range, composite


@composite(
    "neck",
    title="SlimFPN",
    outputs=("n3", "n4", "n5"),
    paper=PAPER,
    aliases=("Slim-neck", "GSConv neck", "VoV-GSCSP", "PAN"),
)
def slim_fpn(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    width3: Annotated[int, Dim("C3")],
    width4: Annotated[int, Dim("C4")],
    width5: Annotated[int, Dim("C5")],
    depth: Annotated[int, Range(1, 64)] = 1,
) -> tuple[Float[Tensor, "B D3 H W"], Float[Tensor, "B D4 H/2 W/2"], Float[Tensor, "B D5 H/4 W/4"]]:
    """Deep maps go down to fine ones, then fine maps go back up, with about half of YOLOv5's work.

    Each level keeps the channels it comes with, which must be multiples of 8.

    Args:
        depth: bottlenecks in each block; 3 times the depth multiple of YOLOv5.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides, with the same channels.
    """

    def fuse(name: str, width: int, *maps: Any) -> Any:
        joined = g.add(Concat, *maps, name=f"concat_{name}")
        return g.add(VoVGSCSP, joined, name=name, out_channels=width, depth=depth)

    lateral5 = g.add(GSConv, p5, name="lateral5", out_channels=width4, kernel_size=1)
    t4 = fuse("top_down4", width4, g.add(Upsample, lateral5, name="up5"), p4)
    lateral4 = g.add(GSConv, t4, name="lateral4", out_channels=width3, kernel_size=1)
    n3 = fuse("out3", width3, g.add(Upsample, lateral4, name="up4"), p3)
    n4 = fuse("out4", width4, g.add(GSConv, n3, name="down3", out_channels=width3, stride=2), lateral4)
    n5 = fuse("out5", width5, g.add(GSConv, n4, name="down4", out_channels=width4, stride=2), lateral5)
    return n3, n4, n5
