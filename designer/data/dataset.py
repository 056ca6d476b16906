"""Data sets for the trainer: items fitted to the model's input, batches with padded targets, splits by settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from designer.data import shapes
from designer.data.augment import Augment, Sample, on_resized
from designer.data.errors import DataError
from designer.data.images import Cache, NoCache, make_cache, read_image
from designer.data.masks import Runs, quarter, rasterise, to_runs, with_outlines
from designer.data.readers import read_parts
from designer.data.records import Part, Record
from designer.data.transforms import (
    Fit,
    classification_eval,
    classification_train,
    letterbox,
    letterbox_masks,
    resized_to_fit,
    to_float,
)
from designer.graph.training import DataSettings, TrainingSettings


@dataclass
class Item:
    """One image, uint8 [3, H, W] at the model's size, with its targets; or only the name of a file that was skipped.

    `boxes` and `labels` are in pixels of the model's input; `true_boxes` in pixels of the original. For segmentation
    `masks` uint8 [N, H/4, W/4] belong to them, and `true_runs` are those of the original, where it is not augmented.
    """

    image: Tensor | None
    boxes: Tensor = field(default_factory=lambda: torch.zeros(0, 4))
    labels: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    true_boxes: Tensor = field(default_factory=lambda: torch.zeros(0, 4))
    fit: Fit = field(default_factory=lambda: Fit(1.0, 0, 0, 0, 0))
    name: str = ""
    masks: Tensor = field(default_factory=lambda: torch.zeros(0, 1, 1, dtype=torch.uint8))
    true_runs: list[Runs] = field(default_factory=list)


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


@dataclass
class DataSplits:
    """Training and validation data, class names, and sentences about what was left out or made up."""

    train: Dataset[Item]
    val: Dataset[Item]
    class_names: list[str]
    notes: list[str]


def load_dataset(
    settings: DataSettings, image_size: tuple[int, int], task: str, training: TrainingSettings | None = None
) -> DataSplits:
    """Opens the data of a document.

    Args:
        settings: the document's data section.
        image_size: height and width of the model's input.
        task: `detect`, `segment` or `classify`.
        training: augmentation and seed; the defaults when left out.

    Raises:
        DataError: for anything that keeps the data from being used, with file and line.
    """
    training = training or TrainingSettings()
    if settings.kind == "shapes":
        drawn = [
            ShapesDataset(n, image_size, task, split, settings, training)
            for split, n in (("train", settings.train_images), ("val", settings.val_images))
        ]
        return DataSplits(drawn[0], drawn[1], list(shapes.NAMES[: settings.classes]), [])
    if not settings.path:
        raise DataError("No data set is chosen yet. Choose a folder or file in the Train dock, or set data.path.")
    fits = {"detect": ("coco", "yolo", "voc"), "segment": ("coco", "yolo"), "classify": ("folder",)}
    if settings.kind not in fits[task]:
        wanted = " or ".join((*fits[task], "shapes"))
        raise DataError(
            f"{settings.kind} data cannot train a model whose head does {task}. Use {wanted} data.", settings.path
        )
    train, val, names = read_parts(settings, training.seed)
    if task == "segment":
        train, val = with_outlines(train), with_outlines(val)

    cache: Cache = NoCache()
    if task != "classify":  # a class is learnt from random crops of the whole original
        cache = make_cache(training.cache, [record.path for record in train.records], image_size)

    def make(part: Part, use: TrainingSettings | None) -> Dataset[Item]:
        if task == "classify":
            return ClassificationDataset(part.records, image_size, use)
        return DetectionDataset(part.records, image_size, use, masks=task == "segment", cache=cache if use else None)

    return DataSplits(make(train, training), make(val, None), names, [*train.notes, *val.notes, *cache.notes])


class TrainingItems(Dataset[Item]):
    """Items that are augmented where `training` is given, each seeded by itself.

    The same seed, epoch and index give the same item, whatever the number of workers and wherever a run was resumed.
    `epoch` counts from 0; it lies in shared memory, where workers that live on see it change.
    """

    def __init__(self, training: TrainingSettings | None) -> None:
        self.seed = training.seed if training else 0
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @contextmanager
    def seeded(self, index: int) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash((self.seed, int(self.epoch), index)) & (2**63 - 1))
            yield


class BoxItems(TrainingItems):
    """Images with boxes, and masks where wanted, by `load`: each fits the model's input, the longer side exactly."""

    def __init__(self, size: tuple[int, int], training: TrainingSettings | None, count: int) -> None:
        super().__init__(training)
        self.size, self.count = size, count
        self.augment = Augment(training, size, self.fitting, count) if training else None

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """What a message calls the image."""
        raise NotImplementedError

    def load(self, index: int) -> Sample | None:
        """The image as it is stored, with its objects; None if it cannot be read."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Item:
        sample = self.load(index) if self.augment is None else self.fitting(index)
        if sample is None:
            return Item(None, name=self.name(index))
        if self.augment is None:
            return fitted(sample, self.size, self.name(index))
        with self.seeded(index):
            made = self.augment(sample, int(self.epoch))
        item = Item(made.image, made.boxes, made.labels, name=self.name(index))
        if made.masks is not None:
            item.masks = quarter(made.masks)
        return item

    def fitting(self, index: int) -> Sample | None:
        """The image as large as fits the model's input; None if it cannot be read."""
        sample = self.load(index)
        if sample is None:
            return None
        original = (sample.image.shape[-2], sample.image.shape[-1])
        image = resized_to_fit(sample.image, self.size)
        return on_resized(image, original, sample.boxes, sample.labels, sample.masks)


class DetectionDataset(BoxItems):
    """Images with boxes, and masks if wanted, from files; `training` None for validation."""

    def __init__(
        self,
        records: Sequence[Record],
        size: tuple[int, int],
        training: TrainingSettings | None,
        masks: bool = False,
        cache: Cache | None = None,
    ) -> None:
        super().__init__(size, training, len(records))
        self.records, self.masks, self.cache = records, masks, cache or NoCache()

    def name(self, index: int) -> str:
        return str(self.records[index].path)

    def load(self, index: int) -> Sample | None:
        image = read_image(self.records[index].path)
        return Sample(image, *self._objects(index, (image.shape[-2], image.shape[-1]))) if image is not None else None

    def fitting(self, index: int) -> Sample | None:
        found = self.cache.get(index)
        if found is None:
            image = read_image(self.records[index].path)
            if image is None:
                return None
            found = resized_to_fit(image, self.size), (image.shape[-2], image.shape[-1])
            self.cache.put(index, *found)
        image, original = found
        return on_resized(image, original, *self._objects(index, original))

    def _objects(self, index: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Boxes, labels and masks on the original of a height and width."""
        record = self.records[index]
        boxes = torch.tensor(record.boxes, dtype=torch.float32).reshape(-1, 4)
        if record.relative:
            boxes = boxes * torch.tensor([size[1], size[0]] * 2)
        masks = None
        if self.masks:
            outlines = [outline for outline in record.outlines if outline is not None]
            masks = rasterise(outlines, size, record.relative, record.path)
        return boxes, torch.tensor(record.labels, dtype=torch.int64), masks


class ClassificationDataset(TrainingItems):
    """Images with one class from files; `training` None for validation."""

    def __init__(self, records: Sequence[Record], size: tuple[int, int], training: TrainingSettings | None) -> None:
        super().__init__(training)
        self.records = records
        self.transform = classification_train(size, training) if training else classification_eval(size)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Item:
        record = self.records[index]
        image = read_image(record.path)
        if image is None:
            return Item(None, name=str(record.path))
        with self.seeded(index):
            return Item(self.transform(image), labels=torch.tensor(record.labels), name=str(record.path))


class ShapesDataset(BoxItems):
    """The drawn shapes. Each image is drawn once a process and kept, as uint8, for masks with whose each pixel is."""

    def __init__(
        self,
        count: int,
        size: tuple[int, int],
        task: str,
        split: str,
        settings: DataSettings,
        training: TrainingSettings,
    ) -> None:
        super().__init__(size, training if split == "train" and task != "classify" else None, count)
        self.task, self.split = task, split
        self.classes, self.most, self.seed = settings.classes, settings.max_objects, training.seed
        self.kept: dict[int, tuple[Tensor, Tensor, Tensor, Tensor | None]] = {}
        augmented = split == "train" and task == "classify"
        self.transform = classification_train(size, training) if augmented else None

    def name(self, index: int) -> str:
        return f"shapes/{self.split}/{index}"

    def load(self, index: int) -> Sample:
        if index not in self.kept:
            self.kept[index] = self._draw(index)
        image, boxes, labels, owner = self.kept[index]
        masks = None
        if owner is not None:
            masks = (owner == torch.arange(1, len(labels) + 1)[:, None, None]).to(torch.uint8)
        return Sample(image, boxes, labels, masks)

    def __getitem__(self, index: int) -> Item:
        if self.task != "classify":
            return super().__getitem__(index)
        sample = self.load(index)
        with self.seeded(index):
            image = self.transform(sample.image) if self.transform else sample.image
        return Item(image, labels=sample.labels, name=self.name(index))

    def _draw(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        options = {"split": self.split, "seed": self.seed, "classes": self.classes}
        if self.task == "classify":
            pixels, label = shapes.draw_one(index, self.size, **options)  # type: ignore[arg-type]
            return _channels_first(pixels), torch.zeros(0, 4), torch.tensor([label]), None
        drawn = shapes.draw(index, self.size, most=self.most, **options)  # type: ignore[arg-type]
        pixels, boxes, labels, masks = drawn
        owner = None
        if self.task == "segment":
            number = np.arange(1, len(masks) + 1, dtype=np.uint8)
            owner = torch.from_numpy((masks * number[:, None, None]).sum(0, dtype=np.uint8))
        corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        return _channels_first(pixels), corners, torch.tensor(labels, dtype=torch.int64), owner


def _channels_first(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def fitted(sample: Sample, size: tuple[int, int], name: str) -> Item:
    """An item for validation: letterboxed, with the truth in the original's pixels."""
    image, boxes, fit = letterbox(sample.image, sample.boxes, size)
    item = Item(image, boxes, sample.labels, sample.boxes, fit, name)
    if sample.masks is not None:
        item.masks = quarter(letterbox_masks(sample.masks, fit, size))
        item.true_runs = to_runs(sample.masks)
    return item


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


def collate_classification(items: list[Item]) -> Batch:
    """Labels int64 [B]."""
    good, skipped = _readable(items)
    labels = torch.stack([i.labels[0] for i in good]) if good else torch.zeros(0, dtype=torch.int64)
    return Batch(_images(good), labels, good, skipped)


def _readable(items: list[Item]) -> tuple[list[Item], list[str]]:
    return [i for i in items if i.image is not None], [i.name for i in items if i.image is None]


def _images(items: list[Item]) -> Tensor:
    images = [i.image for i in items if i.image is not None]
    return to_float(torch.stack(images)) if images else torch.zeros(0, 3, 1, 1)


COLLATE = {"detect": collate_detection, "segment": collate_segmentation, "classify": collate_classification}


def make_loader(
    dataset: Dataset[Item], task: str, batch: int, *, shuffle: bool, workers: int = 0, seed: int = 0, pin: bool = False
) -> DataLoader[Item]:
    """A loader whose order and augmentation follow from the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(
        dataset,
        batch_size=batch,
        shuffle=shuffle,
        num_workers=workers,
        collate_fn=COLLATE[task],
        generator=generator,
        pin_memory=pin,
        persistent_workers=workers > 0,
        drop_last=False,
    )
