"""CBAM: channel attention, then spatial attention."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Choices, Dim, Range, component


@component(
    "attention",
    paper="Woo et al. 2018, arXiv:1807.06521",
    aliases=("Convolutional block attention module", "Spatial attention"),
)
class CBAM(nn.Module):
    """Reweights channels, then places.

    Channels: one MLP (C to C/reduction to C, with bias) over the average and the maximum of the map; their sum through
    a sigmoid. Places: mean and maximum over channels, a convolution without bias, batch norm, a sigmoid. This is the
    authors' own form; others leave the MLP's bias out.

    Args:
        reduction: squeeze ratio of the channel MLP.
        kernel_size: side of the spatial kernel.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        reduction: Annotated[int, Range(1, 64)] = 16,
        kernel_size: Annotated[int, Choices(3, 7)] = 7,
    ) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.spatial = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        mean, peak = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        x = x * torch.sigmoid(self.mlp(mean) + self.mlp(peak))
        places = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)  # [B, 2, H, W]
        return x * torch.sigmoid(self.bn(self.spatial(places)))
