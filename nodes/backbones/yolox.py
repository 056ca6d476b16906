"""CSPDarknet as YOLOX has it: a Focus stem and a spatial pyramid before the last C3 block."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.yolov5 import c3_stage
from nodes.conv import ConvDown
from nodes.csp import C3
from nodes.pooling import SPP
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite
from nodes.stems import FocusStem
from nodes.yolo_sizes import YOLOV5


@composite(
    "backbone",
    title="CSPDarknet (YOLOX)",
    outputs=("p3", "p4", "p5"),
    paper="Ge et al. 2021, arXiv:2107.08430; cross-stage-partial networks: Wang et al. 2020, arXiv:1911.11929",
    aliases=("YOLOX backbone", "C3", "CSPLayer"),
)
def yolox_backbone(
    g: Builder, x: Float[Tensor, "B C H W"], size: Annotated[str, Choices("s", "m", "l", "x")] = "s"
) -> tuple[Float[Tensor, "B C3 H/8 W/8"], Float[Tensor, "B C4 H/16 W/16"], Float[Tensor, "B C5 H/32 W/32"]]:
    """A stem that skips no pixel, four stages of C3 blocks, spatial pyramid pooling in the last.

    Args:
        size: s, m, l or x; depth and width of the published models.

    Shapes: x [B, C, H, W] -> maps at strides 8, 16, 32; for s with 128, 256, 512 channels.
    """
    scale = YOLOV5[size]
    x = g.add(FocusStem, x, name="stem", out_channels=scale.channels(64))
    p2 = g.add(c3_stage, x, name="stage1", out_channels=scale.channels(128), depth=scale.blocks(3))
    p3 = g.add(c3_stage, p2, name="stage2", out_channels=scale.channels(256), depth=scale.blocks(9))
    p4 = g.add(c3_stage, p3, name="stage3", out_channels=scale.channels(512), depth=scale.blocks(9))
    width = scale.channels(1024)
    x = g.add(ConvDown, p4, name="down4", out_channels=width)
    x = g.add(SPP, x, name="spp", out_channels=width)
    p5 = g.add(C3, x, name="c3_4", out_channels=width, depth=scale.blocks(3), shortcut=False)
    return p3, p4, p5
