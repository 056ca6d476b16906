"""Joining maps of the same size."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Count, Range, component


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


@component("fusion", paper="Tan et al. 2020, arXiv:1911.09070", aliases=("Fast normalised fusion", "BiFPN add"))
class WeightedAdd(nn.Module):
    """Adds maps of the same shape with learned weights that are positive and sum to one: BiFPN's fast fusion.

    Args:
        eps: added to the sum of the weights before the division.

    Shapes: xs [B, C, H, W] each -> [B, C, H, W].
    """

    def __init__(
        self,
        inputs: Annotated[int, Count("xs")],
        eps: Annotated[float, Range(1e-8, 0.1)] = 1e-4,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs))
        self.eps = eps

    def forward(self, *xs: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        weight = self.weight.relu()
        weight = weight / (weight.sum() + self.eps)
        total = xs[0] * weight[0]
        for i, x in enumerate(xs[1:], 1):
            total = total + x * weight[i]
        return total


@component("fusion", aliases=("Product", "Gate"))
class Multiply(nn.Module):
    """Multiplies maps of the same shape.

    Shapes: xs [B, C, H, W] each -> [B, C, H, W].
    """

    def forward(self, *xs: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        total = xs[0]
        for x in xs[1:]:
            total = total * x
        return total
