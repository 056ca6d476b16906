"""What dense heads share: where the cells of a pyramid lie, labels that fit the head, and float32 under autocast."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def cell_centres(maps: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Centres [2, N] (x, y) and strides [N] of all cells of a pyramid, in pixels of the image, level after level.

    Args:
        maps: tensors [..., H_i, W_i], of which only the size and the device matter.
        strides: pixels per cell of each.
    """
    points, sizes = [], []
    for level, stride in zip(maps, strides, strict=True):
        height, width = level.shape[-2:]
        x = (torch.arange(width, dtype=torch.float32, device=level.device) + 0.5) * stride
        y = (torch.arange(height, dtype=torch.float32, device=level.device) + 0.5) * stride
        grid = torch.stack((x.expand(height, width), y[:, None].expand(height, width)))
        points.append(grid.flatten(1))
        sizes.append(torch.full_like(points[-1][0], stride))
    return torch.cat(points, 1), torch.cat(sizes)


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raises ValueError when a label is not below `num_classes`; -1 is padding."""
    if labels.numel() and (top := int(labels.max())) >= num_classes:
        raise ValueError(
            f"the data has class index {top}, the head knows {num_classes} classes (0 to {num_classes - 1}). "
            f"Set num_classes to {top + 1} or more."
        )


def no_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Keeps float32 where autocast may be on: bfloat16 rounds large distances to 1/16 bin, 2 px at stride 32."""
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
