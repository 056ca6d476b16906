"""The three transformers of the feature pyramid transformer: within a level, down to a finer one, up to a coarser one.

Reference: Zhang et al. 2020, arXiv:2007.09451.
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component

PAPER = "Zhang et al. 2020, arXiv:2007.09451"


class MixtureAttention(nn.Module):
    """Attention whose weights are a mixture of softmaxes, one for each part of the channels.

    Args:
        channels: of queries, keys and values.
        parts: softmaxes.
        distance: weighs keys by how near they are to the query instead of by their product with it.
    """

    def __init__(self, channels: int, parts: int, distance: bool) -> None:
        super().__init__()
        if channels % parts:
            raise ValueError(
                f"{channels} channels cannot be split into {parts} parts. Use a number of parts that divides them."
            )
        self.parts, self.distance = parts, distance
        self.mix = nn.Linear(channels, parts)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries [B, C, h, w], keys and values [B, C, i, j] -> [B, C, h, w]."""
        size = q.shape[-2:]
        shares = self.mix(k.mean((2, 3))).softmax(1)[..., None, None]  # [B, parts, 1, 1]
        q, k = (t.flatten(2).unflatten(1, (self.parts, -1)) for t in (q, k))
        fit = q.transpose(2, 3) @ k  # [B, parts, h w, i j]
        # The distance is -|q - k|^2, less |q|^2, which is the same for all keys.
        fit = 2 * fit - k.square().sum(2, keepdim=True) if self.distance else fit * q.shape[2] ** -0.5
        weights = (fit.softmax(3) * shares).sum(1)
        return (v.flatten(2) @ weights.transpose(1, 2)).unflatten(2, size)


@component("attention", title="Self transformer", paper=PAPER, aliases=("FPT", "non-local", "self-attention on a map"))
class SelfTransformer(nn.Module):
    """Cells of a level attend to the same level at half its size; what they find is added.

    Memory grows with the square of the cells: 6,400 cells take 40 MB an image and part.

    Args:
        parts: softmaxes that are mixed; must divide the channels.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], parts: Annotated[int, Range(1, 16)] = 2) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.attend = MixtureAttention(channels, parts, distance=False)
        self.out = _quiet(channels, channels)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        less = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return x + self.out(self.attend(self.q(x), self.k(less), self.v(less)))


@component(
    "attention", title="Grounding transformer", paper=PAPER, aliases=("FPT", "top-down attention", "cross-level")
)
class GroundingTransformer(nn.Module):
    """Cells of a fine level look up the concepts of a coarse one that are nearest to them.

    Args:
        fine: the level that asks.
        coarse: the level that answers, of the same channels.
        parts: softmaxes that are mixed; must divide half the channels.

    Shapes: fine [B, C, H, W], coarse [B, C, I, J] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], parts: Annotated[int, Range(1, 16)] = 2) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.q, self.k, self.v = (nn.Conv2d(channels, half, 1) for _ in range(3))
        self.attend = MixtureAttention(half, parts, distance=True)
        self.out = _quiet(half, channels)

    def forward(self, fine: Float[Tensor, "B C H W"], coarse: Float[Tensor, "B C I J"]) -> Float[Tensor, "B C H W"]:
        return self.out(self.attend(self.q(fine), self.k(coarse), self.v(coarse)))


@component(
    "attention", title="Rendering transformer", paper=PAPER, aliases=("FPT", "bottom-up attention", "cross-level")
)
class RenderingTransformer(nn.Module):
    """A coarse level, its channels weighted by the mean of a fine one, takes in the fine one brought to its size.

    Args:
        coarse: the level that is rendered.
        fine: the level whose details it takes, of the same channels.

    Shapes: coarse [B, C, H, W], fine [B, C, I, J] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")]) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, channels, 1)
        self.render = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.reduce = nn.Conv2d(channels, channels, 3, 2, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, coarse: Float[Tensor, "B C H W"], fine: Float[Tensor, "B C I J"]) -> Float[Tensor, "B C H W"]:
        share = F.relu(self.weigh(fine.mean((2, 3), keepdim=True)))
        small = F.interpolate(self.norm2(self.reduce(fine)), size=coarse.shape[-2:], mode="bilinear")
        return F.relu(self.norm1(self.render(coarse)) * share + small)


def _quiet(in_channels: int, channels: int) -> nn.Sequential:
    """A 1x1 convolution and a norm that begins at zero: at first the level passes as it is."""
    norm = nn.BatchNorm2d(channels)
    nn.init.zeros_(norm.weight)
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), norm)
