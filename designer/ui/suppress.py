"""Which of the things found in an image are shown: sure enough, and not the same object twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    import numpy as np  # which a window can start without

    from designer.train.quality import overlaps

    boxes = np.array([one["box"] for one in sure], np.float64)
    shared = overlaps(boxes, boxes)
    taken: list[int] = []
    for place in sorted(range(len(sure)), key=lambda i: -sure[i]["score"]):
        rivals = [other for other in taken if sure[other]["label"] == sure[place]["label"]]
        if (shared[place, rivals] <= overlap).all():
            taken.append(place)
    return [sure[place] for place in sorted(taken)]
