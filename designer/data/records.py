"""What a reader gives: images by file with their boxes or class, and what it had to leave out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from designer.data.class_maps import MaskFile

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


Outline = list[list[float]] | dict[str, Any]
"""Polygons, or runs of pixels."""


@dataclass(frozen=True)
class Crowd:
    """Many objects of a class in one annotation: not learned, and what is found there is neither right nor wrong.

    Attributes:
        label: class index.
        box: corners in pixels of the original.
        outline: what it covers, as COCO writes it; None where boxes alone are known.
    """

    label: int
    box: tuple[float, float, float, float]
    outline: Outline | None = None


@dataclass(frozen=True)
class Record:
    """One image.

    Attributes:
        path: the image file.
        boxes: corners x1, y1, x2, y2; pixels, or fractions of the image when `relative`.
        labels: class index of each box, or the one class of the image.
        relative: whether boxes and outlines are fractions 0 to 1.
        outlines: of each box, what its object covers as COCO writes it: polygons [[x1, y1, x2, y2, ...], ...] or runs
            {"size": [height, width], "counts": ...}; None for a box without. Empty where boxes alone are read.
        areas: of each box, the pixels of its object as annotations tell them, 0 where they do not; empty where none do.
        crowds: what COCO's annotations call so.
        mask: the file that tells the class of each pixel, for semantic segmentation.
    """

    path: Path
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    labels: tuple[int, ...] = ()
    relative: bool = False
    outlines: tuple[Outline | None, ...] = ()
    areas: tuple[float, ...] = ()
    crowds: tuple[Crowd, ...] = ()
    mask: MaskFile | None = None


@dataclass
class Part:
    """The training or the validation images, and sentences about what was left out."""

    records: list[Record]
    notes: list[str] = field(default_factory=list)


def image_files(folder: Path) -> list[Path]:
    """All images under a folder, sorted, so that every machine sees the same order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)


def hold_out(records: Sequence[Record], share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Splits off a share for validation, at least one, the same for the same seed."""
    order = list(records)
    random.Random(seed).shuffle(order)
    count = max(1, round(len(order) * share))
    return order[count:], order[:count]
