"""BAM: one gate for every channel and place, from a channel branch and a dilated spatial branch."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component


@component("attention", paper="Park et al. 2018, arXiv:1807.06514", aliases=("Bottleneck attention module",))
class BAM(nn.Module):
    """Strengthens each value by a gate that a channel branch and a spatial branch make together.

    Channels: global average, C to C/reduction with batch norm and ReLU, back to C. Places: 1x1 to C/reduction, two
    dilated 3x3 convolutions, 1x1 to one channel; batch norm and ReLU between. The gate is the sigmoid of the two
    branches' product, and x * (1 + gate) comes out. This is the authors' own code; their paper adds the branches and
    ends both with batch norm. Training needs batches of two or more.

    Args:
        reduction: squeeze ratio of both branches.
        dilation: spacing of the 3x3 kernels' taps.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        reduction: Annotated[int, Range(1, 64)] = 16,
        dilation: Annotated[int, Range(1, 16)] = 4,
    ) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.channel = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels),
        )
        self.spatial = nn.Sequential(
            *_conv_norm(nn.Conv2d(channels, hidden, 1)),
            *_conv_norm(nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation)),
            *_conv_norm(nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation)),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        channels = self.channel(x.mean((2, 3)))[:, :, None, None]  # [B, C, 1, 1]
        return x * (1 + (channels * self.spatial(x)).sigmoid())


def _conv_norm(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
    return conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)
