"""YOLOv3's neck: blocks of five convolutions, each level joined with the deeper one enlarged."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.fusion import Concat
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Range, composite

PAPER = "Redmon and Farhadi 2018, arXiv:1804.02767"
LEAKY = {"activation": "leaky_relu", **TORCH_NORM}


@composite("neck/yolov3", title="Five convolutions", paper=PAPER, aliases=("DetectionBlock", "YOLOv3 block"))
def five_convs(
    g: Builder, x: Float[Tensor, "B C H W"], out_channels: Annotated[int, Range(1, 65536, 8)] = 128
) -> Float[Tensor, "B D H W"]:
    """1x1, 3x3, 1x1, 3x3, 1x1 convolutions in a row; the 3x3 ones have twice the channels.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """
    for i in range(5):
        width, kernel_size = (2 * out_channels, 3) if i % 2 else (out_channels, 1)
        x = g.add(ConvNormAct, x, name=f"conv{i + 1}", out_channels=width, kernel_size=kernel_size, **LEAKY)
    return x


@composite("neck", title="YOLOv3 neck", outputs=("n3", "n4", "n5"), paper=PAPER, aliases=("YOLOV3Neck", "Darknet FPN"))
def yolov3_neck(
    g: Builder,
    c3: Float[Tensor, "B C3 H W"],
    c4: Float[Tensor, "B C4 H/2 W/2"],
    c5: Float[Tensor, "B C5 H/4 W/4"],
    channels: Annotated[int, Range(4, 65536, 8)] = 512,
) -> tuple[Float[Tensor, "B D3 H W"], Float[Tensor, "B D4 H/2 W/2"], Float[Tensor, "B D5 H/4 W/4"]]:
    """YOLOv3's path from deep maps to fine ones; each level halves the channels.

    Args:
        channels: of the deepest level it gives.

    Shapes: c3, c4, c5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides with channels / 4, channels / 2, channels.
    """
    n5 = g.add(five_convs, c5, name="block5", out_channels=channels)
    narrow = g.add(ConvNormAct, n5, name="narrow5", out_channels=channels // 2, kernel_size=1, **LEAKY)
    joined = g.add(Concat, g.add(Upsample, narrow, name="up5"), c4, name="concat4")
    n4 = g.add(five_convs, joined, name="block4", out_channels=channels // 2)
    narrow = g.add(ConvNormAct, n4, name="narrow4", out_channels=channels // 4, kernel_size=1, **LEAKY)
    joined = g.add(Concat, g.add(Upsample, narrow, name="up4"), c3, name="concat3")
    return g.add(five_convs, joined, name="block3", out_channels=channels // 4), n4, n5
