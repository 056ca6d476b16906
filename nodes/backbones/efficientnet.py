"""EfficientNet B0 to B4."""

from __future__ import annotations

import math
from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.mobilenet import LEVELS, Pyramid
from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.mobile import InvertedResidual, rounded
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, composite

PAPER = "Tan and Le 2019, arXiv:1905.11946"
SIZES = {"b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8)}
"""Multipliers of width and depth."""
STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
)  # fmt: skip
"""Expansion, kernel, stride, channels and repeats of each stage of B0."""


@composite("backbone/efficientnet", title="MBConv stage", paper=PAPER)
def mbconv_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    in_channels: Annotated[int, Dim("C")],
    out_channels: Annotated[int, Range(8, 4096, 8)] = 24,
    expansion: Annotated[int, Range(1, 16)] = 6,
    kernel_size: Annotated[int, Choices(3, 5, 7)] = 3,
    stride: Annotated[int, Choices(1, 2)] = 2,
    depth: Annotated[int, Range(1, 64)] = 2,
    drop_first: Annotated[float, Range(0, 0.9)] = 0.0,
    drop_last: Annotated[float, Range(0, 0.9)] = 0.0,
) -> Float[Tensor, "B D H/s W/s"]:
    """Inverted residuals of one width with squeeze-and-excitation and SiLU; the first carries the stride.

    Args:
        out_channels: channels it gives.
        expansion: channels inside a block, as a multiple of its input's.
        kernel_size: of the depthwise convolutions.
        stride: of the first block; 2 halves the size.
        depth: number of blocks.
        drop_first: chance that the first block is skipped for an image in training.
        drop_last: that of the last block; between them it grows evenly.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """
    channels = in_channels
    for i in range(depth):
        x = g.add(
            InvertedResidual, x, name=f"block{i}", out_channels=out_channels, expanded=expansion * channels,
            kernel_size=kernel_size, stride=stride if i == 0 else 1, squeeze=max(1, channels // 4), activation="silu",
            drop_path=drop_first + (drop_last - drop_first) * i / max(1, depth - 1),
        )  # fmt: skip
        channels = out_channels
    return x


@composite("backbone", title="EfficientNet", outputs=LEVELS, paper=PAPER, aliases=("EfficientNet-B0",))
def efficientnet(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    size: Annotated[str, Choices(*SIZES)] = "b0",
    drop_path: Annotated[float, Range(0, 0.9)] = 0.0,
) -> Pyramid:
    """EfficientNet: a strided convolution and seven stages of MBConv, scaled in width and depth together.

    The classifier's 1x1 to 1280 (B0) is not part of it.

    Args:
        size: b0 to b4.
        drop_path: chance that the last block is skipped for an image in training; it grows evenly from 0 at the first.
            The paper has 0.2.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 16, 24, 40, 112, 320 channels (b0).
    """
    width, depth = SIZES[size]
    x = g.add(ConvNormAct, x, name="stem", out_channels=rounded(32 * width), stride=2, **TORCH_NORM)
    levels: list[Any] = []
    depths = [math.ceil(repeats * depth) for *_, repeats in STAGES]
    step, done = drop_path / (sum(depths) - 1), 0
    for i, (expansion, kernel, stride, channels, _) in enumerate(STAGES):
        if stride == 2:
            levels.append(x)
        x = g.add(
            mbconv_stage, x, name=f"stage{i}", out_channels=rounded(channels * width), expansion=expansion,
            kernel_size=kernel, stride=stride, depth=depths[i],
            drop_first=step * done, drop_last=step * (done + depths[i] - 1),
        )  # fmt: skip
        done += depths[i]
    return (*levels, x)
