"""MobileNet V1, V2 and V3."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.mobile import DepthwiseSeparable, InvertedResidual, rounded
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Range, composite

LEVELS = ("c1", "c2", "c3", "c4", "c5")
Pyramid = tuple[
    Float[Tensor, "B C1 H/2 W/2"],
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]

V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""Channels and stride of each block."""


@composite("backbone", title="MobileNet V1", outputs=LEVELS, paper="Howard et al. 2017, arXiv:1704.04861")
def mobilenet_v1(g: Builder, x: Float[Tensor, "B C H W"], width: Annotated[float, Range(0.1, 4)] = 1.0) -> Pyramid:
    """MobileNet V1: a strided convolution and 13 depthwise separable blocks.

    Args:
        width: multiplies all channels; rounded to multiples of 8.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 64, 128, 256, 512, 1024 channels at width 1.
    """
    x = g.add(ConvNormAct, x, name="stem", out_channels=rounded(32 * width), stride=2, activation="relu6", **TORCH_NORM)
    levels: list[Any] = []
    for i, (channels, stride) in enumerate(V1):
        if stride == 2:
            levels.append(x)
        x = g.add(DepthwiseSeparable, x, name=f"block{i}", out_channels=rounded(channels * width), stride=stride)
    return (*levels, x)


V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, repeats and stride of each stage."""


@composite("backbone", title="MobileNet V2", outputs=LEVELS, paper="Sandler et al. 2018, arXiv:1801.04381")
def mobilenet_v2(g: Builder, x: Float[Tensor, "B C H W"], width: Annotated[float, Range(0.1, 4)] = 1.0) -> Pyramid:
    """MobileNet V2: a strided convolution and 17 inverted residuals. The classifier's 1x1 to 1280 is not part of it.

    Args:
        width: multiplies all channels; rounded to multiples of 8.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 16, 24, 32, 96, 320 channels at width 1.
    """
    channels = rounded(32 * width)
    x = g.add(ConvNormAct, x, name="stem", out_channels=channels, stride=2, activation="relu6", **TORCH_NORM)
    levels: list[Any] = []
    block = 0
    for expansion, out, repeats, first in V2:
        if first == 2:
            levels.append(x)
        for i in range(repeats):
            stride = first if i == 0 else 1
            given = rounded(out * width)
            x = g.add(
                InvertedResidual,
                x,
                name=f"block{block}",
                out_channels=given,
                expanded=expansion * channels,
                stride=stride,
            )
            channels, block = given, block + 1
    return (*levels, x)


V3 = {
    # Kernel, expanded channels, channels, squeeze, activation, stride of each block.
    "small": (
        (3, 16, 16, True, "relu", 2), (3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hardswish", 2), (5, 240, 40, True, "hardswish", 1), (5, 240, 40, True, "hardswish", 1),
        (5, 120, 48, True, "hardswish", 1), (5, 144, 48, True, "hardswish", 1), (5, 288, 96, True, "hardswish", 2),
        (5, 576, 96, True, "hardswish", 1), (5, 576, 96, True, "hardswish", 1),
    ),
    "large": (
        (3, 16, 16, False, "relu", 1), (3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hardswish", 2), (3, 200, 80, False, "hardswish", 1), (3, 184, 80, False, "hardswish", 1),
        (3, 184, 80, False, "hardswish", 1), (3, 480, 112, True, "hardswish", 1), (3, 672, 112, True, "hardswish", 1),
        (5, 672, 160, True, "hardswish", 2), (5, 960, 160, True, "hardswish", 1), (5, 960, 160, True, "hardswish", 1),
    ),
}  # fmt: skip
V3_NORM = {"eps": 1e-3, "momentum": 0.01}
"""Batch norm as MobileNet V3 is trained with."""


@composite("backbone", title="MobileNet V3", outputs=LEVELS, paper="Howard et al. 2019, arXiv:1905.02244")
def mobilenet_v3(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    size: Annotated[str, Choices(*V3)] = "large",
    output_stride: Annotated[int, Choices(16, 32)] = 32,
    levels: Annotated[str, Choices("last", "first")] = "last",
) -> Pyramid:
    """MobileNet V3: inverted residuals with squeeze-and-excitation and hard-swish, found by search.

    The last level ends with the 1x1 to six times the block's channels that the classifier pools.

    Args:
        size: large or small.
        output_stride: of the last map; at 16 the last three blocks dilate in place of halving, as segmentation wants.
        levels: whether c1 to c4 are what the last or the first block of their size gives; torchvision's LR-ASPP takes
            the first.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 16, 24, 40, 112, 960 (large) or 16, 16, 24, 48, 576
    (small) channels; those of first blocks have 80 (large) or 40 (small) in c4.
    """
    channels = 16
    x = g.add(ConvNormAct, x, name="stem", out_channels=channels, stride=2, activation="hardswish", **V3_NORM)
    first, last = [x], []
    for i, (kernel, expanded, out, squeezes, activation, stride) in enumerate(V3[size]):
        dilates = output_stride == 16 and i >= len(V3[size]) - 3
        if stride == 2:
            last.append(x)
        x = g.add(
            InvertedResidual, x, name=f"block{i}", out_channels=out, expanded=expanded, kernel_size=kernel,
            stride=1 if dilates else stride, squeeze=rounded(expanded / 4) if squeezes else 0, activation=activation,
            gate="hardsigmoid", dilation=2 if dilates else 1, **V3_NORM,
        )  # fmt: skip
        if stride == 2:
            first.append(x)
        channels = out
    deepest = g.add(
        ConvNormAct, x, name="last", out_channels=6 * channels, kernel_size=1, activation="hardswish", **V3_NORM
    )
    return (*(first[:4] if levels == "first" else last), deepest)
