"""AIFI: one transformer layer over the cells of a map, as RT-DETR has it on its coarsest level."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component


@component(
    "attention",
    title="AIFI",
    paper="Zhao et al. 2024 (RT-DETR), arXiv:2304.08069; Vaswani et al. 2017, arXiv:1706.03762",
    aliases=("Transformer encoder layer", "multi-head attention", "MHSA", "RT-DETR", "intra-scale feature interaction"),
)
class AIFI(nn.Module):
    """A transformer layer on a map: every cell attends to every other, then a two-layer network; norms come last.

    Sines and cosines of the row of a cell, then of its column, are added to queries and keys. Memory grows with the
    square of the cells: put it on a coarse map.

    Args:
        heads: attention heads; must divide the channels.
        hidden: features between the two layers.
        dropout: share of values that are dropped in training.

    Shapes: x [B, C, H, W] -> [B, C, H, W]; C a multiple of 4.
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        heads: Annotated[int, Range(1, 64)] = 8,
        hidden: Annotated[int, Range(1, 65536, 8)] = 1024,
        dropout: Annotated[float, Range(0, 0.9, 0.05)] = 0.0,
    ) -> None:
        super().__init__()
        if channels % heads or channels % 4:
            raise ValueError(
                f"{channels} channels come in; they must divide by 4 and by heads, which is {heads}. Use a convolution "
                f"to {-(-channels // (4 * heads)) * 4 * heads} channels before it, or other heads."
            )
        self.heads = heads
        self.qk = nn.Linear(channels, 2 * channels)
        self.v = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        height, width = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2)
        where = positions(x.shape[1], height, width, x.device).to(x.dtype)
        q, k = self.qk(tokens + where).chunk(2, 2)
        q, k, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (q, k, self.v(tokens)))
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = self.norm1(tokens + self.drop(self.out(seen)))
        tokens = self.norm2(tokens + self.drop(self.fc2(self.drop(F.gelu(self.fc1(tokens))))))
        return tokens.transpose(1, 2).unflatten(2, (height, width))


def positions(channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """[H * W, channels] sine and cosine of y, then of x, in `channels` / 4 wavelengths, 2 pi and longer.

    The published models train on square maps with the row first, which their weights expect.
    """
    count = channels // 4
    wave = 10000.0 ** -(torch.arange(count, dtype=torch.float32, device=device) / count)
    x = torch.arange(width, dtype=torch.float32, device=device)[:, None] * wave
    y = torch.arange(height, dtype=torch.float32, device=device)[:, None] * wave
    along = torch.cat((x.sin(), x.cos()), 1).expand(height, -1, -1)
    down = torch.cat((y.sin(), y.cos()), 1)[:, None].expand(-1, width, -1)
    return torch.cat((down, along), 2).flatten(0, 1)
