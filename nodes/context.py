"""Maps that look around: pyramids of dilated convolutions and of pooled regions, as segmentation uses them."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component


def unit(in_channels: int, out_channels: int, kernel_size: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution without bias that keeps the size, batch norm, ReLU."""
    padding = kernel_size // 2 * dilation
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


@component(
    "pooling", title="ASPP", paper="Chen et al. 2017, DeepLabV3, arXiv:1706.05587",
    aliases=("Atrous spatial pyramid pooling", "DeepLab", "DeepLabV3", "dilated convolutions"),
)  # fmt: skip
class ASPP(nn.Module):
    """Looks at a map at several scales side by side: a 1x1, dilated 3x3 convolutions, and the average of the whole.

    A 1x1 convolution and dropout join them. DeepLabV3 is this on a backbone of output stride 8 or 16, with an FCN head.
    Its average has one value a channel, so training wants two images or more in a batch.

    Args:
        out_channels: channels of each branch and of the result.
        rates: dilation of each 3x3 convolution; 12, 24, 36 at output stride 8, half of them at 16.
        dropout: share of features dropped in training.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 256,
        rates: tuple[int, ...] = (12, 24, 36),
        dropout: Annotated[float, Range(0.0, 0.95, 0.05)] = 0.5,
    ) -> None:
        super().__init__()
        dilated = [unit(in_channels, out_channels, 3, rate) for rate in rates]
        self.branches = nn.ModuleList([unit(in_channels, out_channels), *dilated])
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), *unit(in_channels, out_channels))
        self.project = unit((len(rates) + 2) * out_channels, out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        whole = self.whole(x).expand(-1, -1, x.shape[-2], x.shape[-1])
        return self.dropout(self.project(torch.cat([*(branch(x) for branch in self.branches), whole], 1)))


@component(
    "pooling", title="Pyramid pooling", paper="Zhao et al. 2017, PSPNet, arXiv:1612.01105",
    aliases=("PPM", "PSPNet", "PSP module", "UPerNet"),
)  # fmt: skip
class PyramidPooling(nn.Module):
    """Averages a map over grids of a few cells, and joins these averages with it by a 3x3 convolution.

    PSPNet is this on a backbone of output stride 8, with an FCN head of depth 0. The coarsest grid has one value a
    channel, so training wants two images or more in a batch.

    Args:
        out_channels: channels of each branch and of the result.
        bins: cells from side to side of each grid.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 512,
        bins: tuple[int, ...] = (1, 2, 3, 6),
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(cells), *unit(in_channels, out_channels)) for cells in bins
        )
        self.join = unit(in_channels + len(bins) * out_channels, out_channels, 3)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        seen = [F.interpolate(branch(x), x.shape[-2:], mode="bilinear") for branch in self.branches]
        return self.join(torch.cat([x, *seen], 1))
