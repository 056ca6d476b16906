"""Figures of a data set: classes, sizes and shapes of boxes and images, and remarks on them. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from designer.data.errors import DataError
from designer.data.readers import read_parts
from designer.data.records import Record
from designer.graph.training import DataSettings

FEW = 10
"""Examples of a class below which it is said that it will hardly be learned."""
SMALL, MEDIUM = 32.0**2, 96.0**2
"""COCO's limits of small and medium objects, in square pixels of the original image."""
MOSTLY = 0.9
"""Share of pixels of one class from which on it is said."""
UNEVEN = 20
"""How many times more often the most frequent class may occur than the rarest without a word."""


@dataclass
class PartSummary:
    """Figures of the training or the validation part.

    Attributes:
        images: how many there are; `unreadable` of them could not be opened and are in no other figure of sizes.
        objects: boxes, or labels of images where there are no boxes, or classes that an image's mask shows.
        empty: images without any.
        by_class: objects of each class, by its index.
        images_of_class: images that show the class.
        objects_per_image: how many images have 0, 1, 2, ... objects.
        image_sizes: [width, height, images], the most frequent first.
        box_sides: width and height of each box in pixels of the model's input, letterboxed.
        relative_sizes: square root of each box's share of its image.
        aspect_ratios: width by height of each box.
        centres: where the middle of each box lies, as shares of the image's width and height.
        pixels_of_class: pixels of each class, where there are masks of classes; else empty.
        by_size: boxes that are small, medium and large by COCO's limits, in pixels of the original.
    """

    images: int
    unreadable: int
    objects: int
    empty: int
    by_class: list[int]
    images_of_class: list[int]
    objects_per_image: list[int]
    image_sizes: list[tuple[int, int, int]]
    box_sides: list[tuple[float, float]]
    relative_sizes: list[float]
    aspect_ratios: list[float]
    centres: list[tuple[float, float]]
    pixels_of_class: list[int]
    by_size: dict[str, int]


@dataclass
class DataSummary:
    """Figures of both parts, notes of the reader, and sentences about what may spoil training."""

    class_names: list[str]
    train: PartSummary
    val: PartSummary
    notes: list[str]
    remarks: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def summarise_data(
    settings: DataSettings,
    image_size: tuple[int, int],
    stride: int = 0,
    seed: int = 0,
    task: str = "",
    cancelled: Callable[[], bool] = lambda: False,
) -> DataSummary | None:
    """Reads the labels and the headers of all images.

    Args:
        settings: the document's data section.
        image_size: height and width of the model's input.
        stride: image pixels of a cell of the finest map that the head reads; 0 when not known.
        seed: of what is held out.
        task: of the head that the data is for.
        cancelled: asked before each image; None is given once it says yes.

    Raises:
        DataError: for whatever keeps the data from being read.
    """
    train, val, names = read_parts(settings, seed, task)
    parts: list[PartSummary] = []
    for records in (train.records, val.records):
        found = _summarise(records, len(names), image_size, cancelled)
        if found is None:
            return None
        parts.append(found)
    remarks = _remarks(names, parts[0], parts[1], stride)
    return DataSummary(names, parts[0], parts[1], [*train.notes, *val.notes], remarks)


def _summarise(
    records: Sequence[Record], classes: int, image_size: tuple[int, int], cancelled: Callable[[], bool]
) -> PartSummary | None:
    pixels = [0] * classes if any(r.mask is not None for r in records) else []
    labels = []
    for record in records:
        if cancelled():
            return None
        labels.append(_labels(record, pixels))
    counts = Counter(label for row in labels for label in row)
    shown = Counter(label for row in labels for label in set(row))
    per_image = Counter(map(len, labels))
    most = max(per_image, default=0)
    part = PartSummary(
        len(records), 0, sum(counts.values()), per_image[0], [counts[i] for i in range(classes)],
        [shown[i] for i in range(classes)], [per_image[i] for i in range(most + 1)], [], [], [], [], [],
        pixels, {"small": 0, "medium": 0, "large": 0},
    )  # fmt: skip
    sizes: Counter[tuple[int, int]] = Counter()
    for record in records:
        if cancelled():
            return None
        try:
            with Image.open(record.path) as image:  # its header alone
                size = image.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what PIL raises for broken files
            part.unreadable += 1
            continue
        sizes[size] += 1
        _measure(part, record, size, image_size)
    part.image_sizes = [(w, h, n) for (w, h), n in sizes.most_common()]
    return part


def _labels(record: Record, pixels: list[int]) -> tuple[int, ...]:
    """The classes of an image; of one with a mask, those that it shows, whose pixels are added."""
    if record.mask is None:
        return record.labels
    try:
        counts = np.bincount(record.mask.read().ravel(), minlength=256)
    except DataError:  # the check names it
        return ()
    there = [i for i in range(len(pixels)) if counts[i]]
    for i in there:
        pixels[i] += int(counts[i])
    return tuple(there)


def _measure(part: PartSummary, record: Record, size: tuple[int, int], image_size: tuple[int, int]) -> None:
    """Adds the boxes of an image, `size` being its width and height, `image_size` the model's height and width."""
    width, height = size
    fit = min(image_size[0] / height, image_size[1] / width)
    across, down = (width, height) if record.relative else (1, 1)
    for x1, y1, x2, y2 in record.boxes:
        w, h = (x2 - x1) * across, (y2 - y1) * down
        if w <= 0 or h <= 0:
            continue
        part.box_sides.append((w * fit, h * fit))
        part.relative_sizes.append((w * h / (width * height)) ** 0.5)
        part.aspect_ratios.append(w / h)
        part.centres.append(((x1 + x2) * across / 2 / width, (y1 + y2) * down / 2 / height))
        part.by_size["small" if w * h < SMALL else "medium" if w * h < MEDIUM else "large"] += 1


def _remarks(names: list[str], train: PartSummary, val: PartSummary, stride: int) -> list[str]:
    """What a careful person would say about these figures before a week of training."""
    said = []
    few = [f"{names[i]} ({n})" for i, n in enumerate(train.by_class) if n < FEW]
    if few:
        said.append(
            f"{len(few)} of {len(names)} classes have fewer than {FEW} training examples: {_listed(few)}. "
            "They will hardly be learned; add examples or leave the classes out."
        )
    unseen = [names[i] for i, n in enumerate(val.by_class) if n == 0 and train.by_class[i]]
    if unseen:
        said.append(f"The validation part shows none of {_listed(unseen)}, so nothing is measured for them.")
    most, least = max(train.by_class, default=0), min((n for n in train.by_class if n), default=0)
    if least and most > UNEVEN * least:
        often, rare = names[train.by_class.index(most)], names[train.by_class.index(least)]
        said.append(f"{often} occurs {most / least:.0f} times as often as {rare} ({most} and {least}).")
    if train.pixels_of_class and (whole := sum(train.pixels_of_class)):
        share, name = max(zip(train.pixels_of_class, names, strict=True))
        if share > MOSTLY * whole:
            said.append(
                f"{share / whole:.0%} of the training pixels are {name}, so a model that finds nothing else looks "
                "good by its pixels. Judge it by the IoU of the classes; weights of classes or a Dice loss may help."
            )
    tiny = sum(min(side) < stride for side in train.box_sides)
    if tiny:
        said.append(
            f"{tiny} of {len(train.box_sides)} training boxes ({tiny / len(train.box_sides):.1%}) are narrower or "
            f"lower than the head's smallest stride of {stride} pixels. Use larger images or a finer level."
        )
    if broken := train.unreadable + val.unreadable:
        said.append(f"{broken} images cannot be read. The check of the data names them.")
    return said


def _listed(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def middle(values: Sequence[float]) -> float:
    """The median; 0 of nothing."""
    return median(values) if values else 0.0
