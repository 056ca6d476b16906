"""The images of a data set in a fixed order, also of one that training would refuse. Imports no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from designer.data import shapes, yolo
from designer.data.check_labels import ENTRIES, Finding
from designer.data.errors import DataError
from designer.data.readers import files_of, read_parts
from designer.data.records import Record
from designer.graph.training import DataSettings

MOST_DRAWN = 10_000
"""Drawn shapes of a part that are listed; they need no list, and a million of them is a setting away."""


@dataclass(frozen=True)
class Entry:
    """An image: `train` or `val`, its record (None for a drawn one) and its number in the part."""

    part: str
    number: int
    record: Record | None


@dataclass
class Index:
    """All images: those of the training part first, in the order in which training numbers them.

    Attributes:
        settings: of which data.
        seed: of what is held out or drawn.
        entries: the images.
        names: of the classes.
        notes: sentences about what was left out.
        refused: what keeps training from reading the data; the entries are then without labels.
    """

    settings: DataSettings
    seed: int = 0
    entries: list[Entry] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: Finding | None = None

    def count(self, part: str) -> int:
        """Images of a part."""
        return sum(entry.part == part for entry in self.entries)


def read_index(settings: DataSettings, seed: int = 0, task: str = "") -> Index:
    """The images of a data set.

    Args:
        settings: the document's data section.
        seed: of what is held out or drawn.
        task: of the document's head.

    Raises:
        DataError: where no data set is chosen.
    """
    if settings.kind == "shapes":
        counts = {"train": settings.train_images, "val": settings.val_images}
        drawn = [Entry(part, i, None) for part, count in counts.items() for i in range(min(count, MOST_DRAWN))]
        return Index(settings, seed, drawn, list(shapes.NAMES[: settings.classes]))
    path = files_of(settings)
    try:
        train, val, names = read_parts(settings, seed, task)
    except DataError as error:
        listed, _ = ENTRIES[settings.kind](path, settings.train, settings.val)
        names = _names(settings)
        kept = [Entry(entry.part, i, _what_can_be_read(entry.image, names)) for i, entry in enumerate(listed)]
        return Index(settings, seed, kept, names, refused=Finding.of(error))
    entries = [
        Entry(part, i, r) for part, found in (("train", train), ("val", val)) for i, r in enumerate(found.records)
    ]
    return Index(settings, seed, entries, names, [*train.notes, *val.notes])


def _names(settings: DataSettings) -> list[str]:
    """Class names of a YOLO data set whose labels are refused; of other kinds none, as they lie among the labels."""
    if settings.kind != "yolo":
        return []
    try:
        return yolo.yolo_images(files_of(settings), settings.train, settings.val)[0]
    except DataError:
        return []


def _what_can_be_read(image: Path, names: list[str]) -> Record:
    """The image with those rows of its YOLO labels that are right."""
    rows = []
    if names:
        path = yolo.label_file(image)
        with contextlib.suppress(DataError, OSError):
            for number, line in enumerate(yolo.read_rows(path), 1):
                with contextlib.suppress(DataError, IndexError):
                    rows.append(yolo.parse_row(line.split(), path, number, names))
    labels, boxes, outlines = zip(*rows, strict=True) if rows else ((), (), ())
    return Record(image, boxes, labels, relative=True, outlines=outlines)


def rows_of(index: Index) -> Iterator[list[object]]:
    """What a list of images shows of each: its path, part and the classes in it."""
    for entry in index.entries:
        name = str(entry.record.path) if entry.record is not None else f"{entry.part} {entry.number}"
        yield [name, entry.part, sorted(set(entry.record.labels)) if entry.record is not None else []]
