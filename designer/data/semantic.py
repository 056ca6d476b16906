"""Data sets of semantic segmentation: images with the class of each pixel, changed together in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from designer.data import shapes
from designer.data.augment import affine, below, between, chance
from designer.data.class_maps import IGNORED
from designer.data.errors import DataError
from designer.data.images import Cache, NoCache, read_fitted, read_image
from designer.data.items import Item, SampledItems
from designer.data.masks import rasterise
from designer.data.records import Record
from designer.data.transforms import PAD, colour, letterbox, resized_to_fit, scale_to_fit
from designer.graph.training import DataSettings, TrainingSettings

BACKGROUND = "background"
"""Class 0 where classes are those of objects: what no object covers."""


@dataclass
class MapSample:
    """An image uint8 [3, H, W] with the class of each pixel, uint8 [1, H, W], 255 where ignored."""

    image: Tensor
    classes: Tensor


def painted(masks: Tensor, labels: Tensor) -> Tensor:
    """Objects as a class map uint8 [1, H, W]: 0 where there is none, else label + 1; small ones lie on large ones.

    Args:
        masks: [N, H, W] of 0 and 1.
        labels: [N] class indices.
    """
    classes = masks.new_zeros(1, *masks.shape[1:])
    for i in masks.flatten(1).sum(1, dtype=torch.int64).argsort(descending=True, stable=True).tolist():
        classes[0][masks[i] > 0] = int(labels[i]) + 1
    return classes


def resized_classes(classes: Tensor, size: tuple[int, int]) -> Tensor:
    """A class map [1, H, W] at another height and width: each pixel takes the class that lies at its centre."""
    if tuple(classes.shape[-2:]) == size:
        return classes
    return functional.resize_image(classes, list(size), InterpolationMode.NEAREST_EXACT)


class MapAugment:
    """Makes a training sample of the model's size from one that fits it, and from others by chance.

    Whatever moves the image moves its classes, which are never blended; what comes in from outside is ignored.

    Args:
        settings: strengths and chances; mixup and copy-paste have no meaning here.
        size: height and width of the result.
        load: the sample at an index, each side at most that of `size`; None for a file that cannot be read.
        count: number of samples.
    """

    def __init__(
        self, settings: TrainingSettings, size: tuple[int, int], load: Callable[[int], MapSample | None], count: int
    ) -> None:
        self.settings, self.size, self.load, self.count = settings, size, load, count
        steps = affine(settings, {tv_tensors.Image: PAD, tv_tensors.Mask: IGNORED}, InterpolationMode.BILINEAR)
        self.crop = v2.RandomResizedCrop(list(size), scale=(settings.crop_area, 1.0), antialias=True)
        steps += [v2.RandomHorizontalFlip(settings.flip), v2.RandomVerticalFlip(settings.flip_vertical)]
        self.steps = v2.Compose([*steps, *colour(settings.jitter)])

    def __call__(self, first: MapSample, epoch: int) -> MapSample:
        """A sample of the wanted size; `epoch` counts from 0 and ends the mosaic in time."""
        placed = self._placed(first, epoch)
        image, classes = self.steps(tv_tensors.Image(placed.image), tv_tensors.Mask(placed.classes))
        return MapSample(image.as_subclass(Tensor), classes.as_subclass(Tensor))

    def _placed(self, first: MapSample, epoch: int) -> MapSample:
        """The image between grey bars, a part of it that fills the input, or in a mosaic with three others."""
        last = self.settings.epochs - self.settings.close_mosaic
        if (epoch >= last and self.settings.close_mosaic) or not chance(self.settings.mosaic):
            if chance(self.settings.crop):
                return MapSample(*self.crop(tv_tensors.Image(first.image), tv_tensors.Mask(first.classes)))
            height, width = first.image.shape[-2:]
            corner = (self.size[0] - height) // 2, (self.size[1] - width) // 2
            return _laid([(first, corner)], self.size)
        samples = [first, *(self.load(below(self.count)) for _ in range(3))]
        middle = [round(side * between(0.25, 0.75)) for side in self.size]
        parts = []
        for place, sample in enumerate(samples):
            factor = between(0.5, 1.0)
            if sample is None:
                continue
            high, wide = (max(1, round(side * factor)) for side in sample.image.shape[-2:])
            image = functional.resize(sample.image, [high, wide], antialias=True)
            top = middle[0] - high if place < 2 else middle[0]
            left = middle[1] - wide if place % 2 == 0 else middle[1]
            parts.append((MapSample(image, resized_classes(sample.classes, (high, wide))), (top, left)))
        return _laid(parts, self.size)


def _laid(parts: Sequence[tuple[MapSample, tuple[int, int]]], size: tuple[int, int]) -> MapSample:
    """Samples laid on grey, whose pixels are ignored, each with its top and left; cut off at the border."""
    image = torch.full((3, *size), PAD, dtype=torch.uint8)
    classes = torch.full((1, *size), IGNORED, dtype=torch.uint8)
    for sample, (top, left) in parts:
        high, wide = sample.image.shape[-2:]
        rows = slice(max(0, top), min(size[0], top + high))
        columns = slice(max(0, left), min(size[1], left + wide))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        source = (..., slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        image[:, rows, columns] = sample.image[source]
        classes[:, rows, columns] = sample.classes[source]
    return MapSample(image, classes)


class MapItems(SampledItems[MapSample]):
    """Images with class maps."""

    def augmentation(self, training: TrainingSettings) -> MapAugment:
        return MapAugment(training, self.size, self.another, self.count)

    def untouched(self, sample: MapSample, name: str) -> Item:
        return fitted_map(sample, self.size, name)

    def augmented(self, sample: MapSample, name: str) -> Item:
        return Item(sample.image, name=name, classes=sample.classes[0])

    def fitting(self, index: int) -> MapSample | None:
        sample = self.load(index)
        if sample is None:
            return None
        image = resized_to_fit(sample.image, self.size)
        return MapSample(image, resized_classes(sample.classes, (image.shape[-2], image.shape[-1])))


def fitted_map(sample: MapSample, size: tuple[int, int], name: str) -> Item:
    """An item for validation: letterboxed, with bars that are ignored, and the truth in the original's pixels."""
    image, _, fit = letterbox(sample.image, torch.zeros(0, 4), size)
    _, new = scale_to_fit((fit.height, fit.width), size)
    small = MapSample(image[:, fit.top : fit.top + new[0], fit.left : fit.left + new[1]], sample.classes)
    small.classes = resized_classes(sample.classes, new)
    classes = _laid([(small, (fit.top, fit.left))], size).classes[0]
    return Item(image, fit=fit, name=name, classes=classes, true_classes=sample.classes[0])


class MaskDataset(MapItems):
    """Images with masks or outlined objects from files; `training` None for validation."""

    def __init__(
        self,
        records: Sequence[Record],
        size: tuple[int, int],
        training: TrainingSettings | None,
        cache: Cache | None = None,
    ) -> None:
        super().__init__(size, training, len(records))
        self.records, self.cache = records, cache or NoCache()

    def name(self, index: int) -> str:
        return str(self.records[index].path)

    def load(self, index: int) -> MapSample | None:
        image = read_image(self.records[index].path)
        return MapSample(image, self._classes(index, (image.shape[-2], image.shape[-1]))) if image is not None else None

    def fitting(self, index: int) -> MapSample | None:
        found = read_fitted(self.records[index].path, index, self.size, self.cache)
        if found is None:
            return None
        image, original = found
        return MapSample(image, resized_classes(self._classes(index, original), (image.shape[-2], image.shape[-1])))

    def _classes(self, index: int, size: tuple[int, int]) -> Tensor:
        """The class map [1, H, W] of an original of a height and width.

        Raises:
            DataError: for a mask that cannot be used, or of another size.
        """
        record = self.records[index]
        if record.mask is None:
            outlines = [outline for outline in record.outlines if outline is not None]
            masks = rasterise(outlines, size, record.relative, record.path)
            return painted(masks, torch.tensor(record.labels, dtype=torch.int64))
        classes = torch.from_numpy(record.mask.read())[None]
        if tuple(classes.shape[-2:]) != size:
            raise DataError(
                f"The mask has {classes.shape[-1]} x {classes.shape[-2]} pixels, its image {size[1]} x {size[0]}. "
                "Draw it at the image's size.",
                record.mask.path,
            )
        return classes


class ShapesMaps(MapItems):
    """The drawn shapes with a class for each pixel. Each image is drawn once a process and kept."""

    def __init__(
        self, count: int, size: tuple[int, int], split: str, settings: DataSettings, training: TrainingSettings
    ) -> None:
        super().__init__(size, training if split == "train" else None, count)
        self.split, self.settings, self.drawn_by = split, settings, training.seed
        self.kept: dict[int, MapSample] = {}

    def name(self, index: int) -> str:
        return f"shapes/{self.split}/{index}"

    def load(self, index: int) -> MapSample:
        if index not in self.kept:
            pixels, _, labels, masks = shapes.draw(
                index, self.size, split=self.split, seed=self.drawn_by, classes=self.settings.classes,
                most=self.settings.max_objects,
            )  # fmt: skip
            image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
            self.kept[index] = MapSample(image, painted(torch.from_numpy(masks), torch.tensor(labels)))
        return self.kept[index]
