"""Large-kernel attention of VAN: every value is multiplied by what a wide neighbourhood says about it."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, component

PAPER = "Guo et al. 2022, arXiv:2202.09741"


@component("attention/spatial", paper=PAPER, aliases=("Large kernel attention", "VAN"))
class LKA(nn.Module):
    """Multiplies a map by a large-kernel convolution of itself.

    A 21x21 kernel is taken apart: depthwise 5x5, depthwise 7x7 of dilation 3, 1x1; all with bias, no sigmoid.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")]) -> None:
        super().__init__()
        self.near = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.far = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x * self.mix(self.far(self.near(x)))


@component("attention/spatial", title="LKA with projections", paper=PAPER, aliases=("VAN attention", "LKA block"))
class LKAttention(nn.Module):
    """VAN's attention layer: 1x1, GELU, large-kernel attention, 1x1, and a skip connection.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")]) -> None:
        super().__init__()
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.act = nn.GELU()
        self.lka = LKA(channels)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.proj_out(self.lka(self.act(self.proj_in(x))))
