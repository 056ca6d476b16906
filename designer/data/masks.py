"""Masks: from polygons or runs to pixels, to the quarter size that a model learns from, and to runs for measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from designer.data.errors import DataError
from designer.data.records import Outline, Part, Record
from designer.data.transforms import PIXELS, Fit

Runs = dict[str, Any]
"""COCO's run lengths of a mask: `size` (height, width) and `counts`, compressed."""


def rasterise(outlines: Sequence[Outline], size: tuple[int, int], relative: bool, path: Path) -> Tensor:
    """Masks uint8 [N, height, width] of objects, at the size of their image.

    Args:
        outlines: polygons or runs of each.
        size: height and width of the image.
        relative: whether polygons are fractions of it.
        path: the image, for the message.

    Raises:
        DataError: for runs of another size.
    """
    from faster_coco_eval import mask as coco

    masks = np.zeros((len(outlines), *size), np.uint8)
    scale = np.array(size[::-1] if relative else (1, 1), dtype=np.float64)
    for i, outline in enumerate(outlines):
        if isinstance(outline, dict):
            if tuple(outline["size"]) != tuple(size):
                raise DataError(
                    f"The runs of object {i} are for {outline['size'][0]} x {outline['size'][1]} pixels, the image has "
                    f"{size[0]} x {size[1]}. Annotate it at its own size.",
                    path,
                )
            packed = isinstance(outline["counts"], (str, bytes))
            runs = outline if packed else coco.frPyObjects(outline, *size)
        else:
            polygons = [(np.array(p).reshape(-1, 2) * scale).ravel().tolist() for p in outline]
            runs = coco.merge(coco.frPyObjects(polygons, *size))
        masks[i] = coco.decode(runs)
    return torch.from_numpy(masks)


def quarter(masks: Tensor) -> Tensor:
    """Masks uint8 [N, H, W] to [N, H/4, W/4], rounded up: 1 where at least half of the 4 x 4 pixels are covered.

    Of an object that covers half of none, a thin one, the cells that it covers most.
    """
    height, width = masks.shape[-2:]
    if not len(masks):
        return masks.new_zeros(0, -(-height // 4), -(-width // 4))
    covered = F.avg_pool2d(masks[None].float(), 4, ceil_mode=True)[0]
    enough = covered.amax((1, 2), keepdim=True).clamp(max=0.5)
    return ((covered >= enough) & (covered > 0)).to(torch.uint8)


def to_runs(masks: Tensor) -> list[Runs]:
    """Run lengths of masks [N, H, W]; a few hundred bytes for what would be a megabyte."""
    from faster_coco_eval import mask as coco

    # Column after column, as COCO counts.
    pixels = np.asfortranarray(masks.to(torch.uint8).permute(1, 2, 0).numpy())
    return list(coco.encode(pixels)) if len(masks) else []


def found_runs(masks: Tensor, fit: Fit, size: tuple[int, int], threshold: float = 0.5) -> list[Runs]:
    """Run lengths in the original image of what a model found.

    Args:
        masks: [N, h, w] probabilities over the model's input.
        fit: how the image was fitted to the input.
        size: height and width of the input.
        threshold: least probability of a pixel that belongs to an object.
    """
    # A few at a time: a hundred masks of a large photo would be gigabytes.
    step = max(1, PIXELS // (max(fit.height * fit.width, size[0] * size[1])))
    runs: list[Runs] = []
    for part in masks.float().cpu().split(step):
        runs += to_runs(fit.undo_masks(part, size) >= threshold)
    return runs


def area_of(runs: Runs) -> float:
    """Pixels of a mask."""
    from faster_coco_eval import mask as coco

    return float(coco.area(runs))


def from_runs(runs: Sequence[Runs]) -> Tensor:
    """Masks bool [N, H, W] of run lengths; N is at least 1."""
    from faster_coco_eval import mask as coco

    return torch.from_numpy(np.ascontiguousarray(coco.decode(list(runs)).transpose(2, 0, 1))).bool()


def with_outlines(part: Part) -> Part:
    """The records without the objects that are boxes only, with a sentence about them.

    Raises:
        DataError: when there are objects, and none has an outline.
    """
    records, lost, kept = [], 0, 0
    for record in part.records:
        have = [i for i, outline in enumerate(record.outlines) if outline is not None]
        kept, lost = kept + len(have), lost + len(record.boxes) - len(have)
        records.append(_only(record, have) if len(have) < len(record.boxes) else record)
    if lost and not kept:
        raise DataError(
            f"All {lost} objects are boxes without outlines, which a segmentation model cannot learn from. Use data "
            "with polygons, or a detection head.",
            part.records[0].path.parent,
        )
    note = f"{lost} objects are boxes without outlines and are left out."
    return Part(records, [*part.notes, note] if lost else part.notes)


def _only(record: Record, rows: list[int]) -> Record:
    def pick(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[i] for i in rows)

    areas = pick(record.areas) if record.areas else ()
    return replace(
        record, boxes=pick(record.boxes), labels=pick(record.labels), outlines=pick(record.outlines), areas=areas
    )
