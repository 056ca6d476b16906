"""Dynamic residual self-attention: residual units whose attention is a learned mix of all earlier features."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component


@component(
    "attention",
    title="DRSA group",
    paper="Park et al. 2021, arXiv:2112.04488",
    aliases=("DRSA", "DRSAN", "Dynamic residual self-attention", "DRAG"),
    experimental=True,
)
class DRSA(nn.Module):
    """Residual units, each gated by a sum of all earlier features whose weights depend on the image.

    Unit i takes f = 3x3, PReLU, 3x3 of the features before it, and d = the sum of the group's input and all earlier
    units' features, weighted by coefficients that a linear layer predicts from the group's averaged input; it gives
    f * sigmoid(d) + d. All features are concatenated, fused by a 1x1 convolution and added to the input.

    Experimental: made for super-resolution, and drawn from the paper's description; there is no published figure
    of a detector or classifier to hold it against.

    Args:
        units: residual units in the group; the paper has 4 at 32 channels, 3 at 48.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], units: Annotated[int, Range(1, 8)] = 4) -> None:
        super().__init__()
        self.coefficients = nn.Linear(channels, units * (units + 1) // 2)
        self.units = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), nn.PReLU(), nn.Conv2d(channels, channels, 3, padding=1)
            )
            for _ in range(units)
        )
        self.fuse_all = nn.Conv2d((units + 1) * channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        weights = self.coefficients(x.mean((2, 3)))[:, :, None, None, None]  # [B, units * (units + 1) / 2, 1, 1, 1]
        features, first = [x], 0
        for i, unit in enumerate(self.units):
            earlier = torch.stack(features, 1)  # [B, i + 1, C, H, W]
            residual = (weights[:, first : first + i + 1] * earlier).sum(1)
            features.append(unit(features[-1]) * residual.sigmoid() + residual)
            first += i + 1
        return x + self.fuse_all(torch.cat(features, 1))
