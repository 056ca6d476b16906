"""What data sets give and what a step takes: items, batches with the targets of each task, items seeded one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from designer.data.errors import DataError
from designer.data.masks import Runs
from designer.data.records import Crowd
from designer.data.transforms import Fit, to_float
from designer.graph.training import TrainingSettings

S = TypeVar("S")
"""An image with its targets, as a data set loads it."""


@dataclass
class Item:
    """One image, uint8 [3, H, W] at the model's size, with its targets; or only the name of a file that was skipped.

    `boxes` and `labels` are in pixels of the model's input; `true_boxes` in pixels of the original. For segmentation
    `masks` uint8 [N, H/4, W/4] belong to them, and `true_runs` are those of the original, where it is not augmented.
    For semantic segmentation `classes` uint8 [H, W] has each pixel's class, 255 where ignored, and `true_classes` those
    of the original. `shares` [K] are the probabilities of the classes of an image that is mixed of two. `true_areas`
    are what annotations say of the true boxes' objects, 0 where they do not; empty where none do.
    `crowds` are those on the original. `why` says why a file was skipped, where that is not the image.
    """

    image: Tensor | None
    boxes: Tensor = field(default_factory=lambda: torch.zeros(0, 4))
    labels: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    true_boxes: Tensor = field(default_factory=lambda: torch.zeros(0, 4))
    fit: Fit = field(default_factory=lambda: Fit(1.0, 0, 0, 0, 0))
    name: str = ""
    masks: Tensor = field(default_factory=lambda: torch.zeros(0, 1, 1, dtype=torch.uint8))
    true_runs: list[Runs] = field(default_factory=list)
    classes: Tensor = field(default_factory=lambda: torch.zeros(1, 1, dtype=torch.uint8))
    true_classes: Tensor = field(default_factory=lambda: torch.zeros(1, 1, dtype=torch.uint8))
    shares: Tensor | None = None
    true_areas: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    crowds: tuple[Crowd, ...] = ()
    why: str = ""


@dataclass
class Batch:
    """What a step takes: images float [B, 3, H, W] 0..1, targets of the task, and the items for evaluation."""

    images: Tensor
    targets: Any
    items: list[Item]
    skipped: list[str]

    def pin_memory(self) -> Batch:
        """Called by the loader's pinning thread."""
        self.images = self.images.pin_memory()
        pin = {k: v.pin_memory() for k, v in self.targets.items()} if isinstance(self.targets, dict) else None
        self.targets = pin if pin is not None else self.targets.pin_memory()
        return self

    def to(self, device: torch.device) -> tuple[Tensor, Any]:
        """Images and targets on a device, copied without waiting where the memory is pinned."""
        images = self.images.to(device, non_blocking=True)
        if isinstance(self.targets, dict):
            return images, {k: v.to(device, non_blocking=True) for k, v in self.targets.items()}
        return images, self.targets.to(device, non_blocking=True)


class TrainingItems(Dataset[Item]):
    """Items that are augmented where `training` is given, each seeded by itself.

    The same seed, epoch and index give the same item, whatever the number of workers and wherever a run was resumed.
    `epoch` counts from 0; it lies in shared memory, where workers that live on see it change.
    """

    def __init__(self, training: TrainingSettings | None) -> None:
        self.seed = training.seed if training else 0
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_training(self, training: TrainingSettings) -> None:
        """Augment by these settings from now on; the seed stays."""
        raise NotImplementedError

    @contextmanager
    def seeded(self, index: int) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash((self.seed, int(self.epoch), index)) & (2**63 - 1))
            yield


class Augmenting(Protocol[S]):
    """Makes a training sample of the model's size from one that fits it."""

    def __call__(self, first: S, epoch: int) -> S:
        """A sample of the wanted size; `epoch` counts from 0."""


class SampledItems(TrainingItems, Generic[S]):
    """Items of images with what belongs to each pixel or place, by `load`; `training` None for validation."""

    def __init__(self, size: tuple[int, int], training: TrainingSettings | None, count: int) -> None:
        super().__init__(training)
        self.size, self.count = size, count
        self.augment = self.augmentation(training) if training else None

    def augmentation(self, training: TrainingSettings) -> Augmenting[S]:
        """What augments by these settings."""
        raise NotImplementedError

    def name(self, index: int) -> str:
        """What a message calls the image."""
        raise NotImplementedError

    def load(self, index: int) -> S | None:
        """The image as it is stored, with its targets; None if it cannot be read."""
        raise NotImplementedError

    def fitting(self, index: int) -> S | None:
        """The image as large as fits the model's input; None if it cannot be read."""
        raise NotImplementedError

    def another(self, index: int) -> S | None:
        """What `fitting` gives for an image that is to be mixed in; None for one whose labels cannot be used, too."""
        try:
            return self.fitting(index)
        except DataError:
            return None

    def untouched(self, sample: S, name: str) -> Item:
        """An item for validation, with the truth of the original."""
        raise NotImplementedError

    def augmented(self, sample: S, name: str) -> Item:
        """An item of what the augmentation has made."""
        raise NotImplementedError

    def set_training(self, training: TrainingSettings) -> None:
        self.augment = self.augmentation(training)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        try:
            sample = self.load(index) if self.augment is None else self.fitting(index)
        except DataError as error:  # of its mask or its outlines: passed over like an image that is damaged
            return Item(None, name=self.name(index), why=error.what)
        if sample is None:
            return Item(None, name=self.name(index))
        if self.augment is None:
            return self.untouched(sample, self.name(index))
        with self.seeded(index):
            made = self.augment(sample, int(self.epoch))
        return self.augmented(made, self.name(index))


def collate_detection(items: list[Item]) -> Batch:
    """Pads boxes to the fullest image of the batch: boxes [B, M, 4], labels [B, M] with -1 where padded."""
    good, skipped = _readable(items)
    most = max((len(i.labels) for i in good), default=0)
    boxes = torch.zeros(len(good), most, 4)
    labels = torch.full((len(good), most), -1, dtype=torch.int64)
    for i, item in enumerate(good):
        boxes[i, : len(item.labels)] = item.boxes
        labels[i, : len(item.labels)] = item.labels
    return Batch(_images(good), {"boxes": boxes, "labels": labels}, good, skipped)


def collate_segmentation(items: list[Item]) -> Batch:
    """What `collate_detection` gives, and masks uint8 [B, M, H/4, W/4]."""
    batch = collate_detection(items)
    size = tuple(batch.items[0].masks.shape[-2:]) if batch.items else (1, 1)
    masks = torch.zeros(*batch.targets["labels"].shape, *size, dtype=torch.uint8)
    for i, item in enumerate(batch.items):
        masks[i, : len(item.labels)] = item.masks
    batch.targets["masks"] = masks
    return batch


def collate_semantic(items: list[Item]) -> Batch:
    """Classes int64 [B, H, W], 255 where ignored."""
    good, skipped = _readable(items)
    classes = torch.stack([i.classes for i in good]).long() if good else torch.zeros(0, 1, 1, dtype=torch.int64)
    return Batch(_images(good), classes, good, skipped)


def collate_classification(items: list[Item]) -> Batch:
    """Labels int64 [B], or probabilities [B, K] where images are mixed."""
    good, skipped = _readable(items)
    shares = [i.shares for i in good if i.shares is not None]
    if shares:
        return Batch(_images(good), torch.stack(shares), good, skipped)
    labels = torch.stack([i.labels[0] for i in good]) if good else torch.zeros(0, dtype=torch.int64)
    return Batch(_images(good), labels, good, skipped)


def _readable(items: list[Item]) -> tuple[list[Item], list[str]]:
    skipped = [f"{i.name} ({i.why})" if i.why else i.name for i in items if i.image is None]
    return [i for i in items if i.image is not None], skipped


def _images(items: list[Item]) -> Tensor:
    images = [i.image for i in items if i.image is not None]
    return to_float(torch.stack(images)) if images else torch.zeros(0, 3, 1, 1)


COLLATE = {
    "detect": collate_detection,
    "segment": collate_segmentation,
    "semantic": collate_semantic,
    "classify": collate_classification,
}
