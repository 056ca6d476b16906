"""Matrix NMS: scores fall with the overlap of masks, all at once.

Reference: Wang et al. 2020, SOLOv2, arXiv:2003.10152.
"""

from __future__ import annotations

import torch
from torch import Tensor


def matrix_decay(masks: Tensor, scores: Tensor, labels: Tensor, sigma: float = 2.0) -> Tensor:
    """[B, N] factor 0..1 for each score, by the masks of the same class with a higher one.

    A mask loses exp(-sigma IoU^2) by each better mask, less what that one itself lost by a better one still: the
    worst of these counts.

    Args:
        masks: [B, N, h, w] bool.
        scores: [B, N] in any order; of equal ones the earlier is the better.
        labels: [B, N] class.
        sigma: how fast the score falls.
    """
    flat = masks.flatten(2).float()
    inter = flat @ flat.transpose(1, 2)
    area = flat.sum(2)
    overlap = inter / (area[:, :, None] + area[:, None] - inter).clamp(min=1)
    index = torch.arange(scores.shape[1], device=scores.device)
    ahead, behind = scores[:, :, None], scores[:, None]
    better = (ahead > behind) | ((ahead == behind) & (index[:, None] < index))
    better &= labels[:, :, None] == labels[:, None]
    overlap = overlap * better  # [B, better, worse]
    lost = overlap.amax(1)[..., None]
    decay = torch.exp(-sigma * (overlap.square() - lost.square()))
    return decay.where(better, 1.0).amin(1).clamp(max=1.0)
