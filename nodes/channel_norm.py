"""Layer norm for maps: every place is normalised over its channels."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, component


@component("norm", title="Channel norm", paper="Ba et al. 2016, arXiv:1607.06450", aliases=("LayerNorm2d", "LayerNorm"))
class ChannelNorm(nn.LayerNorm):
    """Layer norm of a map: each place has its channels brought to mean 0 and variance 1, then scaled and shifted.

    Its eps is 1e-6, as ConvNeXt, VAN and InternImage have it.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")]) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
