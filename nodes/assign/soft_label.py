"""Dynamic soft labels: SimOTA whose costs know how well a box fits and how far its cell lies from the centre.

Reference: Lyu et al. 2022, RTMDet, arXiv:2212.07784.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.assign.sim_ota import cheapest
from nodes.assign.task_aligned import Assignment
from nodes.losses.iou import iou
from nodes.losses.quality_focal import quality_focal_loss


@torch.no_grad()
def assign_soft_label(
    logits: Tensor,
    boxes: Tensor,
    points: Tensor,
    strides: Tensor,
    truth: Tensor,
    labels: Tensor,
    valid: Tensor,
    *,
    candidates: int = 13,
    overlap_weight: float = 3.0,
    reach: float = 3.0,
) -> Assignment:
    """Gives every object its dynamic number of the cells inside its box: the sum of its `candidates` highest IoUs.

    The cost of a cell is the quality focal loss of the object's class against its IoU, plus `overlap_weight` times
    -log(IoU), plus 10^(d - reach) with its distance d from the box's centre in cells. A cell that several objects want
    goes to the one it costs least.

    Args:
        logits: [B, N, K] class scores before their sigmoid.
        boxes: [B, N, 4] predicted corners in pixels.
        points: [N, 2] x, y of each cell's point in pixels.
        strides: [N] pixels per cell.
        truth: [B, M, 4] corners of the objects in pixels; M may be 0.
        labels: [B, M] classes; any where not valid.
        valid: [B, M] bool, False for padding.
        candidates: IoUs that are added up.
        overlap_weight: of the second cost.
        reach: distance at which the third cost is 1.

    Returns:
        Which cells answer for an object, for which, and their IoU with it as score.
    """
    batch, count = logits.shape[:2]
    if labels.shape[1] == 0:
        nothing = torch.zeros(batch, count, device=boxes.device)
        return Assignment(nothing.bool(), nothing.long(), nothing)
    x, y = points.unbind(1)
    x1, y1, x2, y2 = truth[..., None].unbind(2)
    allowed = (x > x1) & (x < x2) & (y > y1) & (y < y2) & valid[..., None]
    overlap = iou(truth[:, :, None], boxes[:, None]) * allowed  # [B, M, N]
    mine = logits.float().gather(2, labels.clamp(min=0)[:, None].expand(-1, count, -1)).transpose(1, 2)
    away = torch.hypot(x - (x1 + x2) / 2, y - (y1 + y2) / 2) / strides
    cost = quality_focal_loss(mine, overlap) - overlap_weight * (overlap + 1e-7).log()
    # Cells so far away are never chosen before nearer ones; beyond the limit the cost would not be finite.
    cost = cost + 10 ** (away - reach).clamp(max=30)
    return cheapest(cost.masked_fill(~allowed, torch.inf), overlap, candidates)
