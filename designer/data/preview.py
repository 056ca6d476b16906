"""Training images as the trainer would make them with other settings: by its own data sets, seeds and order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from designer.data.class_maps import IGNORED
from designer.data.dataset import load_dataset
from designer.data.errors import DataError
from designer.data.images import RecentCache
from designer.data.items import Item, TrainingItems
from designer.data.semantic import BACKGROUND
from designer.graph.training import DataSettings, TrainingSettings


@dataclass
class Made:
    """An augmented image.

    Attributes:
        image: uint8 [H, W, 3].
        owners: whose each pixel is, uint8 [h, w]: objects from 1 on, or classes plus one; 0 is nobody's.
        labels: the class of each owner from 1 on; -1 for background.
        objects: as they are drawn: `label`, `name` and perhaps `box`.
    """

    image: Tensor
    owners: Tensor | None
    labels: list[int]
    objects: list[dict[str, Any]]


class Previews:
    """Keeps the data set that was asked for last open, and the images that were used last decoded."""

    def __init__(self) -> None:
        self._key: tuple[str, ...] = ()
        self._train: TrainingItems
        self._names: list[str] = []

    def make(
        self, data: DataSettings, training: TrainingSettings, size: tuple[int, int], task: str, number: int, epoch: int
    ) -> Made:
        """A training image.

        Args:
            data: the document's data section.
            training: its training section; the cache of the trainer is not touched.
            size: height and width of the model's input.
            task: of the head.
            number: of the image in the training part.
            epoch: from 0.

        Raises:
            DataError: for data that cannot be read, or not by this task, and for an image that cannot be read.
        """
        self._open(data, training, size, task)
        self._train.set_training(training)
        self._train.epoch.fill_(epoch)
        item = self._train[number]
        if item.image is None:
            what = item.why or "The image cannot be read."
            raise DataError(f"{what} Choose another one; the check lists all that cannot be used.", item.name)
        labels = item.labels.tolist()
        if task == "semantic":
            labels = [-1 if name == BACKGROUND else i for i, name in enumerate(self._names)]
        return Made(item.image.permute(1, 2, 0).contiguous(), _owners(item, task), labels, self._objects(item, task))

    def _open(self, data: DataSettings, training: TrainingSettings, size: tuple[int, int], task: str) -> None:
        key = (data.model_dump_json(), str(training.seed), str(size), task)
        if key == self._key:
            return
        self._key = ()
        splits = load_dataset(data, size, task, training.model_copy(update={"cache": "off"}))
        train = splits.train
        assert isinstance(train, TrainingItems)
        if hasattr(train, "cache"):
            train.cache = RecentCache()
        self._train, self._names, self._key = train, splits.class_names, key

    def _objects(self, item: Item, task: str) -> list[dict[str, Any]]:
        def named(label: int, more: str = "") -> dict[str, Any]:
            return {"label": label, "name": self._names[label] + more}

        if task == "semantic":
            shown = item.classes.unique().tolist()
            return [named(c) for c in shown if c != IGNORED and self._names[c] != BACKGROUND]
        if item.shares is not None:
            return [named(i, f" {share:.0%}") for i, share in enumerate(item.shares.tolist()) if share > 0]
        labels = item.labels.tolist()
        if task == "classify":
            return [named(label) for label in labels]
        boxes = item.boxes.tolist()
        return [{**named(label), "box": [round(v, 1) for v in box]} for label, box in zip(labels, boxes, strict=True)]


def _owners(item: Item, task: str) -> Tensor | None:
    """Whose each pixel is: objects from 1 on, the later over the earlier; or classes plus one."""
    if task == "semantic":
        return item.classes + 1  # what is ignored, 255, comes out as 0
    if task != "segment":
        return None
    number = torch.arange(1, len(item.masks) + 1, dtype=torch.uint8)[:, None, None]
    empty = item.masks.new_zeros(1, *item.masks.shape[-2:])
    return torch.cat([empty, item.masks * number]).amax(0)
