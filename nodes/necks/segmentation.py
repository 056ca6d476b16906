"""Necks of semantic segmentation: they bring what a backbone saw back to a fine map."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.context import ASPP, PyramidPooling
from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.fusion import Add, Concat
from nodes.resize import MatchSize
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Range, composite

RELU = {"activation": "relu", **TORCH_NORM}


@composite(
    "neck",
    title="DeepLabV3+ decoder",
    paper="Chen et al. 2018, arXiv:1802.02611",
    aliases=("DeepLabV3+", "DeepLabV3Plus", "semantic segmentation"),
)
def deeplab_decoder(
    g: Builder,
    c2: Float[Tensor, "B C2 H W"],
    c5: Float[Tensor, "B C5 H/4 W/4"],
    channels: Annotated[int, Range(1, 65536, 8)] = 256,
    low_channels: Annotated[int, Range(1, 4096, 8)] = 48,
    rates: tuple[int, ...] = (6, 12, 18),
) -> Float[Tensor, "B D H W"]:
    """ASPP on the coarse map, enlarged and joined with a narrow copy of the fine one, and two 3x3 convolutions.

    For an FCN head of depth 0. The paper's 3x3 convolutions are separable on Xception; these are plain.

    Args:
        channels: of ASPP and of the result.
        low_channels: what the fine map is narrowed to.
        rates: dilations of ASPP; 6, 12, 18 at output stride 16, twice that at 8.

    Shapes: c2 at stride 4, c5 at stride 8 to 32 -> [B, channels, H, W] at stride 4.
    """
    x = g.add(ASPP, c5, name="aspp", out_channels=channels, rates=rates)
    x = g.add(MatchSize, x, c2, name="enlarge", mode="bilinear")
    low = g.add(ConvNormAct, c2, name="narrow", out_channels=low_channels, kernel_size=1, **RELU)
    x = g.add(Concat, low, x, name="join")
    for i in range(2):
        x = g.add(ConvNormAct, x, name=f"refine{i}", out_channels=channels, **RELU)
    return x


@composite(
    "neck",
    title="UPerNet neck",
    paper="Xiao et al. 2018, arXiv:1807.10221",
    aliases=("UPerNet", "semantic segmentation", "unified perceptual parsing"),
)
def upernet_neck(
    g: Builder,
    c2: Float[Tensor, "B C2 H W"],
    c3: Float[Tensor, "B C3 H/2 W/2"],
    c4: Float[Tensor, "B C4 H/4 W/4"],
    c5: Float[Tensor, "B C5 H/8 W/8"],
    channels: Annotated[int, Range(1, 65536, 8)] = 512,
    bins: tuple[int, ...] = (1, 2, 3, 6),
) -> Float[Tensor, "B D H W"]:
    """Pyramid pooling on the deepest map, an FPN, and all of its levels joined at the size of the finest.

    For an FCN head of depth 0.

    Args:
        channels: of every level and of the result.
        bins: cells from side to side of the grids of pyramid pooling.

    Shapes: c2 to c5 at strides 4 to 32 -> [B, channels, H, W] at stride 4.
    """
    merged = g.add(PyramidPooling, c5, name="pool", out_channels=channels, bins=bins)
    levels = {5: merged}
    for level, fine in ((4, c4), (3, c3), (2, c2)):
        lateral = g.add(ConvNormAct, fine, name=f"lateral{level}", out_channels=channels, kernel_size=1, **RELU)
        above = g.add(MatchSize, merged, lateral, name=f"above{level}", mode="bilinear")
        levels[level] = merged = g.add(Add, lateral, above, name=f"merge{level}")
    smooth = {
        level: g.add(ConvNormAct, levels[level], name=f"smooth{level}", out_channels=channels, **RELU)
        for level in (2, 3, 4)
    }
    smooth[5] = levels[5]
    finest = [
        smooth[level] if level == 2 else g.add(MatchSize, smooth[level], smooth[2], name=f"fit{level}", mode="bilinear")
        for level in (2, 3, 4, 5)
    ]
    joined = g.add(Concat, *finest, name="join")
    return g.add(ConvNormAct, joined, name="fuse", out_channels=channels, **RELU)
