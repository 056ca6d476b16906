"""Data sets for the trainer: items fitted to the model's input, batches with padded targets, splits by settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, Sampler, SequentialSampler

from designer.data import shapes
from designer.data.augment import Augment, Sample, on_resized
from designer.data.classification import ClassificationDataset, ShapesClasses
from designer.data.errors import DataError
from designer.data.images import Cache, NoCache, make_cache, read_fitted, read_image
from designer.data.items import COLLATE, Item, SampledItems
from designer.data.masks import quarter, rasterise, to_runs, with_outlines
from designer.data.readers import read_parts
from designer.data.records import Crowd, Part, Record
from designer.data.semantic import BACKGROUND, MaskDataset, ShapesMaps
from designer.data.transforms import letterbox, letterbox_masks, resized_to_fit
from designer.graph.training import DataSettings, TrainingSettings

CHECK = "All that is wrong is listed by Data > Check and by `netwright data check`."


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
        task: `detect`, `segment`, `semantic` or `classify`.
        training: augmentation and seed; the defaults when left out.

    Raises:
        DataError: for anything that keeps the data from being used, with file and line.
    """
    training = training or TrainingSettings()
    if settings.kind == "shapes":
        return _shapes(settings, image_size, task, training)
    if not settings.path:
        raise DataError("No data set is chosen yet. Choose a folder or file in the Train dock, or set data.path.")
    if settings.kind not in FITS[task]:
        wanted = " or ".join((*FITS[task], "shapes"))
        raise DataError(
            f"{settings.kind} data cannot train a model whose head does {task}. Use {wanted} data.", settings.path
        )
    try:
        train, val, names = read_parts(settings, training.seed, task)
    except DataError as error:
        if not Path(error.path).is_file():
            raise
        raise DataError(f"{error.what} {CHECK}", error.path, error.line) from None  # it may be the first of many
    if task == "segment" or (task == "semantic" and settings.kind in ("coco", "yolo")):
        train, val = with_outlines(train), with_outlines(val)
    if task == "semantic" and settings.kind in ("coco", "yolo"):
        names = [BACKGROUND, *names]
    cache: Cache = NoCache()
    if task != "classify":  # a class is learnt from random crops of the whole original
        cache = make_cache(training.cache, [record.path for record in train.records], image_size)

    def make(part: Part, use: TrainingSettings | None) -> Dataset[Item]:
        if task == "classify":
            return ClassificationDataset(part.records, image_size, use, len(names))
        if task == "semantic":
            return MaskDataset(part.records, image_size, use, cache if use else None)
        return DetectionDataset(part.records, image_size, use, masks=task == "segment", cache=cache if use else None)

    return DataSplits(make(train, training), make(val, None), names, [*train.notes, *val.notes, *cache.notes])


FITS = {
    "detect": ("coco", "yolo", "voc"),
    "segment": ("coco", "yolo"),
    "semantic": ("masks", "voc", "coco", "yolo"),
    "classify": ("folder",),
}
"""The kinds of data, beside the shapes, that can train a head of each task."""


def _shapes(settings: DataSettings, image_size: tuple[int, int], task: str, training: TrainingSettings) -> DataSplits:
    def make(split: str, count: int) -> Dataset[Item]:
        if task == "classify":
            return ShapesClasses(count, image_size, split, settings, training)
        if task == "semantic":
            return ShapesMaps(count, image_size, split, settings, training)
        return ShapesDataset(count, image_size, task, split, settings, training)

    names = list(shapes.NAMES[: settings.classes])
    names = [BACKGROUND, *names] if task == "semantic" else names
    return DataSplits(make("train", settings.train_images), make("val", settings.val_images), names, [])


class BoxItems(SampledItems[Sample]):
    """Images with boxes, and masks where wanted: each fits the model's input, the longer side exactly."""

    def augmentation(self, training: TrainingSettings) -> Augment:
        return Augment(training, self.size, self.another, self.count)

    def untouched(self, sample: Sample, name: str) -> Item:
        return fitted(sample, self.size, name)

    def augmented(self, sample: Sample, name: str) -> Item:
        item = Item(sample.image, sample.boxes, sample.labels, name=name)
        if sample.masks is not None:
            item.masks = quarter(sample.masks)
        return item

    def fitting(self, index: int) -> Sample | None:
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
        if image is None:
            return None
        size = (image.shape[-2], image.shape[-1])
        return Sample(image, *self._objects(index, size), self._crowds(index, size))

    def fitting(self, index: int) -> Sample | None:
        found = read_fitted(self.records[index].path, index, self.size, self.cache)
        if found is None:
            return None
        image, original = found
        return on_resized(image, original, *self._objects(index, original)[:3])

    def _crowds(self, index: int, size: tuple[int, int]) -> tuple[Crowd, ...]:
        """Those of an image of a height and width; where masks are measured, what they cover or their box as runs."""
        record = self.records[index]
        if not self.masks:
            return record.crowds
        boxes = ([[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in (crowd.box for crowd in record.crowds))
        outlines = [crowd.outline or box for crowd, box in zip(record.crowds, boxes, strict=True)]
        runs = to_runs(rasterise(outlines, size, False, record.path))
        return tuple(replace(crowd, outline=run) for crowd, run in zip(record.crowds, runs, strict=True))

    def _objects(self, index: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Boxes, labels, masks and areas on the original of a height and width, which boxes are cut at.

        Objects without area are left out, as are those that lie outside.
        """
        record = self.records[index]
        boxes = torch.tensor(record.boxes, dtype=torch.float32).reshape(-1, 4)
        limit = torch.tensor([size[1], size[0]] * 2)
        if record.relative:
            boxes = boxes * limit
        boxes = boxes.clamp(min=0).minimum(limit)
        seen = (boxes[:, 2:] > boxes[:, :2]).all(1)
        masks = None
        if self.masks:
            outlines = [outline for outline in record.outlines if outline is not None]
            masks = rasterise(outlines, size, record.relative, record.path)[seen]
        areas = torch.tensor(record.areas or [0.0] * len(seen), dtype=torch.float64)
        return boxes[seen], torch.tensor(record.labels, dtype=torch.int64)[seen], masks, areas[seen]


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
        super().__init__(size, training if split == "train" else None, count)
        self.task, self.split = task, split
        self.classes, self.most, self.seed = settings.classes, settings.max_objects, training.seed
        self.kept: dict[int, tuple[Tensor, Tensor, Tensor, Tensor | None]] = {}

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

    def _draw(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        options = {"split": self.split, "seed": self.seed, "classes": self.classes}
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
    if sample.areas is not None:
        item.true_areas = sample.areas
    item.crowds = sample.crowds
    if sample.masks is not None:
        item.masks = quarter(letterbox_masks(sample.masks, fit, size))
        item.true_runs = to_runs(sample.masks)
    return item


class Shares(Sampler[list[int]]):
    """Of each batch every `count`-th image from the `rank`-th on, so that all processes together see what one would.

    A share may be empty, of the last batch.
    """

    def __init__(self, batches: BatchSampler, rank: int, count: int) -> None:
        self.batches, self.rank, self.count = batches, rank, count

    @property
    def generator(self) -> torch.Generator:
        """Of the order, where it is shuffled."""
        assert isinstance(self.batches.sampler, RandomSampler)
        assert self.batches.sampler.generator is not None
        return self.batches.sampler.generator

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            yield batch[self.rank :: self.count]

    def sizes(self) -> tuple[int, ...]:
        """Images in this process's share of a batch, and in that of the last one where it is another."""
        images, batch = len(self.batches.sampler), self.batches.batch_size  # type: ignore[arg-type]
        of = (min(images, batch), images % batch or batch)
        return tuple(dict.fromkeys(len(range(self.rank, size, self.count)) for size in of))


def make_loader(
    dataset: Dataset[Item], task: str, batch: int, *, shuffle: bool, workers: int = 0, seed: int = 0, pin: bool = False,
    share: tuple[int, int] = (0, 1),
) -> DataLoader[Item]:  # fmt: skip
    """A loader whose order and augmentation follow from the seed alone: its sampler's generator says the order.

    That is not the loader's own generator: workers that live on draw from the latter in their first epoch only, so
    that a run that is resumed would see another order.

    Args:
        dataset: of items.
        task: `detect`, `segment` or `classify`.
        batch: images of a step, of all processes together.
        shuffle: in another order each time.
        workers: processes that load.
        seed: of the order.
        pin: for quick copies to a GPU.
        share: this process's rank and how many share each batch.
    """
    generator = torch.Generator().manual_seed(seed)
    order = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)  # type: ignore[arg-type]
    return DataLoader(
        dataset,
        batch_sampler=Shares(BatchSampler(order, batch, drop_last=False), *share),
        num_workers=workers,
        collate_fn=COLLATE[task],
        generator=torch.Generator().manual_seed(seed),
        pin_memory=pin,
        persistent_workers=workers > 0,
    )
