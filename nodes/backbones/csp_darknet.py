"""CSPDarknet as YOLOv8 has it: strided convolutions and C2f blocks, with SPPF at the end."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.conv import ConvDown
from nodes.csp import C2f
from nodes.pooling import SPPF
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite
from nodes.stems import ConvStem
from nodes.yolo_sizes import YOLOV8


@composite("backbone/csp_darknet", title="C2f stage", aliases=("YOLOv8 stage",))
def csp_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(2, 65536, 8)] = 128,
    depth: Annotated[int, Range(1, 64)] = 1,
) -> Float[Tensor, "B D H/2 W/2"]:
    """Halves the size, then one C2f block.

    Args:
        out_channels: channels it gives.
        depth: bottlenecks in the C2f block.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """
    x = g.add(ConvDown, x, name="down", out_channels=out_channels)
    return g.add(C2f, x, name="c2f", out_channels=out_channels, depth=depth)


@composite("backbone", outputs=("p2", "p3", "p4", "p5"), title="CSPDarknet", aliases=("YOLOv8 backbone", "Darknet"))
def csp_darknet(
    g: Builder, x: Float[Tensor, "B C H W"], size: Annotated[str, Choices(*YOLOV8)] = "n"
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """YOLOv8's backbone: a stem, four C2f stages and SPPF.

    Args:
        size: n, s, m, l or x; depth, width and channel cap of the published models.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32; for n with 32, 64, 128, 256 channels.
    """
    scale = YOLOV8[size]
    x = g.add(ConvStem, x, name="stem", out_channels=scale.channels(64))
    p2 = g.add(csp_stage, x, name="stage1", out_channels=scale.channels(128), depth=scale.blocks(3))
    p3 = g.add(csp_stage, p2, name="stage2", out_channels=scale.channels(256), depth=scale.blocks(6))
    p4 = g.add(csp_stage, p3, name="stage3", out_channels=scale.channels(512), depth=scale.blocks(6))
    p5 = g.add(csp_stage, p4, name="stage4", out_channels=scale.channels(1024), depth=scale.blocks(3))
    p5 = g.add(SPPF, p5, name="sppf", out_channels=scale.channels(1024))
    return p2, p3, p4, p5
