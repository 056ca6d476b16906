"""How good a model is: COCO mAP of boxes and masks, top-1 and top-5 of classes, mean IoU of the classes of pixels."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from designer.data.class_maps import IGNORED
from designer.data.masks import Runs, area_of
from designer.data.records import Crowd
from designer.train.quality import ImageBoxes, classification_quality, detection_quality, iou_parts, pixel_quality

NAMES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
TOP = 5
"""First places among which a class is sought, beside the first alone."""


class CocoMap:
    """COCO's mean average precision over IoU 0.50 to 0.95, by faster-coco-eval, in pixels of the original images.

    Args:
        class_names: of the labels.
        masks: whether masks are measured beside boxes.
    """

    def __init__(self, class_names: list[str], masks: bool = False) -> None:
        self.class_names, self.masks = class_names, masks
        self._images: list[dict[str, Any]] = []
        self._truths: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def add(
        self, size: tuple[int, int], truth: Tensor, truth_labels: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor,
        masks: tuple[list[Runs], list[Runs]] | None = None, areas: Tensor | None = None,
        crowds: Sequence[Crowd] = (),
    ) -> None:  # fmt: skip
        """Adds one image.

        Args:
            size: height and width of the original image.
            truth: [M, 4] true corners in its pixels.
            truth_labels: [M] class indices.
            boxes: [N, 4] found corners in its pixels.
            scores: [N] 0..1.
            labels: [N] class indices.
            masks: run lengths of the M true masks and of the N found ones.
            areas: [M] of the true objects as their annotations tell them, by which COCO calls them small, medium or
                large; that of the mask, else of the box, counts where one is 0, and where there are none.
            crowds: what is found on one of its class is neither right nor wrong; with runs as outlines beside masks.
        """
        number = len(self._images) + 1
        self._images.append({"id": number, "height": size[0], "width": size[1]})
        for i, ((x1, y1, x2, y2), label) in enumerate(zip(truth.tolist(), truth_labels.tolist(), strict=True)):
            w, h = x2 - x1, y2 - y1
            entry = {"id": len(self._truths) + 1, "image_id": number, "category_id": label + 1, "iscrowd": 0,
                     "bbox": [x1, y1, w, h], "area": w * h}  # fmt: skip
            if masks is not None:
                entry.update(segmentation=masks[0][i], area=area_of(masks[0][i]))
            if areas is not None and len(areas) and areas[i] > 0:
                entry["area"] = float(areas[i])
            self._truths.append(entry)
        for crowd in crowds:
            x1, y1, x2, y2 = crowd.box
            entry = {"id": len(self._truths) + 1, "image_id": number, "category_id": crowd.label + 1, "iscrowd": 1,
                     "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}  # fmt: skip
            self._truths.append({**entry, "segmentation": crowd.outline} if masks is not None else entry)
        triples = zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True)
        for i, ((x1, y1, x2, y2), score, label) in enumerate(triples):
            entry = {"image_id": number, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
            if masks is not None:
                entry["segmentation"] = masks[1][i]
            self._found.append(entry)

    def join(self, other: CocoMap) -> None:
        """Adds the images of another one."""
        before, truths = len(self._images), len(self._truths)
        self._images += [{**image, "id": image["id"] + before} for image in other._images]
        self._truths += [
            {**entry, "id": entry["id"] + truths, "image_id": entry["image_id"] + before} for entry in other._truths
        ]
        self._found += [{**entry, "image_id": entry["image_id"] + before} for entry in other._found]

    def compute(self) -> dict[str, Any]:
        """`map`, `map50`, `map75`, `map_small`, `map_medium`, `map_large` and `per_class` AP; -1 where no truth is.

        With masks these are of the boxes, and `mask_map`, `mask_map50`, ... of the masks, whose AP `per_class` is then.
        """
        values = self._measure("bbox")
        if self.masks:
            masks = self._measure("segm")
            values.update({f"mask_{name}": masks[name] for name in NAMES}, per_class=masks["per_class"])
        return values

    def quality(self) -> dict[str, Any]:
        """Figures of each class, confusion matrix and curves of the boxes (`quality.py`)."""
        images = []
        groups: list[tuple[list[dict[str, Any]], ...]] = [([], [], []) for _ in self._images]
        for entry in self._truths:
            groups[entry["image_id"] - 1][2 if entry["iscrowd"] else 0].append(entry)
        for entry in self._found:
            groups[entry["image_id"] - 1][1].append(entry)
        for truth, found, crowds in groups:
            scores = np.array([entry["score"] for entry in found], np.float64)
            images.append(ImageBoxes(*_corners(truth), *_corners(found), scores, *_corners(crowds)))
        return detection_quality(images, self.class_names)

    def _measure(self, kind: str) -> dict[str, Any]:
        from faster_coco_eval import COCO, COCOeval_faster

        if not self._truths:
            return {**dict.fromkeys(NAMES, -1.0), "per_class": {}}
        if not self._found:
            return {**dict.fromkeys(NAMES, 0.0), "per_class": dict.fromkeys(self.class_names, 0.0)}
        categories = [{"id": i + 1, "name": name} for i, name in enumerate(self.class_names)]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO({"images": self._images, "annotations": self._truths, "categories": categories})
            found = truth.loadRes([dict(entry) for entry in self._found])  # it writes into what it is given
            if kind == "segm":  # loadRes takes the size of a found object from its box; COCO's is that of its mask
                for entry in found.dataset["annotations"]:
                    entry["area"] = area_of(entry["segmentation"])
            evaluation = COCOeval_faster(truth, found, kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        # precision: [IoU, recall, class, area, detections]; -1 marks a class without truth.
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        per_class = {}
        for i, name in enumerate(self.class_names):
            values = precision[:, :, i]
            per_class[name] = float(values[values > -1].mean()) if (values > -1).any() else -1.0
        return {**{n: float(s) for n, s in zip(NAMES, evaluation.stats[:6], strict=True)}, "per_class": per_class}


def _corners(entries: list[dict[str, Any]]) -> tuple[Any, Any]:
    """Corners [N, 4] and class indices [N] of COCO's entries."""
    boxes = np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes, np.array([entry["category_id"] - 1 for entry in entries], np.int64)


class TopK:
    """Share of images whose class is the first, or among the first five, by score; of five classes or fewer all are."""

    def __init__(self, class_names: list[str] | None = None) -> None:
        self.images = self.first = self.fifth = self.classes = 0
        self.class_names = class_names or []
        self._true: list[int] = []
        self._said: list[int] = []

    def add(self, scores: Tensor, labels: Tensor) -> None:
        """Adds a batch: scores [B, K], labels [B]."""
        ranked = scores.topk(min(TOP, scores.shape[1]), 1).indices
        hit = ranked == labels[:, None]
        self.images, self.classes = self.images + len(labels), scores.shape[1]
        self.first += int(hit[:, :1].sum())
        self.fifth += int(hit.any(1).sum())
        self._true += labels.tolist()
        self._said += ranked[:, 0].tolist()

    def join(self, other: TopK) -> None:
        """Adds the images of another one."""
        self.images, self.first = self.images + other.images, self.first + other.first
        self.fifth += other.fifth
        self.classes = max(self.classes, other.classes)
        self._true += other._true
        self._said += other._said

    def compute(self) -> dict[str, Any]:
        total = max(1, self.images)
        values = {"top1": self.first / total}
        return {**values, "top5": self.fifth / total} if self.classes > TOP else values

    def quality(self) -> dict[str, Any]:
        """Figures of each class and the confusion matrix (`quality.py`)."""
        return classification_quality(np.array(self._true, int), np.array(self._said, int), self.class_names)


class MeanIoU:
    """Intersection over union of each class over all pixels of all images, and its mean over classes that occur.

    A class occurs when it is there or was found. Pixels whose true class is 255 do not count.

    Args:
        class_names: of the indices.
    """

    def __init__(self, class_names: list[str]) -> None:
        self.class_names = class_names
        # Rows are true classes, columns found ones; the last column takes those that the data has no name for.
        self.table = np.zeros((len(class_names), len(class_names) + 1), np.int64)

    def add(self, found: Tensor, truth: Tensor) -> None:
        """Adds an image: found and true class indices [H, W], at the image's own size."""
        true, said = truth.numpy().ravel(), found.numpy().ravel()
        keep = true != IGNORED
        count = len(self.class_names)
        cells = true[keep].astype(np.int64) * (count + 1) + np.minimum(said[keep], count)
        self.table += np.bincount(cells, minlength=self.table.size).reshape(self.table.shape)

    def join(self, other: MeanIoU) -> None:
        """Adds the images of another one."""
        self.table += other.table

    def compute(self) -> dict[str, Any]:
        """`miou`, `pixel_accuracy` and the IoU `per_class`, -1 where it does not occur."""
        right, there, said = iou_parts(self.table)
        union = there + said - right
        iou = np.where(union > 0, right / np.maximum(union, 1), -1.0)
        occurs = iou >= 0
        return {
            "miou": float(iou[occurs].mean()) if occurs.any() else 0.0,
            "pixel_accuracy": float(right.sum() / max(1, there.sum())),
            "per_class": {name: float(value) for name, value in zip(self.class_names, iou, strict=True)},
        }

    def quality(self) -> dict[str, Any]:
        """Figures of each class and the confusion matrix (`quality.py`)."""
        return pixel_quality(self.table, self.class_names)


def real(detections: Any, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and labels of one image of a batch of padded detections, padding left out, on the CPU."""
    keep = detections.labels[index] >= 0
    picked = (detections.boxes[index][keep], detections.scores[index][keep], detections.labels[index][keep])
    return tuple(t.detach().to("cpu", torch.float32) for t in picked)
