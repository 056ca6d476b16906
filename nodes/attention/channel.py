"""Channel attention."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component


@component("attention/channel", paper="Hu et al. 2018, arXiv:1709.01507", aliases=("SE", "Squeeze and excitation"))
class SqueezeExcite(nn.Module):
    """Reweights channels by their global average.

    Global average pool, 1x1 to C/reduction, ReLU, 1x1 back to C, sigmoid, multiply; both convolutions have a bias.

    Args:
        reduction: squeeze ratio of the bottleneck.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], reduction: Annotated[int, Range(1, 64)] = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(hidden, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x * self.gate(self.excite(self.relu(self.squeeze(self.pool(x)))))
