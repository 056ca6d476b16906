"""YOLOv7's backbones: ELAN blocks with a downsampling on two paths, and the tiny form with max-pools."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.conv import ConvDown, ConvNormAct
from nodes.elan import ELAN, ELAN_PAPER, ELANDown
from nodes.pooling import MaxPool
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite

TINY = {"links": 2, "convs": 1, "activation": "leaky_relu"}
"""The ELAN block of YOLOv7-tiny."""


@composite(
    "backbone",
    title="ELAN (YOLOv7)",
    outputs=("p3", "p4", "p5"),
    paper=ELAN_PAPER,
    aliases=("YOLOv7 backbone", "YOLOv7-tiny backbone", "E-ELAN"),
)
def yolov7_backbone(
    g: Builder, x: Float[Tensor, "B C H W"], size: Annotated[str, Choices("tiny", "l")] = "l"
) -> tuple[Float[Tensor, "B C3 H/8 W/8"], Float[Tensor, "B C4 H/16 W/16"], Float[Tensor, "B C5 H/32 W/32"]]:
    """Four stages of one ELAN block each.

    Args:
        size: tiny, with max-pools between the stages and leaky ReLU; or l, the plain YOLOv7.

    Shapes: x [B, C, H, W] -> maps at strides 8, 16, 32, with 128, 256, 512 channels (tiny) or 512, 1024, 1024 (l).
    """
    levels = _tiny(g, x) if size == "tiny" else _large(g, x)
    return levels[0], levels[1], levels[2]


def _tiny(g: Builder, x: Any) -> list[Any]:
    down = {"kernel_size": 3, "stride": 2, "activation": "leaky_relu"}
    x = g.add(ConvNormAct, x, name="stem1", out_channels=32, **down)
    x = g.add(ConvNormAct, x, name="stem2", out_channels=64, **down)
    levels = [g.add(ELAN, x, name="stage1", out_channels=64, inner=32, **TINY)]
    for i, width in enumerate((64, 128, 256), 2):
        x = g.add(MaxPool, levels[-1], name=f"down{i}")
        levels.append(g.add(ELAN, x, name=f"stage{i}", out_channels=2 * width, inner=width, **TINY))
    return levels[1:]


def _large(g: Builder, x: Any) -> list[Any]:
    x = g.add(ConvNormAct, x, name="stem1", out_channels=32)
    x = g.add(ConvDown, x, name="stem2", out_channels=64)
    x = g.add(ConvNormAct, x, name="stem3", out_channels=64)
    x = g.add(ConvDown, x, name="down1", out_channels=128)
    levels = [g.add(ELAN, x, name="stage1", out_channels=256, inner=64)]
    for i, (before, out, inner) in enumerate(((256, 512, 128), (512, 1024, 256), (1024, 1024, 256)), 2):
        x = g.add(ELANDown, levels[-1], name=f"down{i}", out_channels=before)
        levels.append(g.add(ELAN, x, name=f"stage{i}", out_channels=out, inner=inner))
    return levels[1:]
