"""What a model found in images as plain data, and as a COCO file. Imports no torch: the window uses it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

LEAST = 0.01
"""Score below which nothing is passed on; a window's threshold can go down to it."""


def above(found: Iterable[Mapping[str, Any]], threshold: float) -> list[Mapping[str, Any]]:
    """What was found with a score of at least the threshold."""
    return [one for one in found if one["score"] >= threshold]


def coco_json(results: Sequence[Mapping[str, Any]], names: Sequence[str], threshold: float) -> dict[str, Any]:
    """Images, categories (ids from 1 in the order of the model's classes) and annotations with their scores.

    Args:
        results: of each image `image` (path), `width`, `height`, and `found`: entries with `label`, `score`, `box`
            [x1, y1, x2, y2] in pixels of the image, and `mask` (COCO's run lengths) of a segmenter.
        names: of the classes.
        threshold: lowest score that is written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, result in enumerate(results, 1):
        path = Path(result["image"])
        images.append({"id": number, "file_name": path.name, "width": result["width"], "height": result["height"]})
        for one in above(result["found"], threshold):
            if "box" not in one:
                continue
            x1, y1, x2, y2 = one["box"]
            entry = {
                "id": len(annotations) + 1, "image_id": number, "category_id": one["label"] + 1,
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)], "area": round((x2 - x1) * (y2 - y1), 2),
                "score": one["score"], "iscrowd": 0,
            }  # fmt: skip
            if "mask" in one:
                entry.update(segmentation=one["mask"], area=one["pixels"])
            annotations.append(entry)
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    return {"images": images, "categories": categories, "annotations": annotations}
