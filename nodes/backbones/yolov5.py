"""CSPDarknet as YOLOv5 has it: strided convolutions and C3 blocks, with SPPF at the end."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.conv import ConvDown
from nodes.csp import C3
from nodes.pooling import SPPF
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite
from nodes.stems import ConvStem
from nodes.yolo_sizes import YOLOV5


@composite("backbone/csp_darknet", title="C3 stage", aliases=("YOLOv5 stage",))
def c3_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(2, 65536, 8)] = 128,
    depth: Annotated[int, Range(1, 64)] = 1,
) -> Float[Tensor, "B D H/2 W/2"]:
    """Halves the size, then one C3 block.

    Args:
        out_channels: channels it gives.
        depth: bottlenecks in the C3 block.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """
    x = g.add(ConvDown, x, name="down", out_channels=out_channels)
    return g.add(C3, x, name="c3", out_channels=out_channels, depth=depth)


@composite(
    "backbone",
    title="CSPDarknet (YOLOv5)",
    outputs=("p2", "p3", "p4", "p5"),
    paper="no paper; cross-stage-partial networks: Wang et al. 2020, arXiv:1911.11929",
    aliases=("YOLOv5 backbone", "C3"),
)
def yolov5_backbone(
    g: Builder, x: Float[Tensor, "B C H W"], size: Annotated[str, Choices(*YOLOV5)] = "n"
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """YOLOv5's backbone (release 6.1): a 6x6 stem, four C3 stages and SPPF.

    Args:
        size: n, s, m, l or x; depth and width of the published models.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32; for n with 32, 64, 128, 256 channels.
    """
    scale = YOLOV5[size]
    x = g.add(ConvStem, x, name="stem", out_channels=scale.channels(64), kernel_size=6)
    p2 = g.add(c3_stage, x, name="stage1", out_channels=scale.channels(128), depth=scale.blocks(3))
    p3 = g.add(c3_stage, p2, name="stage2", out_channels=scale.channels(256), depth=scale.blocks(6))
    p4 = g.add(c3_stage, p3, name="stage3", out_channels=scale.channels(512), depth=scale.blocks(9))
    p5 = g.add(c3_stage, p4, name="stage4", out_channels=scale.channels(1024), depth=scale.blocks(3))
    p5 = g.add(SPPF, p5, name="sppf", out_channels=scale.channels(1024))
    return p2, p3, p4, p5
