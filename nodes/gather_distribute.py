"""Gold-YOLO's gather and distribute: maps of all levels are mixed in one place, and each level takes what it needs.

Reference: Wang et al. 2023, arXiv:2309.11331.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.fitting import fitted
from nodes.rep_block import rep_vgg
from nodes.sdk.declare import Dim, Range, component

PAPER = "Wang et al. 2023, arXiv:2309.11331"


def _sim(in_channels: int, out_channels: int) -> ConvNormAct:
    """A 1x1 convolution with batch norm and ReLU."""
    return ConvNormAct(in_channels, out_channels, 1, activation="relu")


def _plain(in_channels: int, out_channels: int) -> ConvNormAct:
    """A 1x1 convolution with batch norm alone."""
    return ConvNormAct(in_channels, out_channels, 1, activation="none")


@component("fusion", title="Gather (FAM)", paper=PAPER, aliases=("Feature alignment", "Gold-YOLO", "SimFusion_4in"))
class Gather(nn.Module):
    """Brings maps to the size of the first and concatenates all: larger ones averaged, smaller ones enlarged.

    Args:
        like: the map whose size counts.
        others: further maps of any size.
        stride: divides that size, rounded up: 2 gathers at half of it.

    Shapes: like [B, C, H, W], others [B, C_i, H_i, W_i] -> [B, C + sum of C_i, H/stride, W/stride].
    """

    def __init__(self, stride: Annotated[int, Range(1, 8)] = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(
        self, like: Float[Tensor, "B C H W"], *others: Float[Tensor, "B C_ H_ W_"]
    ) -> Float[Tensor, "B D H/s W/s"]:
        height, width = (-(-side // self.stride) for side in like.shape[-2:])
        return torch.cat([fitted(x, height, width, "bilinear") for x in (like, *others)], 1)


@component(
    "fusion",
    title="Convolutional fusion (IFM)",
    outputs=("first", "second"),
    paper=PAPER,
    aliases=("Information fusion", "Gold-YOLO", "low-IFM"),
)
class ConvFusion(nn.Module):
    """Mixes a gathered map by 3x3 convolutions and splits the result in two.

    Args:
        embed_channels: channels inside.
        depth: 3x3 convolutions.
        rep: convolutions with branches and ReLU; plain ones with SiLU otherwise.
        first_channels: channels of the first map.
        second_channels: channels of the second map.

    Shapes: x [B, C, H, W] -> [B, first_channels, H, W] and [B, second_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        embed_channels: Annotated[int, Range(1, 65536, 8)] = 96,
        depth: Annotated[int, Range(0, 64)] = 3,
        rep: bool = True,
        first_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        second_channels: Annotated[int, Range(1, 65536, 8)] = 32,
    ) -> None:
        super().__init__()
        self.sizes = (first_channels, second_channels)
        self.layers = nn.Sequential(
            ConvNormAct(in_channels, embed_channels, 1),
            *(
                rep_vgg(embed_channels, embed_channels) if rep else ConvNormAct(embed_channels, embed_channels, 3)
                for _ in range(depth)
            ),
            ConvNormAct(embed_channels, sum(self.sizes), 1),
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B D H W"], Float[Tensor, "B E H W"]]:
        first, second = self.layers(x).split(self.sizes, 1)
        return first, second


class ConvAttention(nn.Module):
    """Attention between the cells of a map by 1x1 convolutions with norms; its scores are not scaled.

    Args:
        channels: of the map.
        key_dim: features of a query and a key, per head.
        heads: attention heads.
        ratio: features of a value over those of a key.
    """

    def __init__(self, channels: int, key_dim: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k = _plain(channels, key_dim * heads), _plain(channels, key_dim * heads)
        self.v = _plain(channels, ratio * key_dim * heads)
        self.out = _plain(ratio * key_dim * heads, channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t(x).flatten(2).unflatten(1, (self.heads, -1)) for t in (self.q, self.k, self.v))
        weights = (q.transpose(2, 3) @ k).softmax(3)  # [B, heads, H W, H W]
        found = (v @ weights.transpose(2, 3)).flatten(1, 2).unflatten(2, x.shape[-2:])
        return self.out(F.relu6(found))


class ConvTransformer(nn.Module):
    """A transformer layer of convolutions: attention, then 1x1, depthwise 3x3, 1x1; both added. x -> the same shape."""

    def __init__(self, channels: int, key_dim: int, heads: int, ratio: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(channels * mlp_ratio)
        self.attend = ConvAttention(channels, key_dim, heads, ratio)
        self.wide = _plain(channels, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.narrow = _plain(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        return x + self.narrow(F.relu6(self.depthwise(self.wide(x))))


@component(
    "fusion",
    title="Attention fusion (IFM)",
    outputs=("first", "second"),
    paper=PAPER,
    aliases=("Information fusion", "Gold-YOLO", "high-IFM", "TopFormer", "TopBasicLayer"),
)
class AttentionFusion(nn.Module):
    """Mixes a gathered map by transformer layers of convolutions and splits the result in two.

    Args:
        depth: transformer layers.
        key_dim: features of a query and a key, per head.
        heads: attention heads.
        ratio: features of a value over those of a key.
        mlp_ratio: channels inside the second half of a layer over those of the map.
        first_channels: channels of the first map.
        second_channels: channels of the second map.

    Shapes: x [B, C, H, W] -> [B, first_channels, H, W] and [B, second_channels, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        depth: Annotated[int, Range(1, 16)] = 2,
        key_dim: Annotated[int, Range(1, 256)] = 8,
        heads: Annotated[int, Range(1, 64)] = 4,
        ratio: Annotated[int, Range(1, 8)] = 2,
        mlp_ratio: Annotated[float, Range(0.25, 8)] = 1.0,
        first_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        second_channels: Annotated[int, Range(1, 65536, 8)] = 128,
    ) -> None:
        super().__init__()
        self.sizes = (first_channels, second_channels)
        self.layers = nn.Sequential(
            *(ConvTransformer(channels, key_dim, heads, ratio, mlp_ratio) for _ in range(depth))
        )
        self.out = nn.Conv2d(channels, sum(self.sizes), 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B D H W"], Float[Tensor, "B E H W"]]:
        first, second = self.out(self.layers(x)).split(self.sizes, 1)
        return first, second


@component(
    "fusion", title="Local fusion (LAF)", paper=PAPER, aliases=("Local adjacent fusion", "Gold-YOLO", "SimFusion_3in")
)
class LocalFusion(nn.Module):
    """Joins a level with the shallower one, averaged, and the deeper one, enlarged, by 1x1 convolutions.

    Args:
        shallow: the shallower map.
        same: the map whose size counts.
        deep: the deeper map.
        out_channels: channels it gives.

    Shapes: same [B, C, H, W], shallow [B, D, 2H, 2W], deep [B, E, H/2, W/2] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        shallow_channels: Annotated[int, Dim("C1")],
        channels: Annotated[int, Dim("C2")],
        deep_channels: Annotated[int, Dim("C3")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
    ) -> None:
        super().__init__()
        self.same = _sim(channels, out_channels)
        self.join = _sim(shallow_channels + out_channels + deep_channels, out_channels)

    def forward(
        self, shallow: Float[Tensor, "B C1 H1 W1"], same: Float[Tensor, "B C2 H W"], deep: Float[Tensor, "B C3 H3 W3"]
    ) -> Float[Tensor, "B D H W"]:
        height, width = same.shape[-2:]
        maps = (fitted(shallow, height, width), self.same(same), fitted(deep, height, width, "bilinear"))
        return self.join(torch.cat(maps, 1))


@component("fusion", title="Inject", paper=PAPER, aliases=("Information injection", "Gold-YOLO", "InjectionMultiSum"))
class Inject(nn.Module):
    """Lets a level take from a global map: multiplied by a gate that the global map gives, and added to it.

    Args:
        local: the level.
        spread: the global map, of any size.
        out_channels: channels it gives.

    Shapes: local [B, C, H, W], spread [B, D, I, J] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        global_channels: Annotated[int, Dim("D")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
    ) -> None:
        super().__init__()
        self.local = _plain(channels, out_channels)
        self.embed = _plain(global_channels, out_channels)
        self.gate = _plain(global_channels, out_channels)

    def forward(self, local: Float[Tensor, "B C H W"], spread: Float[Tensor, "B D I J"]) -> Float[Tensor, "B E H W"]:
        height, width = local.shape[-2:]
        gate = fitted(F.hardsigmoid(self.gate(spread)), height, width, "bilinear")
        return self.local(local) * gate + fitted(self.embed(spread), height, width, "bilinear")
