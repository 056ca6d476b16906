"""Denoising queries: the objects themselves with noise, which a decoder learns to undo without any matching."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

VALUES = 6
"""Random numbers that a query takes: four of its box, whether its label is drawn, and which."""


class Noisy(NamedTuple):
    """Queries of a batch: groups of all objects twice, with little noise first, then with much.

    Attributes:
        boxes: [B, Q, 4] centre, width and height in shares of the image, with noise.
        labels: [B, Q] classes, some of them drawn; -1 where padded.
        owner: [Q] row of the object in the image's targets.
        positive: [B, Q] True where the object is to be found again; the others are to be told from objects.
        mask: [B, 1, Q, Q] True where a query (row) sees another (column): within a group, and no padding.
    """

    boxes: Tensor
    labels: Tensor
    owner: Tensor
    positive: Tensor
    mask: Tensor


def noisy_queries(
    truth: Tensor, labels: Tensor, noise: Tensor, num_classes: int, label_noise: float, box_noise: float
) -> Noisy:
    """Makes as many groups as there is noise for, at least one; none if no image has an object.

    A corner of a box moves by up to `box_noise` half sides where the object is to be found, by one to two times that
    where it is not.

    Reference: Zhang et al. 2023 (DINO), arXiv:2203.03605.

    Args:
        truth: [B, M, 4] centre, width and height in shares of the image.
        labels: [B, M] classes, -1 where padded.
        noise: [B, 2 * D, VALUES] evenly from 0 to 1; D objects share it, or are repeated until there are D.
        num_classes: number of object classes.
        label_noise: share of labels that are drawn anew.
        box_noise: in half sides of the box.
    """
    columns = (labels >= 0).any(0).nonzero()
    objects = int(columns.max()) + 1 if len(columns) else 0
    groups = max(1, noise.shape[1] // (2 * objects)) if objects else 0
    device = labels.device
    row = torch.arange(2 * objects * groups, device=device)
    owner, far = row % max(1, objects), row // max(1, objects) % 2
    noise = noise[:, row % noise.shape[1]]
    given = labels[:, owner]
    drawn = (noise[..., 4] < label_noise) & (given >= 0)
    given_labels = torch.where(drawn, (noise[..., 5] * num_classes).long().clamp(max=num_classes - 1), given)
    group = row // max(1, 2 * objects)
    sees = (group[:, None] == group) & ((given >= 0)[:, None] | torch.eye(len(row), dtype=torch.bool, device=device))
    return Noisy(
        _moved(truth[:, owner], noise[..., :4], far, box_noise),
        given_labels, owner, (given >= 0) & (far == 0), sees[:, None],
    )  # fmt: skip


def _moved(boxes: Tensor, noise: Tensor, far: Tensor, box_noise: float) -> Tensor:
    """The boxes [B, Q, 4] with their corners moved, within the image; `far` [Q] is 1 where they move further."""
    centre, size = boxes.split(2, 2)
    signed = 2 * noise - 1
    steps = signed + signed.sign() * far[:, None]
    corners = torch.cat((centre - size / 2, centre + size / 2), 2)
    corners = (corners + steps * (box_noise / 2) * size.repeat(1, 1, 2)).clamp(0, 1)
    low, high = corners.split(2, 2)
    low, high = torch.minimum(low, high), torch.maximum(low, high)  # with much noise corners pass each other
    return torch.cat(((low + high) / 2, high - low), 2)
