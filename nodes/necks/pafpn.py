"""PAFPN as YOLOv8 has it: a path down and a path up, fused by concatenation and C2f."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.conv import ConvDown
from nodes.csp import C2f
from nodes.fusion import Concat
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite
from nodes.yolo_sizes import YOLOV8


@composite(
    "neck",
    title="PAFPN",
    outputs=("n3", "n4", "n5"),
    paper="Liu et al. 2018, arXiv:1803.01534; the C2f form is YOLOv8's",
    aliases=("PAN", "PANet", "Path aggregation", "YOLOv8 neck"),
)
def pafpn(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    size: Annotated[str, Choices(*YOLOV8)] = "n",
) -> tuple[Float[Tensor, "B D3 H W"], Float[Tensor, "B D4 H/2 W/2"], Float[Tensor, "B D5 H/4 W/4"]]:
    """YOLOv8's neck: deep maps go down to fine ones, then fine maps go back up.

    Args:
        size: n, s, m, l or x; depth, width and channel cap of the published models.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides; for n with 64, 128, 256 channels.
    """
    scale = YOLOV8[size]

    def fuse(name: str, base: int, *maps: Any) -> Any:
        joined = g.add(Concat, *maps, name=f"concat_{name}")
        width, depth = scale.channels(base), scale.blocks(3)
        return g.add(C2f, joined, name=name, out_channels=width, depth=depth, shortcut=False)

    t4 = fuse("top_down4", 512, g.add(Upsample, p5, name="up5"), p4)
    n3 = fuse("out3", 256, g.add(Upsample, t4, name="up4"), p3)
    n4 = fuse("out4", 512, g.add(ConvDown, n3, name="down3", out_channels=scale.channels(256)), t4)
    n5 = fuse("out5", 1024, g.add(ConvDown, n4, name="down4", out_channels=scale.channels(512)), p5)
    return n3, n4, n5
