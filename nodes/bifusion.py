"""BiFusion: YOLOv6's fusion of three neighbouring levels.

Reference: Li et al. 2023, arXiv:2301.05586 (bi-directional concatenation).
"""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.fitting import fitted
from nodes.sdk.declare import Dim, Range, component

ACT = {"activation": "relu"}


@component("fusion", title="BiFusion", paper="Li et al. 2023, arXiv:2301.05586", aliases=("BiC", "YOLOv6", "RepBiFPAN"))
class BiFusion(nn.Module):
    """Joins a level with the deeper one, enlarged by a transposed convolution, and the shallower one, halved by a 3x3.

    Args:
        deep: the deeper map, half the size.
        same: the map whose size counts.
        shallow: the shallower map, twice the size.
        out_channels: channels of each of the three before they are joined, and of the result.

    Shapes: deep [B, E, H/2, W/2], same [B, C, H, W], shallow [B, D, 2H, 2W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        deep_channels: Annotated[int, Dim("C1")],
        channels: Annotated[int, Dim("C2")],
        shallow_channels: Annotated[int, Dim("C3")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
    ) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(deep_channels, out_channels, 2, 2)
        self.same = ConvNormAct(channels, out_channels, 1, **ACT)  # type: ignore[arg-type]
        self.shallow = ConvNormAct(shallow_channels, out_channels, 1, **ACT)  # type: ignore[arg-type]
        self.down = ConvNormAct(out_channels, out_channels, 3, 2, **ACT)  # type: ignore[arg-type]
        self.join = ConvNormAct(3 * out_channels, out_channels, 1, **ACT)  # type: ignore[arg-type]

    def forward(
        self, deep: Float[Tensor, "B C1 H1 W1"], same: Float[Tensor, "B C2 H W"], shallow: Float[Tensor, "B C3 H3 W3"]
    ) -> Float[Tensor, "B D H W"]:
        height, width = same.shape[-2:]
        # Of odd sizes, 13 cells above 7, neither comes out exactly.
        larger, smaller = (fitted(x, height, width) for x in (self.up(deep), self.down(self.shallow(shallow))))
        return self.join(torch.cat((larger, self.same(same), smaller), 1))
