"""PAFPN as YOLOv5 and YOLOX have it: a 1x1 convolution before each step down, C3 blocks, widths as they come."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.conv import ConvDown, ConvNormAct
from nodes.csp import C3
from nodes.fusion import Concat
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Dim, Range, composite


@composite(
    "neck",
    title="CSP-PAFPN",
    outputs=("n3", "n4", "n5"),
    paper="Liu et al. 2018, arXiv:1803.01534; Ge et al. 2021 (YOLOX), arXiv:2107.08430",
    aliases=("PAN", "PANet", "Path aggregation", "YOLOv5 neck", "YOLOX neck", "C3"),
)
def csp_pafpn(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    width3: Annotated[int, Dim("C3")],
    width4: Annotated[int, Dim("C4")],
    width5: Annotated[int, Dim("C5")],
    depth: Annotated[int, Range(1, 64)] = 1,
    out_channels: Annotated[int, Range(0, 65536, 8)] = 0,
) -> tuple[Float[Tensor, "B D3 H W"], Float[Tensor, "B D4 H/2 W/2"], Float[Tensor, "B D5 H/4 W/4"]]:
    """The neck of YOLOv5 and YOLOX: deep maps go down to fine ones, then fine maps go back up.

    Each level keeps the channels it comes with.

    Args:
        depth: bottlenecks in each C3 block; 3 times the depth multiple.
        out_channels: channels of every level, by a last 1x1 convolution as in YOLOX; 0 leaves that out.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides, with the same channels or
    `out_channels`.
    """

    def fuse(name: str, width: int, *maps: Any) -> Any:
        joined = g.add(Concat, *maps, name=f"concat_{name}")
        return g.add(C3, joined, name=name, out_channels=width, depth=depth, shortcut=False)

    lateral5 = g.add(ConvNormAct, p5, name="lateral5", out_channels=width4, kernel_size=1)
    t4 = fuse("top_down4", width4, g.add(Upsample, lateral5, name="up5"), p4)
    lateral4 = g.add(ConvNormAct, t4, name="lateral4", out_channels=width3, kernel_size=1)
    n3 = fuse("out3", width3, g.add(Upsample, lateral4, name="up4"), p3)
    n4 = fuse("out4", width4, g.add(ConvDown, n3, name="down3", out_channels=width3), lateral4)
    n5 = fuse("out5", width5, g.add(ConvDown, n4, name="down4", out_channels=width4), lateral5)
    if out_channels:
        n3, n4, n5 = (
            g.add(ConvNormAct, n, name=f"level{i + 3}", out_channels=out_channels, kernel_size=1)
            for i, n in enumerate((n3, n4, n5))
        )
    return n3, n4, n5
