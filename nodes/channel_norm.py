"""Layer norm for maps: every place is normalised over its channels."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, component

EPS = 1e-6


@component("norm", title="Channel norm", paper="Ba et al. 2016, arXiv:1607.06450", aliases=("LayerNorm2d", "LayerNorm"))
class ChannelNorm(nn.Module):
    """Layer norm of a map: each place has its channels brought to mean 0 and variance 1, then scaled and shifted.

    Its eps is 1e-6, as ConvNeXt, VAN and InternImage have it.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        places = x.permute(0, 2, 3, 1)  # [B, H, W, C]
        return F.layer_norm(places, self.weight.shape, self.weight, self.bias, EPS).permute(0, 3, 1, 2)
