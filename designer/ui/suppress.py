"""Which of the things found in an image are shown: sure enough, and not the same object twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from designer.train.found import above

ALL = 1.0
"""Overlap at which nothing is left out."""


def kept(found: Iterable[Mapping[str, Any]], threshold: float, overlap: float = ALL) -> list[Mapping[str, Any]]:
    """What has at least a score and overlaps no surer one of its class by more, in the order in which it was found.

    Args:
        found: entries with `score`, `label` and, of detectors, `box` [x1, y1, x2, y2].
        threshold: the lowest score.
        overlap: the largest IoU of two boxes of a class; what the model's own suppression took out stays out.
    """
    sure = above(found, threshold)
    if overlap >= ALL or not sure or "box" not in sure[0]:
        return sure
    taken: list[Mapping[str, Any]] = []
    for one in sorted(sure, key=lambda entry: -entry["score"]):
        rivals = (other["box"] for other in taken if other["label"] == one["label"])
        if all(iou(one["box"], rival) <= overlap for rival in rivals):
            taken.append(one)
    ids = set(map(id, taken))
    return [one for one in sure if id(one) in ids]


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes [x1, y1, x2, y2]; 0 where both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole if whole > 0 else 0.0
