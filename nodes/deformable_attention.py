"""Deformable attention: a query looks at a few places of every level, which it chooses around its own box."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableAttention(nn.Module):
    """Samples `points` places a level and head, offset from a query's box by shares of its size, and weighs them.

    Nothing outside a map is seen. Sampled bilinearly in float32: in bfloat16 a place would be rounded to 1/256 of the
    image. At the start the heads look in different directions and every place weighs the same.

    Reference: Zhu et al. 2021, Deformable DETR, arXiv:2010.04159.

    Args:
        channels: features of a query and of a token; a multiple of heads.
        heads: parts of the features that look at places of their own.
        levels: maps.
        points: places on each of them.

    Shapes: queries [B, Q, C], boxes [B, Q, 4], values of each level [B, C, H_i, W_i] -> [B, Q, C].
    """

    def __init__(self, channels: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(channels, heads * levels * points * 2)
        self.weights = nn.Linear(channels, heads * levels * points)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Each head looks along a direction of its own, the i-th point i steps away."""
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.weights.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ways = torch.stack((angles.cos(), angles.sin()), 1)
        ways = ways / ways.abs().amax(1, keepdim=True)
        steps = torch.arange(1, self.points + 1)[:, None] * ways[:, None, None]  # [heads, 1, points, 2]
        with torch.no_grad():
            self.offsets.bias.copy_(steps.expand(-1, self.levels, -1, -1).flatten())

    def values(self, tokens: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """What is sampled: maps [B, C, H_i, W_i] of tokens [B, N, C], level after level."""
        parts = self.value(tokens).transpose(1, 2).split([h * w for h, w in sizes], 2)
        return [part.unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]

    def forward(self, queries: Tensor, boxes: Tensor, values: Sequence[Tensor]) -> Tensor:
        """What the queries see.

        Args:
            queries: [B, Q, C].
            boxes: [B, Q, 4] centre, width and height of each query, in shares of the image.
            values: of `values`.
        """
        shape = (self.heads, self.levels, self.points)
        offsets = self.offsets(queries).float().unflatten(2, (*shape, 2))
        weights = self.weights(queries).float().unflatten(2, (self.heads, -1)).softmax(3).unflatten(3, shape[1:])
        centre, size = boxes.float()[:, :, None, None, None].split(2, 5)
        places = centre + offsets * (size * (0.5 / self.points))  # [B, Q, heads, levels, points, 2]
        grid = (2 * places - 1).transpose(1, 2).flatten(0, 1)  # [B * heads, Q, levels, points, 2]
        weights = weights.transpose(1, 2).flatten(0, 1)[:, None]  # [B * heads, 1, Q, levels, points]
        seen = [
            (_sample(value, grid[:, :, i], self.heads) * weights[:, :, :, i]).sum(3) for i, value in enumerate(values)
        ]
        total = torch.stack(seen).sum(0).unflatten(0, (-1, self.heads))  # [B, heads, C / heads, Q]
        return self.out(total.flatten(1, 2).transpose(1, 2).to(queries.dtype))


def _sample(value: Tensor, grid: Tensor, heads: int) -> Tensor:
    """[B * heads, C / heads, Q, points] of a map [B, C, H, W] at grid [B * heads, Q, points, 2], -1 to 1 over it."""
    parts = value.float().unflatten(1, (heads, -1)).flatten(0, 1)
    return F.grid_sample(parts, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
