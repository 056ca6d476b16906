"""Task-aligned assignment: an object is learned by the predictions that both classify and locate it best.

Reference: Feng et al. 2021, TOOD, arXiv:2108.07755.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nodes.losses.iou import iou


class Assignment(NamedTuple):
    """What each of N predictions is to learn.

    Attributes:
        positive: [B, N] bool, whether the prediction answers for an object.
        owner: [B, N] int64, which object (a row of the ground truth); 0 where not positive.
        score: [B, N] the class score to learn, 0..1; 0 where not positive.
    """

    positive: Tensor
    owner: Tensor
    score: Tensor


@torch.no_grad()
def assign_task_aligned(
    class_scores: Tensor,
    boxes: Tensor,
    points: Tensor,
    truth: Tensor,
    valid: Tensor,
    *,
    top_k: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
    smallest: float = 0.0,
) -> Assignment:
    """Gives every object the `top_k` predictions with the highest alignment `score^alpha * IoU^beta` inside its box.

    A prediction claimed by several objects goes to the one it overlaps most. Its target score is its alignment,
    rescaled so that the best prediction of each object gets that object's highest IoU.

    Args:
        class_scores: [B, M, N] probability that each prediction gives to the class of each object.
        boxes: [B, N, 4] predicted corners in pixels.
        points: [N, 2] centre x, y of each prediction's cell in pixels.
        truth: [B, M, 4] corners of the objects in pixels; M may be 0.
        valid: [B, M] bool, False for padding. Boxes without area are ignored as well.
        top_k: predictions per object.
        alpha: exponent of the score.
        beta: exponent of the IoU.
        smallest: narrower objects look for cells within a box this wide (high) around their centre. With the finest
            stride here, an object that lies between cell centres still finds one.
    """
    batch, objects, count = class_scores.shape
    if objects == 0:
        nothing = torch.zeros(batch, count, device=boxes.device)
        return Assignment(nothing.bool(), nothing.long(), nothing)
    candidate = _inside(points, truth, valid, smallest)
    overlap = iou(truth[:, :, None], boxes[:, None])  # [B, M, N]
    alignment = class_scores.float().pow(alpha) * overlap.pow(beta)
    # Cells outside rank below those inside with no overlap at all.
    ranked = alignment.masked_fill(~candidate, -1)
    best = ranked.topk(min(top_k, count), dim=2).indices
    claimed = torch.zeros_like(candidate).scatter_(2, best, True) & candidate
    overlap, owner = overlap.masked_fill(~claimed, -1).max(1)  # [B, N]
    positive = overlap >= 0
    overlap = overlap.clamp(min=0)
    alignment = alignment.gather(1, owner[:, None]).squeeze(1) * positive
    best_overlap = _max_per_object(overlap, owner, objects).gather(1, owner)
    best_alignment = _max_per_object(alignment, owner, objects).gather(1, owner)
    score = alignment / best_alignment.clamp(min=torch.finfo(torch.float32).tiny) * best_overlap
    return Assignment(positive, owner, score)


def _inside(points: Tensor, truth: Tensor, valid: Tensor, smallest: float) -> Tensor:
    """[B, M, N] whether each point lies in each box, the left and upper edges included."""
    size = truth[..., 2:] - truth[..., :2]
    valid = valid & (size > 0).all(-1)
    centre, half = (truth[..., :2] + truth[..., 2:]) / 2, size.clamp(min=smallest) / 2
    (x1, y1), (x2, y2) = (centre - half)[..., None].unbind(2), (centre + half)[..., None].unbind(2)
    x, y = points.unbind(1)
    return (x >= x1) & (x < x2) & (y >= y1) & (y < y2) & valid[..., None]


def _max_per_object(values: Tensor, owner: Tensor, objects: int) -> Tensor:
    """[B, M] highest of the non-negative `values` [B, N] that belong to each object."""
    return values.new_zeros(values.shape[0], objects).scatter_reduce(1, owner, values, "amax")
