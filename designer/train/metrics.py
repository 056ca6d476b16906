"""How good a model is: COCO mAP for detectors, top-1 and top-5 for classifiers."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch
from torch import Tensor


class CocoMap:
    """COCO's mean average precision over IoU 0.50 to 0.95, by faster-coco-eval, in pixels of the original images."""

    def __init__(self, class_names: list[str]) -> None:
        self.class_names = class_names
        self._images: list[dict[str, Any]] = []
        self._truths: list[dict[str, Any]] = []
        self._found: list[list[float]] = []

    def add(
        self, size: tuple[int, int], truth: Tensor, truth_labels: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor
    ) -> None:
        """Adds one image.

        Args:
            size: height and width of the original image.
            truth: [M, 4] true corners in its pixels.
            truth_labels: [M] class indices.
            boxes: [N, 4] found corners in its pixels.
            scores: [N] 0..1.
            labels: [N] class indices.
        """
        number = len(self._images) + 1
        self._images.append({"id": number, "height": size[0], "width": size[1]})
        for (x1, y1, x2, y2), label in zip(truth.tolist(), truth_labels.tolist(), strict=True):
            w, h = x2 - x1, y2 - y1
            self._truths.append(
                {"id": len(self._truths) + 1, "image_id": number, "category_id": label + 1, "iscrowd": 0,
                 "bbox": [x1, y1, w, h], "area": w * h}
            )  # fmt: skip
        for (x1, y1, x2, y2), score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True):
            self._found.append([number, x1, y1, x2 - x1, y2 - y1, score, label + 1])

    def compute(self) -> dict[str, Any]:
        """`map`, `map50`, `map75`, `map_small`, `map_medium`, `map_large` and `per_class` AP; -1 where no truth is."""
        from faster_coco_eval import COCO, COCOeval_faster

        names = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
        if not self._truths:
            return {**dict.fromkeys(names, -1.0), "per_class": {}}
        if not self._found:
            return {**dict.fromkeys(names, 0.0), "per_class": dict.fromkeys(self.class_names, 0.0)}
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(self.class_names)]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO({"images": self._images, "annotations": self._truths, "categories": categories})
            found = truth.loadRes(np.array(self._found))
            evaluation = COCOeval_faster(truth, found, "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        # precision: [IoU, recall, class, area, detections]; -1 marks a class without truth.
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        per_class = {}
        for i, name in enumerate(self.class_names):
            values = precision[:, :, i]
            per_class[name] = float(values[values > -1].mean()) if (values > -1).any() else -1.0
        return {**{n: float(s) for n, s in zip(names, evaluation.stats[:6], strict=True)}, "per_class": per_class}


class TopK:
    """Share of images whose class is the first, or among the first five, by score."""

    def __init__(self) -> None:
        self.images = self.first = self.fifth = 0

    def add(self, scores: Tensor, labels: Tensor) -> None:
        """Adds a batch: scores [B, K], labels [B]."""
        ranked = scores.topk(min(5, scores.shape[1]), 1).indices
        hit = ranked == labels[:, None]
        self.images += len(labels)
        self.first += int(hit[:, :1].sum())
        self.fifth += int(hit.any(1).sum())

    def compute(self) -> dict[str, Any]:
        total = max(1, self.images)
        return {"top1": self.first / total, "top5": self.fifth / total}


def real(detections: Any, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and labels of one image of a batch of padded detections, padding left out, on the CPU."""
    keep = detections.labels[index] >= 0
    picked = (detections.boxes[index][keep], detections.scores[index][keep], detections.labels[index][keep])
    return tuple(t.detach().to("cpu", torch.float32) for t in picked)
