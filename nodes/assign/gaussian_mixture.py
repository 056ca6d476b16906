"""Probabilistic anchor assignment: a mixture of two normal distributions splits an object's candidates by their cost.

Reference: Kim and Lee 2020, PAA, arXiv:2007.08103.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-6
"""Added to every variance, so that equal costs have a density."""


class Mixture(NamedTuple):
    """Two normal distributions fitted to the rows of a table, seen from each of its values.

    Attributes:
        low: [O, P] bool, whether the value belongs to the distribution that began at its row's smallest value.
        density: [O, P] log of the mixture's density.
    """

    low: Tensor
    density: Tensor


def fit_two_gaussians(values: Tensor, there: Tensor, steps: int = 20) -> Mixture:
    """Expectation maximisation on every row at once, from variance 1 around the smallest and the largest value.

    Args:
        values: [O, P] float32; what is not there may be anything.
        there: [O, P] bool, which values count; a row may have none.
        steps: of the iteration.
    """
    weight = there.to(values.dtype)[..., None]  # [O, P, 1]
    x = values.masked_fill(~there, 0)[..., None]
    least = values.masked_fill(~there, math.inf).amin(1)
    most = values.masked_fill(~there, -math.inf).amax(1)
    mean = torch.stack((least, most), 1)[:, None].nan_to_num(0, 0, 0)  # [O, 1, 2]
    variance, share = torch.ones_like(mean), torch.full_like(mean, 0.5)
    for _ in range(steps):
        mine = _joint(x, mean, variance, share).softmax(2) * weight  # [O, P, 2]
        total = mine.sum(1, keepdim=True).clamp(min=1e-6)
        mean = (mine * x).sum(1, keepdim=True) / total
        variance = (mine * (x - mean).square()).sum(1, keepdim=True) / total + LEAST_VARIANCE
        share = total / total.sum(2, keepdim=True)
    joint = _joint(x, mean, variance, share)
    return Mixture((joint[..., 0] > joint[..., 1]) & there, joint.logsumexp(2))


def _joint(x: Tensor, mean: Tensor, variance: Tensor, share: Tensor) -> Tensor:
    """Log [O, P, 2] of each distribution's density times its share."""
    return share.log() - ((x - mean).square() / variance + variance.log() + math.log(2 * math.pi)) / 2


@torch.no_grad()
def assign_gaussian_mixture(
    owner: Tensor, costs: Tensor, counts: Sequence[int], objects: int, *, candidates: int = 9
) -> Tensor:
    """Which object [B, N] each anchor learns, -1 for background, out of those which it may learn.

    The anchors of least cost on each level stay candidates. A mixture of two normal distributions is fitted to the
    costs of an object; the anchors that belong to the cheaper one learn it, up to where the mixture is densest. Each
    object that has candidates keeps the cheapest.

    Args:
        owner: [B, N] int64, the object that each anchor may learn, negative for none.
        costs: [B, N] what that would lose.
        counts: anchors of each level; they add up to N.
        objects: rows of the ground truth, M.
        candidates: of each level.
    """
    batch, anchors = owner.shape
    nothing = torch.full_like(owner, -1)
    if objects == 0:
        return nothing
    image, place = (owner >= 0).nonzero(as_tuple=True)
    table = costs.new_full((batch, objects, anchors), math.inf)
    table[image, owner[image, place], place] = costs[image, place]
    cheapest, places, start = [], [], 0
    for count in counts:
        cost, at = table[..., start : start + count].topk(min(candidates, count), largest=False)
        cheapest.append(cost)
        places.append(at + start)
        start += count
    cost, order = torch.cat(cheapest, 2).sort(2)  # [B, M, P]
    spots = torch.cat(places, 2).gather(2, order)
    there = cost.isfinite()
    low, density = (m.view_as(cost) for m in fit_two_gaussians(cost.flatten(0, 1), there.flatten(0, 1)))
    rank = torch.arange(cost.shape[2], device=cost.device)
    densest = density.masked_fill(~low, -math.inf).argmax(2, keepdim=True)
    chosen = ((low & (rank <= densest)) | (rank == 0)) & there
    image, mine, _ = chosen.nonzero(as_tuple=True)
    nothing[image, spots[chosen]] = mine
    return nothing
