"""YOLO folders: a `data.yaml` with names and parts, one label file an image, rows of fractions.

A row is `class cx cy w h`, or a polygon: `class x1 y1 x2 y2 x3 y3 ...`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from designer.data.errors import DataError
from designer.data.records import Outline, Part, Record, hold_out, image_files

TOLERANCE = 1e-4
"""How far a coordinate may lie outside 0 to 1; writers round."""


def read_yolo(
    path: Path, train: str = "", val: str = "", seed: int = 0, share: float = 0.1
) -> tuple[Part, Part, list[str]]:
    """Training part, validation part and class names of a data.yaml, or of the folder that holds one.

    Raises:
        DataError: with file and line.
    """
    names, first, second = yolo_images(path, train, val)
    records = [_record(image, names) for image in first]
    if second is not None:
        return Part(records), Part([_record(image, names) for image in second]), names
    kept, held = hold_out(records, share, seed)
    note = f"{path} names no validation part, so {len(held)} training images are held out."
    return Part(kept, [note]), Part(held), names


def yolo_images(path: Path, train: str = "", val: str = "") -> tuple[list[str], list[Path], list[Path] | None]:
    """Class names, training images and validation images, which are None where no part is named.

    Raises:
        DataError: with file and line, for a data.yaml that cannot be used or a part without images.
    """
    path = path / "data.yaml" if path.is_dir() else path
    config = _config(path)
    names = _names(config, path)
    root = _root(config, path)
    first = _part(root, train or config.get("train"), "train", path)
    wanted = val or config.get("val") or config.get("valid")
    return names, first, _part(root, wanted, "val", path) if wanted else None


def _config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("There is no such file. Give the path of a data.yaml or of its folder.", path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        text = getattr(error, "problem", None) or "it is not text"
        raise DataError(f"This is not plain YAML: {text}.", path, mark.line + 1 if mark else 0) from None
    if not isinstance(config, dict):
        raise DataError("A data.yaml holds keys such as train, val and names.", path)
    return config


def _names(config: dict[str, Any], path: Path) -> list[str]:
    names = config.get("names")
    if isinstance(names, dict):
        if missing := [i for i in range(len(names)) if i not in names]:
            what = f"names has {len(names)} entries and none for {missing[0]}. Number them from 0 on, without quotes."
            raise DataError(what, path)
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError("names is missing. Write names: [cat, dog], or a mapping from 0 on.", path)
    if (count := config.get("nc")) is not None and count != len(names):
        raise DataError(f"nc is {count}, and names has {len(names)} entries. Mend one of them, or leave nc out.", path)
    return [str(n) for n in names]


def _root(config: dict[str, Any], path: Path) -> Path:
    root = Path(str(config.get("path") or "."))
    return root if root.is_absolute() else path.parent / root


def _part(root: Path, wanted: Any, which: str, config: Path) -> list[Path]:
    if not wanted:
        raise DataError(f"{which} is missing. Write {which}: images/{which}.", config)
    found: list[Path] = []
    for entry in wanted if isinstance(wanted, list) else [wanted]:
        place = Path(str(entry)) if Path(str(entry)).is_absolute() else root / str(entry)
        found += _images(place, which, config)
    if not found:
        raise DataError(f"There is no image under the {which} part {wanted!r}.", config)
    return found


def _images(place: Path, which: str, config: Path) -> list[Path]:
    if place.is_dir():
        return image_files(place)
    if place.suffix == ".txt" and place.is_file():
        lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
        return [Path(line) if Path(line).is_absolute() else place.parent / line for line in lines if line]
    raise DataError(
        f"The {which} part {str(place)!r} is neither a folder nor a list of images. Mend {which} or path.", config
    )


def label_file(image: Path) -> Path:
    """Where the labels of an image are: the last folder called `images` becomes `labels`; else beside the image."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            return Path(*parts).with_suffix(".txt")
    return image.with_suffix(".txt")


def read_rows(path: Path) -> list[str]:
    """The lines of a label file.

    Raises:
        DataError: when it is not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()  # some editors write a mark before the text
    except UnicodeDecodeError:
        raise DataError("The label file is not text. Write it again.", path) from None


def _record(image: Path, names: list[str]) -> Record:
    path = label_file(image)
    if not path.exists():  # an image without labels is background, as everywhere in the YOLO world
        return Record(image, relative=True)
    boxes, labels = [], []
    outlines: list[Outline | None] = []
    for number, line in enumerate(read_rows(path), 1):
        if line.strip():
            label, box, outline = parse_row(line.split(), path, number, names)
            labels.append(label)
            boxes.append(box)
            outlines.append(outline)
    return Record(image, tuple(boxes), tuple(labels), relative=True, outlines=tuple(outlines))


Row = tuple[int, tuple[float, float, float, float], Outline | None]


def parse_row(cells: list[str], path: Path, line: int, names: list[str]) -> Row:
    """Class, corners as fractions, and the polygon where the row has one.

    Raises:
        DataError: for a row that is none, or whose class or coordinates cannot be.
    """
    try:
        kind, *numbers = map(float, cells)
        label = int(kind)
    except (ValueError, OverflowError):  # the latter for a class of inf
        raise DataError(f"{' '.join(cells)!r} is no row of numbers. Write: class cx cy w h.", path, line) from None
    if kind != label:
        raise DataError(f"The class is {kind:g}, not a whole number. Write: class cx cy w h.", path, line)
    if len(numbers) != 4 and (len(numbers) < 6 or len(numbers) % 2):
        raise DataError(
            f"A row has class cx cy w h, or class and a polygon; this one has {len(cells)} numbers. Write it again.",
            path,
            line,
        )
    if not 0 <= label < len(names):
        raise DataError(
            f"Class {label} is beyond the {len(names)} names (0 to {len(names) - 1}). Mend the label, or add to names.",
            path,
            line,
        )
    if outside := [n for n in numbers if not -TOLERANCE <= n <= 1 + TOLERANCE]:
        raise DataError(
            f"{outside[0]:g} lies outside 0 to 1. Coordinates are fractions of the image's size.", path, line
        )
    if len(numbers) == 4:
        cx, cy, w, h = numbers
        return label, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), None
    xs, ys = numbers[::2], numbers[1::2]
    return label, (min(xs), min(ys), max(xs), max(ys)), [numbers]
