"""GhostNet."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.mobilenet import LEVELS, Pyramid
from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.mobile import GhostBottleneck, rounded
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Range, composite

BLOCKS = (
    (3, 16, 16, False, 1), (3, 48, 24, False, 2), (3, 72, 24, False, 1), (5, 72, 40, True, 2), (5, 120, 40, True, 1),
    (3, 240, 80, False, 2), (3, 200, 80, False, 1), (3, 184, 80, False, 1), (3, 184, 80, False, 1),
    (3, 480, 112, True, 1), (3, 672, 112, True, 1), (5, 672, 160, True, 2), (5, 960, 160, False, 1),
    (5, 960, 160, True, 1), (5, 960, 160, False, 1), (5, 960, 160, True, 1),
)  # fmt: skip
"""Kernel, expanded channels, channels, squeeze and stride of each block."""
AHEAD = (1, 3, 5, 11)
"""Blocks that halve the size; the maps before them are levels."""


@composite("backbone", title="GhostNet", outputs=LEVELS, paper="Han et al. 2020, arXiv:1911.11907")
def ghostnet(g: Builder, x: Float[Tensor, "B C H W"], width: Annotated[float, Range(0.1, 4)] = 1.0) -> Pyramid:
    """GhostNet: a strided convolution and 16 ghost bottlenecks. The classifier's 1x1 to 960 is not part of it.

    Args:
        width: multiplies all channels; rounded to multiples of 4.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 16, 24, 40, 112, 160 channels at width 1.
    """
    x = g.add(
        ConvNormAct, x, name="stem", out_channels=rounded(16 * width, 4), stride=2, activation="relu", **TORCH_NORM
    )
    levels: list[Any] = []
    for i, (kernel, expanded, channels, squeezes, stride) in enumerate(BLOCKS):
        if i in AHEAD:
            levels.append(x)
        wide = rounded(expanded * width, 4)
        x = g.add(
            GhostBottleneck, x, name=f"block{i}", out_channels=rounded(channels * width, 4), expanded=wide,
            kernel_size=kernel, stride=stride, squeeze=rounded(wide / 4, 4) if squeezes else 0,
        )  # fmt: skip
    return (*levels, x)
