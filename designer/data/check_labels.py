"""The images of each kind of data set, each with a check of its labels that names every bad one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from designer.data import class_maps, coco, folder, voc, yolo
from designer.data.errors import DataError
from designer.data.records import image_files

Size = tuple[int, int]
"""Width and height in pixels."""
SLACK = 1.0
"""Pixels by which a box may pass the border of its image; writers round."""


@dataclass(frozen=True)
class Finding:
    """One row: how bad (`error` or `warning`), the file, its line (0 when there is none), what, and what to do.

    `image` is the image that it is about, where there is one.
    """

    severity: str
    file: str
    line: int
    what: str
    remedy: str
    image: str = ""

    @classmethod
    def of(cls, error: DataError) -> Finding:
        """A reader's complaint; its last sentence says what to do."""
        what, _, remedy = error.what.partition(". ")
        return cls("error", error.path, error.line, what.removesuffix(".") + ".", remedy)


@dataclass(frozen=True)
class Entry:
    """An image of a part (`train` or `val`); `check` looks at its labels, given its size, or None if unreadable."""

    part: str
    image: Path
    check: Callable[[Size | None], list[Finding]]


Found = tuple[list[Entry], list[Finding]]


def box_findings(box: tuple[float, ...], size: Size | None, file: Path, line: int, name: str) -> list[Finding]:
    """What is wrong with a box x1, y1, x2, y2 in pixels; nothing outside is found where the size is not known."""

    def bad(severity: str, what: str, remedy: str) -> list[Finding]:
        return [Finding(severity, str(file), line, what, remedy)]

    if not all(map(math.isfinite, box)):
        return bad("error", f"{name} has a corner that is not a finite number.", "Write the box again.")
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return bad(
            "error", f"{name} has no area ({x2 - x1:.4g} x {y2 - y1:.4g} pixels).", "Draw it again or remove it."
        )
    if size is None:
        return []
    if x1 >= size[0] or y1 >= size[1] or x2 <= 0 or y2 <= 0:
        return bad("error", f"{name} lies outside its image of {size[0]} x {size[1]}.", "Draw it again or remove it.")
    over = max(-x1, -y1, x2 - size[0], y2 - size[1])
    if over > SLACK:
        return bad("warning", f"{name} passes the border of its image by {over:.0f} pixels.", "Cut it at the border.")
    return []


def _background(image: Path, why: str) -> Finding:
    remedy = "Nothing, if it is background; else add its labels."
    return Finding("warning", str(image), 0, f"The image has no labels ({why}).", remedy)


# -- YOLO ----------------------------------------------------------------------------------------------------------


def yolo_entries(path: Path, train: str, val: str) -> Found:
    """Images and label files of a data.yaml; label files without an image are found by their folders."""
    try:
        names, first, second = yolo.yolo_images(path, train, val)
    except DataError as error:
        return [], [Finding.of(error)]
    entries = [
        Entry(part, image, partial(_yolo_labels, image, names))
        for part, images in (("train", first), ("val", second or []))
        for image in images
    ]
    wanted = {yolo.label_file(e.image) for e in entries}
    folders = {p.parent for p in wanted if "labels" in p.parts}
    stray = sorted(p for f in folders if f.is_dir() for p in f.glob("*.txt") if p not in wanted)
    what, remedy = "The label file has no image.", "Add the image, or remove the file."
    return entries, [Finding("warning", str(p), 0, what, remedy) for p in stray if p.name != "classes.txt"]


def _yolo_labels(image: Path, names: list[str], size: Size | None) -> list[Finding]:
    path = yolo.label_file(image)
    if not path.is_file():
        return [_background(image, f"there is no {path.name}")]
    try:
        lines = yolo.read_rows(path)
    except DataError as error:
        return [Finding.of(error)]
    found: list[Finding] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if line in seen:
            what = f"The row is the same as that in line {seen[line]}."
            found.append(Finding("warning", str(path), number, what, "Remove one of them."))
        seen.setdefault(line, number)
        try:
            _, box, _ = yolo.parse_row(line.split(), path, number, names)
        except DataError as error:
            found.append(Finding.of(error))
            continue
        width, height = size or (1, 1)
        pixels = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
        found += box_findings(pixels, size, path, number, "The box")
    return found if seen else [_background(image, f"{path.name} is empty")]


# -- COCO ----------------------------------------------------------------------------------------------------------


def coco_entries(path: Path, train: str, val: str) -> Found:
    """Images of the annotation files; JSON has no lines worth naming, so annotations are named by their ids."""
    entries: list[Entry] = []
    found: list[Finding] = []
    names: list[tuple[str, list[str]]] = []
    try:
        files = coco.coco_files(path, train, val)
    except DataError as error:
        return [], [Finding.of(error)]
    for part, file in zip(("train", "val"), files, strict=True):
        if file is None:
            continue
        try:
            raw = coco.load(file)
            more, bad = _coco_part(part, file, path if path.is_dir() else path.parent, raw)
            names.append((file.name, sorted(str(c.get("name")) for c in raw["categories"])))
        except DataError as error:
            found.append(Finding.of(error))
            continue
        entries += more
        found += bad
    if len(names) == 2 and names[0][1] != names[1][1]:
        what = f"Its categories are not those of {names[0][0]}."
        found.append(Finding("error", str(files[1]), 0, what, "Give both parts the same ones."))
    return entries, found


def _coco_part(part: str, file: Path, root: Path, raw: dict[str, Any]) -> Found:
    found: list[Finding] = []

    def bad(what: str, remedy: str, severity: str = "error") -> None:
        found.append(Finding(severity, str(file), 0, what, remedy))

    for key in ("images", "annotations", "categories"):
        for number in _twice(r["id"] for r in raw[key] if "id" in r):
            bad(f"Two {key} have the id {number}.", "Give each its own.")
    images = {i["id"]: i for i in raw["images"]}
    known = {c["id"] for c in raw["categories"]}
    of_image: dict[Any, list[dict[str, Any]]] = {key: [] for key in images}
    for note in raw["annotations"]:
        if not coco.is_id(note.get("image_id")) or note["image_id"] not in images:
            bad(f"Annotation {note.get('id')} is for image {note.get('image_id')}, which is not listed.", "Remove it.")
            continue
        if not coco.is_id(note.get("category_id")) or note["category_id"] not in known:
            what = f"Annotation {note.get('id')} has category {note.get('category_id')}, which is not listed."
            bad(what, "Mend it, or add the category.")
        of_image[note["image_id"]].append(note)
    named = {k: str(i["file_name"]) for k, i in images.items() if i.get("file_name")}
    for key in images.keys() - named.keys():
        bad(f"Image {key} has no file_name.", "Add it.")
    try:
        place = coco.image_folder(file, root, list(named.values()))
    except DataError as error:
        return [], [*found, Finding.of(error)]
    checks = [
        (place / name, partial(_coco_labels, file, place / name, images[key], of_image[key]))
        for key, name in named.items()
    ]
    return [Entry(part, image, check) for image, check in checks], found


def _twice(ids: Iterable[Any]) -> list[Any]:
    return [k for k, n in Counter(map(str, ids)).items() if n > 1]


def _coco_labels(
    file: Path, image: Path, listed: dict[str, Any], notes: list[dict[str, Any]], size: Size | None
) -> list[Finding]:
    found: list[Finding] = []
    said = (listed.get("width"), listed.get("height"))
    if size is not None and None not in said and said != size:
        what = f"{image.name} has {size[0]} x {size[1]} pixels, here it is said to have {said[0]} x {said[1]}."
        found.append(Finding("warning", str(file), 0, what, "If the image was resized, scale its boxes as well."))
    if not notes:
        return [*found, _background(image, "no annotation is for it")]
    for note in notes:
        name = f"Annotation {note.get('id')} of {image.name}"
        try:
            x, y, width, height = coco.box_of(note, name, file)
            found += box_findings((x, y, x + width, y + height), size, file, 0, name)
            outline = coco.outline_of(note.get("segmentation"), note.get("id"), file)
        except DataError as error:
            found.append(Finding.of(error))
            continue
        if isinstance(outline, dict) and size is not None and outline["size"] != [size[1], size[0]]:
            what = f"The mask of {name[0].lower()}{name[1:]} is not of the image's {size[0]} x {size[1]} pixels."
            found.append(Finding("error", str(file), 0, what, "Annotate it at its own size."))
    return found


# -- Pascal VOC and class folders ------------------------------------------------------------------------------------


def voc_entries(path: Path, train: str, val: str) -> Found:
    """Images of the lists; annotations without an image are found in their folder."""
    try:
        root, first, second = voc.voc_images(path, train, val)
    except DataError as error:
        return [], [Finding.of(error)]
    entries = [
        Entry(part, image, partial(_voc_labels, root / "Annotations" / f"{name}.xml", image))
        for part, names in (("train", first), ("val", second or []))
        for name in names
        for image in [voc.image_of(root, name)]
    ]
    listed = {*first, *(second or ())}
    stray = [p for p in sorted((root / "Annotations").glob("*.xml")) if p.stem not in listed]
    stray = [p for p in stray if not voc.image_of(root, p.stem).is_file()]
    what, remedy = "The annotation has no image.", "Add the image, or remove the file."
    return entries, [Finding("warning", str(p), 0, what, remedy) for p in stray]


def _voc_labels(path: Path, image: Path, size: Size | None) -> list[Finding]:
    try:
        objects = voc.read_objects(path)
    except DataError as error:
        return [Finding.of(error)]
    found: list[Finding] = []
    for one in objects:
        try:
            found += box_findings(one.box(path), size, path, one.line, f"The box of {one.name!r}")
        except DataError as error:
            found.append(Finding.of(error))
    return found if objects else [_background(image, f"{path.name} has no object")]


def folder_entries(path: Path, train: str, val: str) -> Found:
    """Images of the class folders; a folder is the label, so only missing and unknown classes can be wrong."""
    try:
        first, second = folder.part_folders(path, train, val)
        names = folder.class_folders(first)
    except DataError as error:
        return [], [Finding.of(error)]
    entries: list[Entry] = []
    found: list[Finding] = []
    for part, place in (("train", first), ("val", second)):
        for name in folder.class_folders(place) if place is not None and place.is_dir() else []:
            assert place is not None
            images = image_files(place / name)
            entries += [Entry(part, image, lambda _size: []) for image in images]
            if name not in names:
                what = f"The class {name!r} is not among those of the training part."
                found.append(Finding("error", str(place / name), 0, what, "Remove it, or add it to the training part."))
            if not images:
                found.append(
                    Finding("warning", str(place / name), 0, "The class has no image.", "Add some, or remove it.")
                )
    return entries, found


# -- Mask folders ----------------------------------------------------------------------------------------------------


def mask_entries(path: Path, train: str, val: str) -> Found:
    """Images with masks; masks without an image are found in their folders."""
    try:
        first, second = class_maps.mask_pairs(path, train, val)
        masks = [mask for _, mask in (*first, *(second or [])) if mask.is_file()]
        codes, _, _ = class_maps.class_codes(path, masks)
    except DataError as error:
        return [], [Finding.of(error)]
    entries = [
        Entry(part, image, partial(_mask_labels, image, class_maps.MaskFile(mask, codes)))
        for part, pairs in (("train", first), ("val", second or []))
        for image, mask in pairs
    ]
    stray = class_maps.stray_masks([*first, *(second or [])])
    what, remedy = "The mask has no image.", "Add the image, or remove the file."
    return entries, [Finding("warning", str(p), 0, what, remedy) for p in stray]


def _mask_labels(image: Path, mask: class_maps.MaskFile, size: Size | None) -> list[Finding]:
    def bad(severity: str, what: str, remedy: str) -> list[Finding]:
        return [Finding(severity, str(mask.path), 0, what, remedy)]

    if not mask.path.is_file():
        what = f"The image has no mask ({mask.path.name})."
        return [Finding("error", str(image), 0, what, "Add the mask, or remove the image.")]
    try:
        found = mask.read()
    except DataError as error:
        return [Finding.of(error)]
    height, width = found.shape
    if size is not None and size != (width, height):
        what = f"The mask has {width} x {height} pixels, its image {size[0]} x {size[1]}."
        return bad("error", what, "Draw it at the image's size.")
    if (found == class_maps.IGNORED).all():
        return bad("warning", "Every pixel of the mask is ignored.", "Draw it, or remove the image.")
    return []


ENTRIES: dict[str, Callable[[Path, str, str], Found]] = {
    "yolo": yolo_entries,
    "coco": coco_entries,
    "voc": voc_entries,
    "masks": mask_entries,
    "folder": folder_entries,
}
