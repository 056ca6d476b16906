"""Where a model is right and wrong: figures of each class, confusion matrix, precision-recall and F1 curves.

`evaluation.json` of a run folder holds those of its last evaluation, as plain lists; the window draws them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from designer.graph.storage import write_text

IOU = 0.5
"""Overlap from which on a found box is that of a true object."""
LEAST_SCORE = 0.25
"""Boxes that are less sure are left out of the confusion matrix."""
MOST_FOUND = 100
"""Surest boxes of an image that count, as in COCO's measure."""
MOST_CLASSES = 200
"""With more, the matrix is left out: 1000 classes would be a file of megabytes at each evaluation."""
GRID = np.linspace(0, 1, 101)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ImageBoxes:
    """One image: corners x1, y1, x2, y2 [M, 4] and classes [M] of what is there; [N, 4], [N], scores [N] of what was
    found; [C, 4], [C] of crowds.
    """

    truth: Floats
    truth_labels: Ints
    boxes: Floats
    labels: Ints
    scores: Floats
    crowds: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    crowd_labels: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def counted(self) -> ImageBoxes:
        """The same with the boxes that count, surest first: the most certain, and of those that are no object's none
        that lies half or more on a crowd of its class, where nobody has told the objects apart.
        """
        order = np.argsort(-self.scores, kind="stable")[:MOST_FOUND]
        image = self._picked(order)
        if not len(self.crowds):
            return image
        low = np.maximum(image.boxes[:, None, :2], self.crowds[None, :, :2])
        high = np.minimum(image.boxes[:, None, 2:], self.crowds[None, :, 2:])
        areas = np.prod(image.boxes[:, 2:] - image.boxes[:, :2], axis=1)
        inside = np.prod(np.clip(high - low, 0, None), axis=2) / np.maximum(areas[:, None], 1e-9)
        crowded = ((inside >= IOU) & (image.labels[:, None] == self.crowd_labels[None])).any(1)
        return image._picked(np.flatnonzero(matches(image) | ~crowded))

    def _picked(self, found: Ints) -> ImageBoxes:
        return replace(self, boxes=self.boxes[found], labels=self.labels[found], scores=self.scores[found])


def overlaps(a: Floats, b: Floats) -> Floats:
    """Intersection over union [N, M] of corners [N, 4] and [M, 4]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def matches(image: ImageBoxes) -> NDArray[np.bool_]:
    """Which of the found boxes [N], surest first, is that of a true object of its class that none before it took."""
    hit = np.zeros(len(image.scores), bool)
    if not len(image.truth) or not len(image.boxes):
        return hit
    iou = overlaps(image.boxes, image.truth)
    iou[image.labels[:, None] != image.truth_labels[None]] = 0
    for i in np.flatnonzero(iou.max(1) >= IOU):
        best = int(iou[i].argmax())
        if iou[i, best] >= IOU:
            hit[i] = True
            iou[:, best] = 0
    return hit


def confusion(images: Iterable[ImageBoxes], classes: int) -> Ints:
    """[K + 1, K + 1] counts: rows are true classes, columns found ones; the last of each is the background.

    Boxes of at least `LEAST_SCORE` and true ones are paired whatever their class, best overlap first.
    """
    table = np.zeros((classes + 1, classes + 1), np.int64)
    for image in images:
        keep = image.scores >= LEAST_SCORE
        labels = image.labels[keep]
        iou = overlaps(image.boxes[keep], image.truth)
        free_found, free_true = np.ones(len(labels), bool), np.ones(len(image.truth), bool)
        pairs = np.argwhere(iou >= IOU)
        for i, j in pairs[np.argsort(-iou[pairs[:, 0], pairs[:, 1]], kind="stable")]:
            if free_found[i] and free_true[j]:
                free_found[i] = free_true[j] = False
                table[image.truth_labels[j], labels[i]] += 1
        table[classes] += np.bincount(labels[free_found], minlength=classes + 1)
        table[:, classes] += np.bincount(image.truth_labels[free_true], minlength=classes + 1)
    return table


def precision_by_recall(hits: NDArray[np.bool_], truths: int) -> Floats:
    """The best precision at each recall of 0, 0.01, ... 1 or more, [101], as COCO takes it; hits surest first."""
    true = np.cumsum(hits)
    precision = true / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(true / max(truths, 1), GRID, side="left")
    return np.where(place < len(hits), np.append(envelope, 0.0)[np.minimum(place, len(hits))], 0.0)


def f1_by_score(hits: NDArray[np.bool_], scores: Floats, truths: int) -> tuple[Floats, Floats, Floats]:
    """F1, precision and recall, each [101], when boxes below a score of 0, 0.01, ... 1 are left out; surest first."""
    kept = np.searchsorted(-scores, -GRID, side="right")
    true = np.append(0, np.cumsum(hits))[kept]
    return (
        2 * true / np.maximum(kept + truths, 1),
        np.where(kept > 0, true / np.maximum(kept, 1), 1.0),
        true / max(truths, 1),
    )


def detection_quality(images: Iterable[ImageBoxes], names: list[str]) -> dict[str, Any]:
    """What `evaluation.json` says of boxes: `classes`, `matrix`, `recall_grid`, `precision`, `score_grid`, `f1`,
    `best_score`. Curves are by class and, under `all`, the mean over classes that are there.
    """
    images = [image.counted() for image in images]
    hits, scores, labels = (
        np.concatenate([np.zeros(0, kind), *parts])
        for kind, parts in (
            (bool, [matches(i) for i in images]),
            (float, [i.scores for i in images]),
            (np.int64, [i.labels for i in images]),
        )
    )
    true_labels = np.concatenate([np.zeros(0, np.int64), *(i.truth_labels for i in images)]).astype(np.int64)
    truths = np.bincount(true_labels, minlength=len(names))
    precision: dict[str, Floats] = {}
    by_score: dict[str, tuple[Floats, Floats, Floats]] = {}
    for k, name in enumerate(names):
        if truths[k]:
            mine = np.flatnonzero(labels == k)
            mine = mine[np.argsort(-scores[mine], kind="stable")]
            precision[name] = precision_by_recall(hits[mine], int(truths[k]))
            by_score[name] = f1_by_score(hits[mine], scores[mine], int(truths[k]))
    f1 = {name: values[0] for name, values in by_score.items()}
    mean_f1 = np.mean([*f1.values()], axis=0) if f1 else np.zeros(101)
    best = int(mean_f1.argmax())
    classes = [
        {"name": name, "truths": int(truths[k]), "ap50": float(precision[name].mean()) if name in precision else None,
         **{n: float(v[best]) for n, v in zip(("f1", "precision", "recall"), by_score.get(name, ()), strict=False)}}
        for k, name in enumerate(names)
    ]  # fmt: skip
    mean_precision = np.mean([*precision.values()], axis=0) if precision else np.zeros(101)
    matrix = confusion(images, len(names)) if len(names) <= MOST_CLASSES else None
    return {
        "classes": classes, "best_score": float(GRID[best]), "matrix": matrix.tolist() if matrix is not None else None,
        "matrix_names": [*names, "background"],
        "precision": _rounded({"all": mean_precision, **precision}), "f1": _rounded({"all": mean_f1, **f1}),
    }  # fmt: skip


def classification_quality(true: Ints, found: Ints, names: list[str]) -> dict[str, Any]:
    """What `evaluation.json` says of a classifier: `classes` with precision, recall and F1, and `matrix` [K, K]."""
    table = np.zeros((len(names), len(names)), np.int64)
    np.add.at(table, (true, found), 1)
    right, there, said = table.diagonal(), table.sum(1), table.sum(0)
    classes = [
        {"name": name, "truths": int(there[k]), "precision": float(right[k] / max(said[k], 1)),
         "recall": float(right[k] / max(there[k], 1)), "f1": float(2 * right[k] / max(said[k] + there[k], 1))}
        for k, name in enumerate(names)
    ]  # fmt: skip
    return {
        "classes": classes, "matrix": table.tolist() if len(names) <= MOST_CLASSES else None, "matrix_names": names,
    }  # fmt: skip


def iou_parts(table: Ints) -> tuple[Ints, Ints, Ints]:
    """Of each class the pixels that are right, there, and found, of counts [K, K + 1] by true and found class."""
    return table.diagonal(), table.sum(1), table.sum(0)[: len(table)]


def pixel_quality(table: Ints, names: list[str]) -> dict[str, Any]:
    """What `evaluation.json` says of classes of pixels: `classes` with IoU, precision, recall and F1, which is Dice,
    and `matrix` [K, K] of pixels.

    Args:
        table: counts [K, K + 1] by true and found class; the last column is of classes without a name.
        names: of the classes.
    """
    right, there, said = iou_parts(table)
    classes = [
        {"name": name, "pixels": int(there[k]),
         "iou": float(right[k] / (there[k] + said[k] - right[k])) if there[k] + said[k] else None,
         "precision": float(right[k] / max(said[k], 1)), "recall": float(right[k] / max(there[k], 1)),
         "f1": float(2 * right[k] / max(said[k] + there[k], 1))}
        for k, name in enumerate(names)
    ]  # fmt: skip
    matrix = table[:, : len(names)].tolist() if len(names) <= MOST_CLASSES else None
    return {"classes": classes, "matrix": matrix, "matrix_names": names, "unit": "pixels"}


def _rounded(curves: Mapping[str, Floats]) -> dict[str, list[float]]:
    return {name: [round(float(v), 4) for v in values] for name, values in curves.items()}


def save_quality(path: Path, quality: Mapping[str, Any], metrics: Mapping[str, Any], epoch: int, step: int) -> None:
    """Writes `evaluation.json`; the AP of each class of boxes is added to its figures."""
    per_class = {} if "miou" in metrics else metrics.get("per_class", {})
    classes = [{**entry, "ap": per_class.get(entry["name"])} for entry in quality["classes"]]
    write_text(path, json.dumps({"epoch": epoch, "step": step, **quality, "classes": classes}))
