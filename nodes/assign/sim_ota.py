"""SimOTA: an object is learned by the cells that cost least, as many as its best overlaps add up to.

Reference: Ge et al. 2021, YOLOX, arXiv:2107.08430.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.assign.task_aligned import Assignment
from nodes.losses.iou import iou

FAR = 1e5
"""Added to the cost of a cell that is not both inside the box and near its centre."""


@torch.no_grad()
def assign_sim_ota(
    scores: Tensor,
    boxes: Tensor,
    points: Tensor,
    strides: Tensor,
    truth: Tensor,
    labels: Tensor,
    valid: Tensor,
    *,
    radius: float = 2.5,
    candidates: int = 10,
    overlap_weight: float = 3.0,
) -> Assignment:
    """Gives every object its dynamic number of cells: the sum of its `candidates` highest IoUs, one at least.

    The cost of a cell is the cross-entropy of its scores with the object's class, plus `overlap_weight` times
    -log(IoU). Candidates lie inside the box or within `radius` cells of its centre. A cell that several objects want
    goes to the one it costs least.

    Args:
        scores: [B, N, K] probability of each class, objectness included.
        boxes: [B, N, 4] predicted corners in pixels.
        points: [N, 2] centre x, y of each cell in pixels.
        strides: [N] pixels per cell.
        truth: [B, M, 4] corners of the objects in pixels; M may be 0.
        labels: [B, M] classes; any where not valid.
        valid: [B, M] bool, False for padding.
        radius: of the centre region in cells.
        candidates: IoUs that are added up.
        overlap_weight: of the second cost.

    Returns:
        Which cells answer for an object, for which, and their IoU with it as score.
    """
    batch, count = scores.shape[:2]
    objects = labels.shape[1]
    if objects == 0:
        nothing = torch.zeros(batch, count, device=boxes.device)
        return Assignment(nothing.bool(), nothing.long(), nothing)
    inside, central = _regions(points, strides, truth, radius)
    allowed = (inside | central) & valid[..., None]
    overlap = iou(truth[:, :, None], boxes[:, None]) * allowed  # [B, M, N]
    p = scores.float().clamp(1e-7, 1 - 1e-6)
    hit = p.gather(2, labels.clamp(min=0)[:, None].expand(-1, count, -1)).transpose(1, 2)
    # Cross-entropy over all classes: every class missed, but the object's hit.
    entropy = -torch.log1p(-p).sum(2)[:, None] + torch.log1p(-hit) - hit.log()
    cost = entropy - overlap_weight * (overlap + 1e-8).log() + FAR * ~(inside & central)
    cost = cost.masked_fill(~allowed, torch.inf)
    return cheapest(cost, overlap, candidates)


def cheapest(cost: Tensor, overlap: Tensor, candidates: int) -> Assignment:
    """Gives every object as many cells as its `candidates` highest IoUs add up to, one at least, the cheapest first.

    Args:
        cost: [B, M, N] of each object and cell, infinite where the cell must not learn the object.
        overlap: [B, M, N] IoU, 0 there.
        candidates: IoUs that are added up.
    """
    most = min(candidates, cost.shape[2])
    wanted = overlap.topk(most, 2).values.sum(2).long().clamp(min=1)  # [B, M]
    least = cost.topk(most, 2, largest=False).indices
    chosen = torch.arange(most, device=cost.device) < wanted[..., None]
    claimed = torch.zeros_like(cost, dtype=torch.bool).scatter_(2, least, chosen)
    price, owner = cost.masked_fill(~claimed, torch.inf).min(1)  # [B, N]
    positive = ~price.isinf()
    score = overlap.gather(1, owner[:, None]).squeeze(1) * positive
    return Assignment(positive, owner.masked_fill(~positive, 0), score)


def _regions(points: Tensor, strides: Tensor, truth: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """[B, M, N] whether each cell's centre lies in each box, and within `radius` cells of its middle."""
    x, y = points.unbind(1)
    x1, y1, x2, y2 = truth[..., None].unbind(2)
    inside = (x > x1) & (x < x2) & (y > y1) & (y < y2)
    reach = radius * strides
    central = ((x - (x1 + x2) / 2).abs() < reach) & ((y - (y1 + y2) / 2).abs() < reach)
    return inside, central
