"""The towers of the RetinaNet family: convolutions that all levels share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Tower(nn.Sequential):
    """`depth` times a 3x3 convolution, group norm if wanted, ReLU.

    Args:
        channels: of every layer.
        depth: convolutions.
        norm: group norm of 32 groups, or as many as divide the channels.
        bias: of the convolutions.
    """

    def __init__(self, channels: int, depth: int, *, norm: bool, bias: bool) -> None:
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers.append(started(nn.Conv2d(channels, channels, 3, padding=1, bias=bias)))
            if norm:
                layers.append(nn.GroupNorm(math.gcd(32, channels), channels))
            layers.append(nn.ReLU())
        super().__init__(*layers)


def started(conv: nn.Conv2d, bias: float = 0.0) -> nn.Conv2d:
    """A convolution with weights drawn with a deviation of 0.01, and a constant bias."""
    nn.init.normal_(conv.weight, std=0.01)
    if conv.bias is not None:
        nn.init.constant_(conv.bias, bias)
    return conv


RARE = -math.log((1 - 0.01) / 0.01)
"""Bias of a classifier that starts from one cell in a hundred holding its class."""


def by_cell(raw: Tensor, width: int) -> Tensor:
    """[B, A * width, H, W] -> [B, H * W * A, width]: cell after cell, the A rows of a cell side by side."""
    # shape[0], not len(): that is a number once and for all, and an exported model would only take this batch.
    return raw.permute(0, 2, 3, 1).reshape(raw.shape[0], -1, width)


def joined(raws: list[Tensor], width: int) -> Tensor:
    """`by_cell` of all levels, in float32: [B, N, width]."""
    return torch.cat([by_cell(raw, width) for raw in raws], 1).float()
