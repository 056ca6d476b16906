"""Images with COCO annotations, fitted to the model's size; batches with padded targets."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

from images import letterbox, read

Item = tuple[Tensor, Tensor, Tensor, Tensor]


class Coco(Dataset[Item]):
    """Items: image uint8 [3, H, W], boxes [N, 4] as corners in pixels, labels [N], masks uint8 [N, H/4, W/4].

    Every other image is flipped, by chance. Crowds are left out; without `masks` the last is [0, 1, 1].
    """

    def __init__(self, images: Path, annotations: Path, size: tuple[int, int], masks: bool = False) -> None:
        try:
            self._take(images, json.loads(annotations.read_text(encoding="utf-8")), masks)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{annotations} is no COCO annotation file: {error!r}") from None
        self.size, self.masks = size, masks

    def _take(self, images: Path, facts: Any, masks: bool) -> None:
        kinds = sorted(facts["categories"], key=lambda c: c["id"])
        self.class_names = [c["name"] for c in kinds]
        place = {c["id"]: i for i, c in enumerate(kinds)}
        self.objects: dict[Any, list[tuple[list[float], int, Any]]] = defaultdict(list)
        for note in facts["annotations"]:
            if not note.get("iscrowd"):
                outline = note.get("segmentation") if masks else None
                if isinstance(outline, dict):
                    raise ValueError("masks as run lengths, which this script does not read; make polygons of them")
                self.objects[note["image_id"]].append((note["bbox"], place[note["category_id"]], outline))
        self.images = [(images / i["file_name"], i["id"]) for i in facts["images"]]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Item:
        path, number = self.images[index]
        image = read(path)
        image, scale, left, top = letterbox(image, self.size)
        found = self.objects[number]
        boxes = torch.tensor([box for box, _, _ in found], dtype=torch.float32).reshape(-1, 4)
        boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1) * scale
        boxes = boxes + boxes.new_tensor([left, top, left, top])
        labels = torch.tensor([label for _, label, _ in found], dtype=torch.int64)
        masks = torch.zeros(0, 1, 1, dtype=torch.uint8)
        if self.masks:
            drawn = [self._mask(outline or [], scale, left, top) for _, _, outline in found]
            height, width = self.size
            masks = torch.stack(drawn) if drawn else torch.zeros(0, height // 4, width // 4, dtype=torch.uint8)
        if random.random() < 0.5:
            image, masks = image.flip(-1), masks.flip(-1)
            x1, y1, x2, y2 = boxes.unbind(1)
            boxes = torch.stack([self.size[1] - x2, y1, self.size[1] - x1, y2], 1)
        return image, boxes, labels, masks

    def _mask(self, polygons: Any, scale: float, left: int, top: int) -> Tensor:
        """Polygons in pixels of the image as cells of 4 pixels of the model's input."""
        height, width = self.size
        canvas = Image.new("L", (width // 4, height // 4))
        for flat in polygons:
            moved = [(v * scale + (left, top)[i % 2]) / 4 for i, v in enumerate(flat)]
            ImageDraw.Draw(canvas).polygon(moved, fill=1)
        return functional.pil_to_tensor(canvas)[0]


def collate(items: list[Item]) -> tuple[Tensor, dict[str, Tensor]]:
    """Images [B, 3, H, W] 0 to 1; boxes [B, M, 4], labels [B, M] with -1 where padded, masks [B, M, H/4, W/4]."""
    most = max(len(labels) for _, _, labels, _ in items)
    boxes = torch.zeros(len(items), most, 4)
    labels = torch.full((len(items), most), -1, dtype=torch.int64)
    masks = torch.zeros(len(items), most, *items[0][3].shape[1:], dtype=torch.uint8)
    for i, (_, some_boxes, some_labels, some_masks) in enumerate(items):
        boxes[i, : len(some_labels)] = some_boxes
        labels[i, : len(some_labels)] = some_labels
        masks[i, : len(some_masks)] = some_masks
    images = torch.stack([image for image, _, _, _ in items]).float() / 255
    return images, {"boxes": boxes, "labels": labels, "masks": masks}
