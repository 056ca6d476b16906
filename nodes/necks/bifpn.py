"""BiFPN: EfficientDet's pyramid, whose cells pass up and down several times with learned weights."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor, nn

from nodes.fusion import WeightedAdd
from nodes.pooling import MaxPool
from nodes.resize import MatchSize
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Dim, Range, component, composite

PAPER = "Tan et al. 2020, arXiv:1911.09070"
EPS, MOMENTUM = 1e-3, 0.01
LEVELS = (3, 4, 5, 6, 7)
NAMES = ("p3", "p4", "p5", "p6", "p7")


@component("conv", title="Projection + norm", paper=PAPER, aliases=("BiFPN resample", "EfficientDet", "1x1"))
class NormedProjection(nn.Sequential):
    """A 1x1 convolution with bias, and batch norm; no activation.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 65536, 8)] = 64
    ) -> None:
        super().__init__(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels, EPS, MOMENTUM))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return super().forward(x)


@component("conv", title="Separable fusion conv", paper=PAPER, aliases=("BiFPN", "EfficientDet", "depthwise separable"))
class SeparableFusion(nn.Sequential):
    """SiLU, a depthwise 3x3, a 1x1 with bias, and batch norm: what follows each fusion of a BiFPN.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")]) -> None:
        super().__init__(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels, EPS, MOMENTUM),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return super().forward(x)


@composite("neck/bifpn", title="BiFPN cell", outputs=NAMES, paper=PAPER, aliases=("EfficientDet",))
def bifpn_cell(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    p6: Float[Tensor, "B C6 H/8 W/8"],
    p7: Float[Tensor, "B C7 H/16 W/16"],
    width3: Annotated[int, Dim("C3")],
    width4: Annotated[int, Dim("C4")],
    width5: Annotated[int, Dim("C5")],
    width6: Annotated[int, Dim("C6")],
    width7: Annotated[int, Dim("C7")],
    channels: Annotated[int, Range(1, 4096, 8)] = 64,
) -> tuple[
    Float[Tensor, "B D H W"],
    Float[Tensor, "B D H/2 W/2"],
    Float[Tensor, "B D H/4 W/4"],
    Float[Tensor, "B D H/8 W/8"],
    Float[Tensor, "B D H/16 W/16"],
]:
    """Once down and once up; on the way up a level also sees what came in. Sums have learned weights.

    A level of other width is projected to `channels` wherever it is used.

    Args:
        channels: channels of every level it gives.

    Shapes: p3 to p7 at strides 8 to 128 -> the same levels, `channels` each.
    """
    given = dict(zip(LEVELS, (p3, p4, p5, p6, p7), strict=True))
    widths = {3: width3, 4: width4, 5: width5, 6: width6, 7: width7}

    def taken(level: int, where: str) -> Any:
        if widths[level] == channels:
            return given[level]
        return g.add(NormedProjection, given[level], name=f"project{level}_{where}", out_channels=channels)

    def fuse(name: str, *maps: Any) -> Any:
        return g.add(SeparableFusion, g.add(WeightedAdd, *maps, name=f"sum_{name}"), name=name)

    down = {7: taken(7, "down")}
    for level in (6, 5, 4, 3):
        own = taken(level, "down")
        down[level] = fuse(f"down{level}", own, g.add(MatchSize, down[level + 1], own, name=f"up{level + 1}"))
    up = {3: down[3]}
    for level in (4, 5, 6, 7):
        pooled = g.add(MaxPool, up[level - 1], name=f"pool{level - 1}", kernel_size=3, padding=1)
        maps = (taken(level, "up"), pooled) if level == 7 else (taken(level, "up"), down[level], pooled)
        up[level] = fuse(f"up{level}_out", *maps)
    return up[3], up[4], up[5], up[6], up[7]


@composite(
    "neck",
    title="BiFPN",
    outputs=NAMES,
    paper=PAPER,
    aliases=("EfficientDet neck", "Bidirectional feature pyramid", "weighted fusion"),
)
def bifpn(
    g: Builder,
    c3: Float[Tensor, "B C3 H W"],
    c4: Float[Tensor, "B C4 H/2 W/2"],
    c5: Float[Tensor, "B C5 H/4 W/4"],
    channels: Annotated[int, Range(1, 4096, 8)] = 64,
    cells: Annotated[int, Range(1, 16)] = 3,
) -> tuple[
    Float[Tensor, "B D H W"],
    Float[Tensor, "B D H/2 W/2"],
    Float[Tensor, "B D H/4 W/4"],
    Float[Tensor, "B D H/8 W/8"],
    Float[Tensor, "B D H/16 W/16"],
]:
    """Two coarser levels are pooled from the coarsest, then cells pass down and up between the five.

    Args:
        channels: channels of every level it gives: 64 for EfficientDet-D0, 88 for D1, 112 for D2, 160 for D3.
        cells: passes: 3 for D0, 4 for D1, 5 for D2, 6 for D3.

    Shapes: c3 to c5 at strides 8 to 32 -> p3 to p7 at strides 8 to 128, `channels` each.
    """
    narrow = g.add(NormedProjection, c5, name="project6", out_channels=channels)
    p6 = g.add(MaxPool, narrow, name="pool6", kernel_size=3, padding=1)
    p7 = g.add(MaxPool, p6, name="pool7", kernel_size=3, padding=1)
    levels: tuple[Any, ...] = (c3, c4, c5, p6, p7)
    for i in range(cells):
        levels = g.add(bifpn_cell, *levels, name=f"cell{i + 1}", channels=channels)
    return levels[0], levels[1], levels[2], levels[3], levels[4]
