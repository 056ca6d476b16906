"""Data sets of classification: images with one class, cropped and mixed by chance in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from designer.data import shapes
from designer.data.augment import below, chance
from designer.data.images import read_image
from designer.data.items import Item, TrainingItems
from designer.data.records import Record
from designer.data.transforms import classification_eval, classification_train
from designer.graph.training import DataSettings, TrainingSettings

MIXUP, CUTMIX = 0.2, 1.0
"""Alpha of the Beta distribution that shares are drawn from: Zhang et al. 2018, arXiv:1710.09412, for ImageNet, and
Yun et al. 2019, arXiv:1905.04899."""


class ClassItems(TrainingItems):
    """Images with a class, by `load`; `training` None for validation.

    Args:
        size: height and width of the model's input.
        training: with a chance of mixup or CutMix, every item has `shares`, the probabilities of the classes.
        count: number of images.
        classes: number of classes.
    """

    def __init__(self, size: tuple[int, int], training: TrainingSettings | None, count: int, classes: int) -> None:
        super().__init__(training)
        self.size, self.count, self.classes = size, count, classes
        self.mixup = self.cutmix = 0.0
        self.transform = classification_eval(size)
        if training is not None:
            self.set_training(training)
        # An item is the first of a pair that is mixed, since a batch is drawn by several workers, each with its items.
        self.mixes = (v2.MixUp(alpha=MIXUP, num_classes=classes), v2.CutMix(alpha=CUTMIX, num_classes=classes))

    def set_training(self, training: TrainingSettings) -> None:
        self.mixup, self.cutmix = training.mixup, training.cutmix
        self.transform = classification_train(self.size, training)

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """What a message calls the image."""
        raise NotImplementedError

    def load(self, index: int) -> tuple[Tensor, int] | None:
        """The image uint8 [3, H, W] as it is stored and its class; None if it cannot be read."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Item:
        found = self.load(index)
        if found is None:
            return Item(None, name=self.name(index))
        with self.seeded(index):
            item = Item(self.transform(found[0]), labels=torch.tensor([found[1]]), name=self.name(index))
            if self.mixup or self.cutmix:
                item.shares = F.one_hot(item.labels[0], self.classes).float()
                self._mix(item)
        return item

    def _mix(self, item: Item) -> None:
        """Lays another image over the item's, or puts a piece of it in; classes share by how much is seen of each."""
        mix = self.mixes[0] if chance(self.mixup) else self.mixes[1] if chance(self.cutmix) else None
        other = self.load(below(self.count)) if mix is not None else None
        if mix is None or other is None:
            return
        assert item.image is not None
        pair = torch.stack([item.image, self.transform(other[0])]).float()
        images, shares = mix(pair, torch.tensor([int(item.labels[0]), other[1]]))
        item.image, item.shares = images[0].round().to(torch.uint8), shares[0]


class ClassificationDataset(ClassItems):
    """Images with one class from files; `training` None for validation."""

    def __init__(
        self, records: Sequence[Record], size: tuple[int, int], training: TrainingSettings | None, classes: int
    ) -> None:
        super().__init__(size, training, len(records), classes)
        self.records = records

    def name(self, index: int) -> str:
        return str(self.records[index].path)

    def load(self, index: int) -> tuple[Tensor, int] | None:
        record = self.records[index]
        image = read_image(record.path)
        return (image, record.labels[0]) if image is not None else None


class ShapesClasses(ClassItems):
    """The drawn shapes, one in an image. Each image is drawn once a process and kept."""

    def __init__(
        self, count: int, size: tuple[int, int], split: str, settings: DataSettings, training: TrainingSettings
    ) -> None:
        super().__init__(size, training if split == "train" else None, count, settings.classes)
        self.split, self.drawn_by = split, training.seed
        self.kept: dict[int, tuple[Tensor, int]] = {}
        if split != "train":
            self.transform = v2.Identity()  # it is drawn at the model's size

    def name(self, index: int) -> str:
        return f"shapes/{self.split}/{index}"

    def load(self, index: int) -> tuple[Tensor, int]:
        if index not in self.kept:
            options = {"split": self.split, "seed": self.drawn_by, "classes": self.classes}
            pixels, label = shapes.draw_one(index, self.size, **options)  # type: ignore[arg-type]
            self.kept[index] = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), label
        return self.kept[index]
