"""The backbone of YOLO-MS: MSBlocks whose kernels grow from stage to stage."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct, torch_norms
from nodes.msblock import PAPER, MSBlock
from nodes.pooling import SPPF
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite

SIZES = {"xs": (0.4, 1), "s": (0.54, 1), "base": (0.8, 2)}
"""Width multiplier, and bottlenecks of each piece of an MSBlock."""


@component("stem", title="YOLO-MS stem", paper=PAPER)
class YOLOMSStem(nn.Sequential):
    """Three 3x3 convolutions with batch norm and SiLU, the first of stride 2.

    Args:
        out_channels: channels it gives; the first two convolutions have half as many.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(2, 65536, 8)] = 64
    ) -> None:
        half = out_channels // 2
        super().__init__(
            ConvNormAct(in_channels, half, stride=2), ConvNormAct(half, half), ConvNormAct(half, out_channels)
        )
        torch_norms(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return super().forward(x)


@component("downsample", title="YOLO-MS downsampling", paper=PAPER)
class YOLOMSDown(nn.Sequential):
    """Halves the size with a 3x3 convolution of stride 2, batch norm and SiLU; the channels stay.

    Args:
        pyramid: whether a spatial pyramid (SPPF) follows, as before the last stage.

    Shapes: x [B, C, H, W] -> [B, C, H/2, W/2].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], pyramid: bool = False) -> None:
        super().__init__(ConvNormAct(channels, channels, stride=2), *([SPPF(channels, channels)] if pyramid else []))
        torch_norms(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H/2 W/2"]:
        return super().forward(x)


@composite("backbone/yolo_ms", title="YOLO-MS stage", paper=PAPER, aliases=("MSBlock stage",))
def yolo_ms_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    out_channels: Annotated[int, Range(1, 65536, 8)] = 128,
    kernel_size: Annotated[int, Choices(3, 5, 7, 9)] = 3,
    depth: Annotated[int, Range(1, 64)] = 1,
    pyramid: bool = False,
) -> Float[Tensor, "B D H/2 W/2"]:
    """Halves the size, then one MSBlock.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the depthwise kernels.
        depth: bottlenecks of each piece.
        pyramid: whether a spatial pyramid (SPPF) comes before the block.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """
    x = g.add(YOLOMSDown, x, name="down", pyramid=pyramid)
    return g.add(MSBlock, x, name="block", out_channels=out_channels, kernel_size=kernel_size, depth=depth)


@composite(
    "backbone", outputs=("p2", "p3", "p4", "p5"), title="YOLO-MS backbone", paper=PAPER, aliases=("YOLO-MS", "MSBlock")
)
def yolo_ms(
    g: Builder, x: Float[Tensor, "B C H W"], size: Annotated[str, Choices(*SIZES)] = "xs"
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """YOLO-MS's backbone: a stem and four MSBlock stages with kernels 3, 5, 7 and 9, SPPF before the last.

    Args:
        size: xs, s or base; width and depth of the published models.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32; for base with 128, 256, 512, 1024 channels.
    """
    width, depth = SIZES[size]
    x = g.add(YOLOMSStem, x, name="stem", out_channels=int(80 * width))
    levels = []
    for i, kernel_size in enumerate((3, 5, 7, 9)):
        x = g.add(
            yolo_ms_stage, x, name=f"stage{i + 1}", out_channels=int((160 << i) * width), kernel_size=kernel_size,
            depth=depth, pyramid=i == 3,
        )  # fmt: skip
        levels.append(x)
    return levels[0], levels[1], levels[2], levels[3]
