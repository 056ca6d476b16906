"""Hungarian assignment: every object is learned by one query, so that all of them together cost least.

Reference: Carion et al. 2020, DETR, arXiv:2005.12872; costs as in Zhao et al. 2024, RT-DETR, arXiv:2304.08069.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_convert

from nodes.assign.matching import cheapest_pairs
from nodes.losses.focal import focal_hit, focal_miss
from nodes.losses.iou import giou


class Pairs(NamedTuple):
    """P queries that answer for an object.

    Attributes:
        image: [P] its index.
        layer: [P] of the decoder.
        query: [P] index of the query in that layer.
        owner: [P] row of the object in the image's targets.
    """

    image: Tensor
    layer: Tensor
    query: Tensor
    owner: Tensor


@torch.no_grad()
def assign_hungarian(
    logits: Tensor,
    boxes: Tensor,
    truth: Tensor,
    labels: Tensor,
    *,
    cls_weight: float = 2.0,
    l1_weight: float = 5.0,
    giou_weight: float = 2.0,
) -> Pairs:
    """Gives every object of an image one query in each layer; those of more objects than queries go without.

    A query costs what the focal loss of the object's class would change, the L1 distance and the GIoU loss of its box.

    Args:
        logits: [B, L, Q, K] of the classes.
        boxes: [B, L, Q, 4] centre, width and height in shares of the image.
        truth: [B, M, 4] objects in the same form; M may be 0.
        labels: [B, M] classes, -1 where padded.
        cls_weight: of the first cost.
        l1_weight: of the second.
        giou_weight: of the third.
    """
    valid = (labels >= 0).cpu()
    found: list[tuple[int, int, int, int]] = []
    if valid.any():
        cost = pair_costs(logits, boxes, truth, labels, cls_weight, l1_weight, giou_weight).cpu()
        for image, columns in enumerate(valid):
            owners = columns.nonzero().flatten().tolist()
            for layer, prices in enumerate(cost[image][..., columns]):
                found += [(image, layer, query, owners[i]) for query, i in cheapest_pairs(prices)]
    table = torch.tensor(found, dtype=torch.long, device=labels.device).view(-1, 4)
    return Pairs(*table.unbind(1))


def pair_costs(
    logits: Tensor,
    boxes: Tensor,
    truth: Tensor,
    labels: Tensor,
    cls_weight: float,
    l1_weight: float,
    giou_weight: float,
) -> Tensor:
    """[B, L, Q, M] cost of each query and object, finite also where the predictions are not."""
    layers, queries = boxes.shape[1:3]
    wanted = labels.clamp(min=0)[:, None, None].expand(-1, layers, queries, -1)
    hit = logits.float().gather(3, wanted)
    found, objects = boxes.float()[:, :, :, None], truth.float()[:, None, None]
    l1 = (found - objects).abs().sum(4)
    overlap = giou(box_convert(found, "cxcywh", "xyxy"), box_convert(objects, "cxcywh", "xyxy"))
    cost = cls_weight * (focal_hit(hit) - focal_miss(hit)) + l1_weight * l1 - giou_weight * overlap
    return cost.nan_to_num(1e6, 1e6, -1e6)
