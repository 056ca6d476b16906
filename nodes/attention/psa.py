"""Partial self-attention of YOLOv10: half of the channels look at the whole map."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.sdk.declare import Dim, Range, component

HEAD_CHANNELS = 64
"""Channels of one attention head; its keys and queries have half as many."""


class MapAttention(nn.Module):
    """Self-attention over the cells of a map, with a depthwise 3x3 on the values for position. x [B, C, H, W] -> same.

    Queries, keys and values come from one 1x1 convolution with batch norm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD_CHANNELS)
        if channels % self.heads:
            raise ValueError(
                f"half of the channels is {channels}, must divide by its {self.heads} heads of about {HEAD_CHANNELS}. "
                f"Give it {2 * HEAD_CHANNELS * self.heads} channels."
            )
        self.value_size = channels // self.heads
        self.key_size = max(1, self.value_size // 2)
        self.qkv = ConvNormAct(channels, channels + 2 * self.key_size * self.heads, 1, activation="none")
        self.position = ConvNormAct(channels, channels, 3, groups=channels, activation="none")
        self.proj = ConvNormAct(channels, channels, 1, activation="none")

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(x).view(batch, self.heads, 2 * self.key_size + self.value_size, height * width)
        q, k, v = qkv.split((self.key_size, self.key_size, self.value_size), 2)
        weights = ((q.transpose(2, 3) @ k) * self.key_size**-0.5).softmax(3)  # [B, heads, HW, HW]
        seen = (v @ weights.transpose(2, 3)).reshape(batch, channels, height, width)
        return self.proj(seen + self.position(v.reshape(batch, channels, height, width)))


@component(
    "attention",
    title="PSA",
    paper="Wang et al. 2024, arXiv:2405.14458",
    aliases=("Partial self-attention", "YOLOv10 attention"),
)
class PSA(nn.Module):
    """Partial self-attention: half of the channels go through attention over all cells and a feed-forward layer.

    1x1 convolution, split in halves; one half through self-attention and two 1x1 convolutions, each with a skip
    connection; both joined by a 1x1 convolution. The attention's cost grows with the square of the number of cells:
    it belongs on the smallest map.

    Args:
        expansion: width of the feed-forward layer, in multiples of the half.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], expansion: Annotated[int, Range(1, 8)] = 2) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError(f"channels is {channels}, must be even to be halved. Use {channels + 1}.")
        half = channels // 2
        self.cv1 = ConvNormAct(channels, channels, 1)
        self.attention = MapAttention(half)
        self.feed = nn.Sequential(
            ConvNormAct(half, expansion * half, 1), ConvNormAct(expansion * half, half, 1, activation="none")
        )
        self.cv2 = ConvNormAct(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        kept, y = self.cv1(x).chunk(2, 1)
        y = y + self.attention(y)
        return self.cv2(torch.cat((kept, y + self.feed(y)), 1))
