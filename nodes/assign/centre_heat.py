"""Heat maps of object centres, which CenterNet learns: a Gaussian around each centre, 1 in its cell.

Reference: Law and Deng 2018, CornerNet, arXiv:1808.01244 (the radius); Zhou et al. 2019, arXiv:1904.07850.
"""

from __future__ import annotations

import torch
from torch import Tensor


def radius_of(sizes: Tensor, least: float = 0.7) -> Tensor:
    """How far both corners of a box may move with IoU of at least `least` left, in the worst of three ways.

    Both outwards or both inwards, where w and h become w + 2r or w - 2r, and along the diagonal, where only
    (w - r)(h - r) stays shared. Each gives a quadratic in r; the smallest root counts.

    Args:
        sizes: [..., 2] width and height.
        least: the IoU.

    Returns:
        [...] in the unit of the sizes.
    """
    total, area = sizes.sum(-1), sizes.prod(-1)
    # (w - r)(h - r) (1 + o) = 2 o w h
    along = _smaller_root(1.0, total, area * (1 - least) / (1 + least))
    # (w - 2r)(h - 2r) = o w h
    inwards = _smaller_root(4.0, 2 * total, area * (1 - least))
    # w h = o (w + 2r)(h + 2r): r is the root above zero of 4 o r^2 + 2 o (w + h) r - (1 - o) w h
    a, b = 4 * least, 2 * least * total
    outwards = ((b.square() + 4 * a * (1 - least) * area).sqrt() - b) / (2 * a)
    return torch.minimum(torch.minimum(along, inwards), outwards)


def _smaller_root(a: float, b: Tensor, c: Tensor) -> Tensor:
    """Of a r^2 - b r + c."""
    return (b - (b.square() - 4 * a * c).clamp(min=0).sqrt()) / (2 * a)


@torch.no_grad()
def centre_heat(
    centres: Tensor, sizes: Tensor, labels: Tensor, valid: Tensor, grid: tuple[int, int], num_classes: int
) -> Tensor:
    """Heat maps [B, K, H, W], 0..1.

    Args:
        centres: [B, M, 2] x, y of the cell that each object's centre lies in, whole numbers.
        sizes: [B, M, 2] width and height in cells.
        labels: [B, M] class.
        valid: [B, M] False leaves an object out.
        grid: H and W.
        num_classes: K.
    """
    (height, width), device = grid, centres.device
    radius = radius_of(sizes.clamp(min=1e-6)).floor().clamp(min=0)
    spread = (2 * radius + 1) / 6
    x = torch.arange(width, device=device) - centres[..., :1]  # [B, M, W]
    y = torch.arange(height, device=device) - centres[..., 1:]  # [B, M, H]
    reach = radius[..., None]

    def bell(distance: Tensor) -> Tensor:
        return torch.exp(-distance.square() / (2 * spread[..., None].square())) * (distance.abs() <= reach)

    heat = bell(y.float())[..., None] * bell(x.float())[..., None, :] * valid[..., None, None]  # [B, M, H, W]
    maps = heat.new_zeros(len(heat), num_classes, height, width)
    index = labels.clamp(min=0)[..., None, None].expand_as(heat)
    return maps.scatter_reduce(1, index, heat, "amax")
