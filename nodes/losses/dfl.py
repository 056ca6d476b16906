"""Distribution focal loss: a distance learned as a distribution over whole-number bins.

Reference: Li et al. 2020, Generalized Focal Loss, arXiv:2006.04388.
"""

from __future__ import annotations

import torch
from torch import Tensor


def distribution_focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of a distance with the two bins around it, weighted by how near each is.

    A target of 2.25 asks for 0.75 in bin 2 and 0.25 in bin 3, whose expectation is 2.25 again.

    Args:
        logits: [..., R] scores of the bins 0, 1, ..., R - 1.
        target: [...] distances in bins; those outside 0..R-1 are moved to the nearest end.

    Returns:
        [...] losses in float32, none reduced.
    """
    last = logits.shape[-1] - 1
    target = target.float().clamp(0, last)
    left = target.floor().clamp(max=last - 1).long().unsqueeze(-1)
    log_p = logits.float().log_softmax(-1)
    right_weight = target - left.squeeze(-1)
    left_log_p, right_log_p = log_p.gather(-1, left).squeeze(-1), log_p.gather(-1, left + 1).squeeze(-1)
    return -(left_log_p * (1 - right_weight) + right_log_p * right_weight)


def expected_distance(logits: Tensor) -> Tensor:
    """Mean of the distribution, in bins: [..., R] logits -> [...] in float32."""
    bins = torch.arange(logits.shape[-1], dtype=torch.float32, device=logits.device)
    # A weighted sum, not a matmul: autocast would run that in half precision.
    return (logits.float().softmax(-1) * bins).sum(-1)
