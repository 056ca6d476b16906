"""Channel attention."""

from __future__ import annotations

import math
from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Choices, Dim, Range, component


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


@component(
    "attention/channel",
    paper="Wang et al. 2020, arXiv:1910.03151",
    aliases=("Efficient channel attention", "ECA-Net"),
)
class ECA(nn.Module):
    """Reweights channels by their global average, each gate from a few neighbouring channels.

    Global average pool, one convolution without bias along the channels, sigmoid, multiply: a handful of weights.

    Args:
        kernel_size: channels that one gate sees; 0 takes the odd number at (log2 C + 1) / 2.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self, channels: Annotated[int, Dim("C")], kernel_size: Annotated[int, Choices(0, 3, 5, 7, 9)] = 0
    ) -> None:
        super().__init__()
        if not kernel_size:
            kernel_size = int((math.log2(channels) + 1) / 2)
            kernel_size += 1 - kernel_size % 2
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        y = x.mean((2, 3)).unsqueeze(1)  # [B, 1, C]
        return x * self.conv(y).sigmoid().transpose(1, 2).unsqueeze(3)  # gates [B, C, 1, 1]
