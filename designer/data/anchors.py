"""Anchors for a data set: boxes clustered by shape, and how well given anchors fit them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from designer.data.dataset import DetectionDataset, load_dataset
from designer.data.errors import DataError
from designer.data.items import Item
from designer.graph.training import DataSettings

IMAGES = 2000
"""Training images whose boxes are looked at, spread evenly."""
RATIO = 4.0
"""An anchor fits a box when neither side is this many times as long or as short, as YOLOv5's assignment has it."""
ENOUGH = 0.98
"""Share of boxes that should fit an anchor."""


def box_sizes(settings: DataSettings, image_size: tuple[int, int]) -> np.ndarray:
    """Widths and heights [N, 2] of the training boxes in pixels of the model's input.

    Raises:
        DataError: when the data cannot be read, or has no box.
    """
    sizes = training_sizes(load_dataset(settings, image_size, "detect").train, image_size)
    if not len(sizes):
        raise DataError("The training images have no boxes, so no anchors can be fitted to them.", settings.path)
    return sizes


def training_sizes(data: Dataset[Item], image_size: tuple[int, int], most: int = IMAGES) -> np.ndarray:
    """Widths and heights [N, 2] of the boxes of some images in pixels of the model's input, broken files left out."""
    count = len(data)  # type: ignore[arg-type]
    rows = range(0, count, max(1, -(-count // most)))
    found: list[np.ndarray] = []
    for row in rows:
        if not isinstance(data, DetectionDataset):
            boxes, scale = data[row].boxes.numpy(), np.ones(2)
        else:
            record = data.records[row]
            try:
                with Image.open(record.path) as image:  # its header alone
                    width, height = image.size
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                continue
            fit = min(image_size[0] / height, image_size[1] / width)
            boxes = np.array(record.boxes, dtype=np.float64).reshape(-1, 4)
            scale = fit * (np.array([width, height]) if record.relative else np.ones(2))
        found.append((boxes[:, 2:] - boxes[:, :2]) * scale)
    sizes = np.concatenate(found) if found else np.zeros((0, 2))
    return sizes[(sizes >= 1).all(1)]


def fit_anchors(sizes: np.ndarray, count: int, rounds: int = 300) -> list[int]:
    """Widths and heights of `count` anchors, smallest first: k-means whose distance is one minus the IoU.

    Reference: Redmon & Farhadi 2017, YOLO9000, arXiv:1612.08242.

    Args:
        sizes: boxes [N, 2] in pixels.
        count: anchors of all levels together.
        rounds: most times that boxes are shared out anew.

    Returns:
        w1, h1, w2, h2, ... in whole pixels, at least 1.
    """
    order = np.argsort(sizes.prod(1), kind="stable")
    # Begins with boxes spread evenly by area: the same data gives the same anchors.
    anchors = sizes[order[(np.arange(count) + 0.5).astype(int) * len(sizes) // count]].astype(np.float64)
    owner = np.full(len(sizes), -1)
    for _ in range(rounds):
        nearest = _overlaps(sizes, anchors).argmax(1)
        if (nearest == owner).all():
            break
        owner = nearest
        for i in range(count):
            if (owner == i).any():
                anchors[i] = sizes[owner == i].mean(0)
    anchors = anchors[np.argsort(anchors.prod(1), kind="stable")]
    return [int(v) for v in anchors.round().clip(min=1).ravel()]


def share_that_fits(sizes: np.ndarray, anchors: Sequence[int]) -> float:
    """Share 0..1 of boxes [N, 2] that fit an anchor of w1, h1, w2, h2, ...; 1 without boxes."""
    if not len(sizes):
        return 1.0
    ratio = sizes[:, None] / np.array(anchors, dtype=np.float64).reshape(-1, 2)
    return float((np.maximum(ratio, 1 / ratio).max(2).min(1) < RATIO).mean())


def mean_overlap(sizes: np.ndarray, anchors: Sequence[int]) -> float:
    """Mean IoU 0..1 of each box [N, 2] with its best anchor, both around one centre."""
    return float(_overlaps(sizes, np.array(anchors, dtype=np.float64).reshape(-1, 2)).max(1).mean())


def _overlaps(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU [N, A] of boxes and anchors that share their centre."""
    inter = np.minimum(sizes[:, None], anchors).prod(2)
    return inter / (sizes.prod(1)[:, None] + anchors.prod(1) - inter)
