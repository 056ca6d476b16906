"""Gather-excite: each place is reweighted by what a wide neighbourhood around it holds."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Choices, Dim, Range, component


@component(
    "attention/channel",
    paper="Hu et al. 2018, arXiv:1810.12348",
    aliases=("GE", "GE-theta", "GENet", "Gather and excite"),
)
class GatherExcite(nn.Module):
    """Gathers each channel over a wide neighbourhood and gates every place by the result.

    Gather: an average (theta-minus), depthwise convolutions with batch norm (theta), or those with a bottleneck of
    two 1x1 convolutions behind them (theta-plus). Excite: the nearest gathered value, sigmoid, multiply.

    Args:
        variant: how it gathers; theta-minus has no weights.
        extent: cells that one gathered value stands for; 0 is the whole map. A learned gather over the whole map has
            a weight for every place, so it takes maps of one size only.
        reduction: squeeze ratio of theta-plus.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        height: Annotated[int, Dim("H")],
        width: Annotated[int, Dim("W")],
        variant: Annotated[str, Choices("theta-minus", "theta", "theta-plus")] = "theta-plus",
        extent: Annotated[int, Choices(0, 2, 4, 8)] = 0,
        reduction: Annotated[int, Range(1, 64)] = 16,
    ) -> None:
        super().__init__()
        self.gather: nn.Module
        if variant == "theta-minus":
            window = 2 * extent - 1
            self.gather = (
                nn.AvgPool2d(window, extent, window // 2, count_include_pad=False)
                if extent
                else nn.AdaptiveAvgPool2d(1)
            )
        elif extent:
            self.gather = _halvings(channels, extent)
        else:
            whole = nn.Conv2d(channels, channels, (height, width), groups=channels, bias=False)
            self.gather = nn.Sequential(whole, nn.BatchNorm2d(channels))
        self.mix = _bottleneck(channels, reduction) if variant == "theta-plus" else nn.Identity()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        gates = self.mix(self.gather(x)).sigmoid()
        return x * F.interpolate(gates, x.shape[2:], mode="nearest")


def _halvings(channels: int, extent: int) -> nn.Sequential:
    """Depthwise 3x3 convolutions of stride 2 with batch norm, ReLU between, until one cell stands for `extent`."""
    layers: list[nn.Module] = []
    while extent > 1:
        if layers:
            layers.append(nn.ReLU(inplace=True))
        layers += [
            nn.Conv2d(channels, channels, 3, 2, 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
        ]
        extent //= 2
    return nn.Sequential(*layers)


def _bottleneck(channels: int, reduction: int) -> nn.Sequential:
    hidden = max(1, channels // reduction)
    return nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, channels, 1))
