"""Losses of class maps: cross-entropy, its focal form and Dice, over the pixels that are not ignored.

References: Lin et al. 2017, arXiv:1708.02002 (focal); Milletari et al. 2016, arXiv:1606.04797 (Dice).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nodes.losses.dice import EPSILON
from nodes.losses.normaliser import batch_sum, normaliser

IGNORED = 255
"""Class index of pixels that do not count; those below 0 do not either."""


def learned(targets: Tensor) -> Tensor:
    """Which pixels of class indices [B, H, W] count, bool."""
    return (targets >= 0) & (targets != IGNORED)


def map_cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0, gamma: float = 0.0
) -> Tensor:
    """Mean cross-entropy of the pixels that count, each with the weight of its class; 0 when none counts.

    Args:
        logits: [B, K, H, W] in float32.
        targets: [B, H, W] int64 class indices, 255 or below 0 where ignored.
        weights: [K] of the classes; all alike when left out.
        label_smoothing: share of the target spread over all classes.
        gamma: of the focal loss, by which well-learned pixels count less; 0 is plain cross-entropy.
    """
    keep = learned(targets)
    safe = targets.where(keep, IGNORED)
    each = F.cross_entropy(
        logits, safe, weights, ignore_index=IGNORED, reduction="none", label_smoothing=label_smoothing
    )
    if gamma:
        sure = logits.log_softmax(1).gather(1, targets.where(keep, 0)[:, None])[:, 0].exp()
        each = each * (1 - sure).pow(gamma)
    share = keep.float() if weights is None else weights[targets.where(keep, 0)] * keep
    return each.sum() / normaliser(share.sum(), logits, least=1e-6)


def map_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Dice loss of each class over the pixels of the batch that count, averaged over the classes that are there.

    Args:
        logits: [B, K, H, W] in float32.
        targets: [B, H, W] int64 class indices, 255 or below 0 where ignored.
    """
    keep = learned(targets)
    likely = (logits.softmax(1) * keep[:, None]).transpose(0, 1)  # [K, B, H, W]
    true = F.one_hot(targets.where(keep, 0), logits.shape[1]).permute(3, 0, 1, 2) * keep
    pairs = (likely, true), (likely, likely), (true, true)
    both, own, wanted = batch_sum(torch.stack([(a * b).flatten(1).sum(1) for a, b in pairs]))
    there = wanted > 0
    losses = 1 - 2 * both / (own + wanted + EPSILON)
    return (losses * there).sum() / there.sum().clamp(min=1)
