"""Images of a data set as a window can draw them: thumbnails, and pictures with the objects on them. No torch."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from designer.data import shapes
from designer.data.class_maps import MaskFile
from designer.data.index import Entry, Index
from designer.data.pixels import read_rgb
from designer.data.records import Outline, Record

THUMB = 128
"""Longest side of a thumbnail in pixels."""
BACKGROUND = "background"
"""A class that is not coloured, as it lies behind all others."""
LONGEST = 4096
"""Longest side of a picture that is handed over; a larger one is made smaller."""
LABEL_LIMIT = 2000
"""Objects of one image that are handed over."""

Size = tuple[int, int]
"""Width and height in pixels."""


def pixels_of(index: Index, entry: Entry, size: Size, task: str, side: int = 0) -> Image.Image:
    """The image of an entry as it is stored; a drawn one is drawn.

    Args:
        index: of the data set.
        entry: which image.
        size: width and height of the model's input, at which shapes are drawn.
        task: of the head; a classifier gets one shape an image.
        side: a longest side that is enough; 0 for all pixels.

    Raises:
        OSError, ValueError, SyntaxError, DecompressionBombError: for a file that cannot be read.
    """
    if entry.record is not None:
        return read_rgb(entry.record.path, side)
    return Image.fromarray(_drawn(index, entry, size, task)[0])


def thumbnail(image: Image.Image) -> str:
    """A small JPEG in base64."""
    image.thumbnail((THUMB, THUMB), Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return base64.b64encode(buffer.getvalue()).decode()


def objects_of(index: Index, entry: Entry, size: Size, shown: Size, task: str) -> list[dict[str, Any]]:
    """The objects of an image in its pixels: `label`, `name`, and `box`, `lines` (polygons) or `mask` (PNG, base64).

    Args:
        index: of the data set.
        entry: which image.
        size: width and height of the image.
        shown: width and height of the model's input.
        task: of the head.
    """
    if entry.record is None:
        _, boxes, labels = _drawn(index, entry, shown, task)
        record = Record(Path(), tuple(boxes), tuple(labels))
    else:
        record = entry.record
    found: list[dict[str, Any]] = []
    scale = np.array([*size, *size] if record.relative else [1, 1, 1, 1])
    for i, label in enumerate(record.labels[:LABEL_LIMIT]):
        one: dict[str, Any] = {"label": label, "name": index.names[label] if label < len(index.names) else str(label)}
        if record.boxes:
            one["box"] = [round(float(v), 1) for v in np.array(record.boxes[i]) * scale]
        if record.outlines and (outline := record.outlines[i]) is not None:
            one |= _outline(outline, size, record.relative)
        found.append(one)
    return found


def box_in_row(file: Path, line: int, size: Size) -> list[float]:
    """The box that a row of a YOLO label file means, however wrong it is, in pixels; nothing where it means none."""
    try:
        cells = file.read_text(encoding="utf-8").splitlines()[line - 1].split()
        cx, cy, w, h = (float(cell) for cell in cells[1:5])
    except (OSError, ValueError, IndexError):
        return []
    box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * [*size, *size]
    return [round(float(v), 1) for v in box] if np.isfinite(box).all() else []


def _outline(outline: Outline, size: Size, relative: bool) -> dict[str, Any]:
    if not isinstance(outline, dict):
        scale = np.array(size if relative else (1, 1))
        return {"lines": [(np.array(p).reshape(-1, 2) * scale).round(1).ravel().tolist() for p in outline]}
    from faster_coco_eval import mask as coco

    packed = isinstance(outline["counts"], (str, bytes))
    runs = outline if packed else coco.frPyObjects(outline, *outline["size"])
    return {"mask": mask_png(coco.decode(runs).astype(bool))}


def classes_of(mask: MaskFile, shown: Size) -> bytes:
    """The class of each pixel plus one, row by row, at the size at which the image is shown; 0 where ignored.

    Raises:
        DataError: for a mask that cannot be read.
    """
    image = Image.fromarray(mask.read()).resize(shown, Image.Resampling.NEAREST)
    return (np.asarray(image) + np.uint8(1)).tobytes()


def mask_png(mask: np.ndarray) -> str:
    """A mask bool [H, W] as a PNG of one bit a pixel, in base64."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _drawn(index: Index, entry: Entry, size: Size, task: str) -> tuple[np.ndarray, list[Any], list[int]]:
    """Pixels, boxes and labels of a drawn image."""
    place, settings = (size[1], size[0]), index.settings
    if task == "classify":
        pixels, label = shapes.draw_one(
            entry.number, place, split=entry.part, seed=index.seed, classes=settings.classes
        )
        return pixels, [], [label]
    pixels, boxes, labels, _ = shapes.draw(
        entry.number, place, split=entry.part, seed=index.seed, classes=settings.classes, most=settings.max_objects
    )
    return pixels, boxes, labels
