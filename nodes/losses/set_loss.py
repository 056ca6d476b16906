"""The losses of queries that answer for an object each: varifocal of the classes, L1 and GIoU of the boxes.

Reference: Zhao et al. 2024, RT-DETR, arXiv:2304.08069.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_convert

from nodes.assign.hungarian import Pairs
from nodes.losses.iou import giou, iou
from nodes.losses.varifocal import varifocal_hit, varifocal_miss


def set_losses(
    logits: Tensor, boxes: Tensor, truth: Tensor, labels: Tensor, pairs: Pairs, counts: Tensor | None = None
) -> dict[str, Tensor]:
    """Sums over images, layers and queries; the score to learn is the IoU of a query's box with its object's.

    Args:
        logits: [B, L, Q, K] of the classes.
        boxes: [B, L, Q, 4] centre, width and height in shares of the image.
        truth: [B, M, 4] objects in the same form.
        labels: [B, M] classes, -1 where padded.
        pairs: which queries answer for which objects; all others are to have no class.
        counts: [B, Q] 0 where a query is padding, 1 elsewhere; all count by default.

    Returns:
        `cls`, `l1` and `giou`, scalars in float32.
    """
    image, layer, query, owner = pairs
    logits, boxes, truth = logits.float(), boxes.float(), truth.float()
    found, wanted = boxes[image, layer, query], truth[image, owner]
    corners = box_convert(found, "cxcywh", "xyxy"), box_convert(wanted, "cxcywh", "xyxy")
    hit = logits[image, layer, query, labels[image, owner]]
    fits = iou(corners[0].detach(), corners[1])
    miss = varifocal_miss(logits)
    if counts is not None:
        miss = miss * counts[:, None, :, None]
    return {
        "cls": miss.sum() + (varifocal_hit(hit, fits) - varifocal_miss(hit)).sum(),
        "l1": (found - wanted).abs().sum(),
        "giou": (1 - giou(*corners)).sum(),
    }


def noisy_pairs(positive: Tensor, owner: Tensor, layers: int) -> Pairs:
    """Each positive denoising query answers for its own object, in every layer.

    Args:
        positive: [B, Q] which do.
        owner: [Q] rows of their objects.
        layers: of the decoder.
    """
    image, query = positive.nonzero(as_tuple=True)
    layer = torch.arange(layers, device=image.device).repeat_interleave(len(image))
    image, query = image.repeat(layers), query.repeat(layers)
    return Pairs(image, layer, query, owner[query])
