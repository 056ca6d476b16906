"""A summary of a data set as counts to draw: a few hundred numbers, however many boxes there are. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from designer.data.summary import DataSummary, PartSummary, middle

OCTAVES = (0.0, 11.0)
"""Sides of boxes that are drawn: 1 to 2048 pixels, as powers of two."""
SIDE_BINS, PLACE_BINS = 44, 24
MOST_SIZES = 200
"""Sizes of images that are listed, the most frequent ones."""
SAMPLE = 1000
"""Sides of boxes that stand for all of them."""


def drawn_summary(summary: DataSummary) -> dict[str, Any]:
    """What the window draws and lists of a summary."""
    return {
        "names": summary.class_names,
        "notes": summary.notes,
        "remarks": summary.remarks,
        "parts": {"train": _part(summary.train), "val": _part(summary.val)},
    }


def _part(part: PartSummary) -> dict[str, Any]:
    return {
        "images": part.images,
        "objects": part.objects,
        "empty": part.empty,
        "unreadable": part.unreadable,
        "by_class": part.by_class,
        "images_of_class": part.images_of_class,
        "objects_per_image": part.objects_per_image,
        "image_sizes": part.image_sizes[:MOST_SIZES],
        "by_size": part.by_size,
        "pixels_of_class": part.pixels_of_class,
        "median_box": [middle(side) for side in zip(*part.box_sides, strict=True)],
        "median_ratio": middle(part.aspect_ratios),
        "sides": _sides(part.box_sides),
        "places": _places(part.centres),
    }


def _sides(sides: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Boxes by width (rows) and height (columns), each side on a scale of octaves."""
    found = np.log2(np.array(sides, dtype=np.float64).reshape(-1, 2).clip(2 ** OCTAVES[0], 2 ** OCTAVES[1] - 1e-6))
    counts, _, _ = np.histogram2d(found[:, 0], found[:, 1], bins=SIDE_BINS, range=(OCTAVES, OCTAVES))
    return counts.astype(int).tolist()


def _places(centres: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Middles of boxes by their place across (rows) and down (columns) the image."""
    found = np.array(centres, dtype=np.float64).reshape(-1, 2).clip(0, 1)
    counts, _, _ = np.histogram2d(found[:, 0], found[:, 1], bins=PLACE_BINS, range=((0, 1), (0, 1)))
    return counts.astype(int).tolist()


def shorter_sides(part: PartSummary, image_size: tuple[int, int]) -> list[float]:
    """Shorter sides of boxes, smallest first, as a share of the larger side (pixels) of the model's input."""
    sides = np.sort(np.array([min(side) for side in part.box_sides])) / max(image_size)
    if len(sides) > SAMPLE:
        sides = sides[np.linspace(0, len(sides) - 1, SAMPLE).astype(int)]
    return [round(float(side), 5) for side in sides]
