"""COCO JSON: an annotation file a part, boxes as x, y, width, height in pixels."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from designer.data.errors import DataError
from designer.data.records import Crowd, Outline, Part, Record, hold_out


def read_coco(
    path: Path, train: str = "", val: str = "", seed: int = 0, share: float = 0.1
) -> tuple[Part, Part, list[str]]:
    """Training part, validation part and class names.

    Args:
        path: the folder of the data set, or one annotation file (then a share is held out).
        train: annotation file relative to `path`; found by its name when left out.
        val: the same for the validation part.
        seed: of what is held out.
        share: of the images that is held out where there is no validation part.

    Raises:
        DataError: with the file and what is wrong.
    """
    first, second = coco_files(path, train, val)
    part, names = read_annotations(first, path if path.is_dir() else path.parent)
    if second is not None:
        other, other_names = read_annotations(second, path if path.is_dir() else path.parent)
        if other_names != names:
            raise DataError(f"Its categories are not those of {first.name}. Both parts need the same ones.", second)
        return part, other, names
    kept, held = hold_out(part.records, share, seed)
    note = f"{path} has no validation part, so {len(held)} training images are held out."
    return Part(kept, [*part.notes, note]), Part(held), names


def coco_files(path: Path, train: str = "", val: str = "") -> tuple[Path, Path | None]:
    """The annotation files of the training and the validation part; None where there is none for the latter.

    Raises:
        DataError: when the path, a file that was named, or training annotations are not there.
    """
    if not path.exists():
        raise DataError("There is no such file or folder. Give a COCO folder or annotation file.", path)
    first = path if path.is_file() else _find(path, train, "train")
    assert first is not None  # the training part is not optional
    if path.is_file() and not val:
        return first, None
    return first, _find(path if path.is_dir() else path.parent, val, "val", optional=True)


def _find(root: Path, wanted: str, which: str, optional: bool = False) -> Path | None:
    if wanted:
        path = root / wanted
        if not path.is_file():
            raise DataError(f"The {which} annotations are not there. Mend the {which} part of the data settings.", path)
        return path
    found = [p for p in sorted(root.rglob("*.json")) if which in p.stem.lower() or which in p.parent.name.lower()]
    if not found and which == "train" and len(everything := sorted(root.rglob("*.json"))) == 1:
        found = everything
    if not found and not optional:
        raise DataError("No annotation file with 'train' in its name was found. Name it in the data settings.", root)
    return found[0] if found else None


def read_annotations(path: Path, root: Path) -> tuple[Part, list[str]]:
    """Records and class names of one annotation file; category ids become 0, 1, ... in their own order."""
    raw = load(path)
    categories = sorted(raw["categories"], key=lambda c: c["id"])
    index = {c["id"]: i for i, c in enumerate(categories)}
    images = {i["id"]: i for i in raw["images"]}
    boxes: dict[Any, list[tuple[float, float, float, float]]] = {i: [] for i in images}
    labels: dict[Any, list[int]] = {i: [] for i in images}
    outlines: dict[Any, list[Outline | None]] = {i: [] for i in images}
    areas: dict[Any, list[float]] = {i: [] for i in images}
    crowds: dict[Any, list[Crowd]] = {i: [] for i in images}
    part = Part([])
    for annotation in raw["annotations"]:
        number, image_id, category = (annotation.get(key) for key in ("id", "image_id", "category_id"))
        if not is_id(image_id) or image_id not in images:
            raise DataError(f"Annotation {number} is for image {image_id}, which is not listed. Remove it.", path)
        if not is_id(category) or category not in index:
            raise DataError(
                f"Annotation {number} has category {category}, which is not listed. Mend it, or add the category.", path
            )
        x, y, w, h = box_of(annotation, f"Annotation {number}", path)
        if annotation.get("iscrowd") and w > 0 and h > 0:
            outline = outline_of(annotation.get("segmentation"), number, path)
            crowds[image_id].append(Crowd(index[category], (x, y, x + w, y + h), outline))
            continue
        if w <= 0 or h <= 0:
            part.notes.append(f"{path}: annotation {number} has no area ({w:g} x {h:g}) and is left out.")
            continue
        boxes[image_id].append((x, y, x + w, y + h))
        labels[image_id].append(index[category])
        outlines[image_id].append(outline_of(annotation.get("segmentation"), number, path))
        areas[image_id].append(_area_of(annotation.get("area")))
    named = {key: str(image.get("file_name") or "") for key, image in images.items()}
    if unnamed := [key for key, name in named.items() if not name]:
        raise DataError(f"Image {unnamed[0]} has no file_name. Add it.", path)
    folder = image_folder(path, root, list(named.values()))
    for key, name in named.items():
        objects = tuple(boxes[key]), tuple(labels[key])
        told = Record(folder / name, *objects, outlines=tuple(outlines[key]), areas=tuple(areas[key]))
        part.records.append(replace(told, crowds=tuple(crowds[key])))
    return part, [str(c["name"]) for c in categories]


def _area_of(value: Any) -> float:
    """Pixels of an object; 0 for what is none, as programs write that do not know."""
    known = isinstance(value, (int, float)) and math.isfinite(value) and value > 0
    return float(value) if known else 0.0


def is_id(value: Any) -> bool:
    """Whether images and categories can be told apart by this."""
    return isinstance(value, (int, str))


def box_of(annotation: dict[str, Any], name: str, path: Path) -> tuple[float, float, float, float]:
    """Left, top, width and height of an annotation, in pixels.

    Args:
        annotation: of the file.
        name: what a message calls it.
        path: the file.

    Raises:
        DataError: for what is not four finite numbers.
    """
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, (int, float)) for v in box):
        text = json.dumps(box)[:60]
        raise DataError(f"{name} has the bbox {text}, not four numbers. Write x, y, width, height in pixels.", path)
    if not all(map(math.isfinite, box)):
        raise DataError(f"{name} has a corner that is not a finite number. Write the box again.", path)
    return box[0], box[1], box[2], box[3]


def outline_of(segmentation: Any, number: Any, path: Path) -> Outline | None:
    """Polygons or runs of an annotation; None for one that has neither."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict) and {"size", "counts"} <= segmentation.keys():
        return segmentation
    if isinstance(segmentation, list) and all(
        isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 and {*map(type, p)} <= {int, float}
        for p in segmentation
    ):
        return segmentation
    raise DataError(
        f"The segmentation of annotation {number} is neither polygons of three points or more, [[x, y, x, y, x, y]], "
        "nor runs with size and counts. Draw it again.",
        path,
    )


def load(path: Path) -> dict[str, Any]:
    """The JSON of an annotation file, with its three lists.

    Raises:
        DataError: for what is no JSON or no annotation file.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"This is not JSON: {error.msg}. Write the file again.", path, error.lineno) from None
    except UnicodeDecodeError:
        raise DataError("This is not text. Give a COCO annotation file.", path) from None
    missing = [k for k in ("images", "annotations", "categories") if not isinstance(raw, dict) or k not in raw]
    if missing:
        raise DataError(f"{missing[0]} is missing, so this is no COCO annotation file.", path)
    for key, what in (("images", "image"), ("annotations", "annotation"), ("categories", "category")):
        other = "" if key == "annotations" else None  # annotations are not looked up by their ids
        rows = raw[key]
        if not isinstance(rows, list) or not all(isinstance(r, dict) and is_id(r.get("id", other)) for r in rows):
            raise DataError(f"{key} is not a list of objects with an id. Write each {what} with one.", path)
    if unnamed := [c["id"] for c in raw["categories"] if "name" not in c]:
        raise DataError(f"Category {unnamed[0]} has no name. Add it.", path)
    return raw


def image_folder(path: Path, root: Path, names: list[str]) -> Path:
    """The folder that the file names are relative to: the first place where the first image is."""
    if not names:
        raise DataError("It lists no images.", path)
    part = path.stem.removeprefix("instances_")
    places = (path.parent, root, root / part, root / "images" / part, root / "images", path.parent / "images")
    found = next((p for p in places if (p / names[0]).is_file()), None)
    if found is None:
        tried = ", ".join(str(p) for p in dict.fromkeys(places))
        raise DataError(f"The image {names[0]!r} is in none of {tried}.", path)
    return found
