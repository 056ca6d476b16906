"""Joining maps of the same size."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import component


@component("fusion", aliases=("Cat", "Concatenate"))
class Concat(nn.Module):
    """Stacks maps along the channels.

    Shapes: xs [B, C_i, H, W] each -> [B, sum of C_i, H, W].
    """

    def forward(self, *xs: Float[Tensor, "B C_ H W"]) -> Float[Tensor, "B D H W"]:
        return torch.cat(xs, 1)


@component("fusion", aliases=("Sum", "Residual", "Skip"))
class Add(nn.Module):
    """Adds maps of the same shape.

    Shapes: xs [B, C, H, W] each -> [B, C, H, W].
    """

    def forward(self, *xs: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        total = xs[0]
        for x in xs[1:]:
            total = total + x
        return total
