"""DCNv3: a convolution that looks where the map itself tells it to, and weighs what it finds."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component

POINTS = 9
"""Points that each place looks at: a 3x3 kernel's."""


def sample(value: Tensor, offsets: Tensor, weights: Tensor, scale: float = 1.0) -> Tensor:
    """The weighted sum of a map's values at nine moved points around each place, bilinear and zero outside.

    Point k is that of a 3x3 kernel column by column: left column top to bottom, then the middle, then the right one.

    Args:
        value: [B, H, W, C].
        offsets: [B, H, W, G, 9, 2], how far each point is moved, in cells: x, then y. Each of the G groups of
            channels has its own.
        weights: [B, H, W, G, 9].
        scale: stretches the kernel and the offsets.

    Returns:
        [B, H, W, C].
    """
    batch, height, width, groups = offsets.shape[:4]
    options: dict[str, Any] = {"device": value.device, "dtype": torch.float32}
    x, y = torch.arange(width, **options), torch.arange(height, **options)
    side = torch.arange(-1, 2, **options)
    kernel = torch.stack((side.repeat_interleave(3), side.repeat(3)), 1)  # [9, 2]
    places = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), 2)  # [H, W, 2]
    sides = torch.stack((x[-1] + 1, y[-1] + 1))
    # grid_sample's coordinates: the map's edges are at -1 and 1, so a cell is 2 / sides wide. In float32 also under
    # autocast: a position such as 70.3 has no place in bfloat16.
    unmoved = (2 * (places[:, :, None, None] + scale * kernel) + 1) / sides - 1  # [H, W, 1, 9, 2]
    grid = unmoved + offsets.float() * (2 * scale / sides)  # [B, H, W, G, 9, 2]
    grid = grid.permute(0, 3, 1, 2, 4, 5).reshape(batch * groups, height * width, POINTS, 2)
    source = value.float().permute(0, 3, 1, 2).reshape(batch * groups, -1, height, width)
    found = F.grid_sample(source, grid, align_corners=False)  # [B * G, C / G, H * W, 9]
    weights = weights.float().permute(0, 3, 1, 2, 4).reshape(batch * groups, 1, height * width, POINTS)
    total = (found * weights).sum(3)  # [B * G, C / G, H * W]
    return total.reshape(batch, -1, height, width).permute(0, 2, 3, 1).to(value.dtype)


@component(
    "conv",
    paper="Wang et al. 2023, arXiv:2211.05778",
    aliases=("Deformable convolution v3", "InternImage operator", "DCN"),
)
class DCNv3(nn.Module):
    """Deformable convolution, third version: every place samples nine points that it moves and weighs itself.

    A linear layer makes the values. A depthwise 3x3, layer norm and GELU make a guide, from which linear layers take,
    for each group of channels, the offsets of the nine points and their weights (a softmax). The weighted sum of the
    values found there goes through a last linear layer. It starts out as a 3x3 average.

    Args:
        groups: groups of channels with points of their own; must divide the channels. InternImage has 16 channels
            a group.
        scale: stretches the kernel and its offsets.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        groups: Annotated[int, Range(1, 4096)] = 4,
        scale: Annotated[float, Range(0.1, 10)] = 1.0,
    ) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(
                f"groups is {groups}, must divide the {channels} channels. Use {math.gcd(groups, channels)}."
            )
        self.groups, self.scale = groups, scale
        self.value = nn.Linear(channels, channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.act = nn.GELU()
        self.offset = nn.Linear(channels, groups * POINTS * 2)
        self.weight = nn.Linear(channels, groups * POINTS)
        self.project = nn.Linear(channels, channels)
        for layer in (self.offset, self.weight):
            nn.init.zeros_(layer.weight)
        for layer in (self.value, self.project):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.offset, self.weight, self.value, self.project):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        places = x.permute(0, 2, 3, 1)  # [B, H, W, C]
        guide = self.act(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))
        offsets = self.offset(guide).unflatten(3, (self.groups, POINTS, 2))
        weights = self.weight(guide).unflatten(3, (self.groups, POINTS)).softmax(4)
        return self.project(sample(self.value(places), offsets, weights, self.scale)).permute(0, 3, 1, 2)
