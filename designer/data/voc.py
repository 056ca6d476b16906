"""Pascal VOC folders: an XML file an image under `Annotations`, images under `JPEGImages`, parts as lists of names.

Corners are pixels counted from 1 and belong to the box, so x from 1 to 10 are the ten leftmost columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from designer.data.errors import DataError
from designer.data.records import IMAGE_SUFFIXES, Part, Record, hold_out

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class VocObject:
    """One `object` of an annotation: its texts by tag, corners under `xmin` to `ymax`, and the line it starts at."""

    line: int
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.texts.get("name", "")

    @property
    def difficult(self) -> bool:
        return self.texts.get("difficult", "0") == "1"

    def box(self, path: Path) -> tuple[float, float, float, float]:
        """Corners x1, y1, x2, y2 in pixels counted from 0, x2 and y2 behind the last pixel.

        Raises:
            DataError: for an object without a name, a corner that is missing or no number.
        """
        if not self.name:
            raise DataError("The object has no name. Write <name>CLASS</name> in it.", path, self.line)
        try:
            x1, y1, x2, y2 = (float(self.texts[corner]) for corner in CORNERS)
        except KeyError as missing:
            raise DataError(
                f"The object has no {missing.args[0]}. A bndbox has xmin, ymin, xmax and ymax.", path, self.line
            ) from None
        except ValueError as error:
            raise DataError(f"A corner is no number ({error}). Corners are pixels.", path, self.line) from None
        if not all(map(math.isfinite, (x1, y1, x2, y2))):
            raise DataError("A corner is not a finite number. Corners are pixels.", path, self.line)
        return x1 - 1, y1 - 1, x2, y2


def read_objects(path: Path) -> list[VocObject]:
    """The objects of one annotation file.

    Raises:
        DataError: with the line, for a file that is not there, is no XML, or declares entities: a few lines of them
            can expand to gigabytes, and annotations need none.
    """
    reader = _Reader(path)
    try:
        return reader.read(path.read_bytes())
    except FileNotFoundError:
        raise DataError("There is no such annotation. Add it, or take the image out of its list.", path) from None
    except expat.ExpatError as error:
        raise DataError(f"This is not XML: {expat.ErrorString(error.code)}.", path, error.lineno) from None


class _Reader:
    """Collects `annotation/object` elements; parts of objects (head, hand) are not objects of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[str] = []
        self._text = ""
        self._objects: list[VocObject] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._refuse

    def read(self, data: bytes) -> list[VocObject]:
        self._parser.Parse(data, True)
        return self._objects

    def _refuse(self, *_declared: object) -> None:
        raise DataError(
            "It declares entities, which annotations do not need. Take the DOCTYPE out.",
            self._path,
            self._parser.CurrentLineNumber,
        )

    def _start(self, tag: str, _attributes: dict[str, str]) -> None:
        if not self._stack and tag != "annotation":
            raise DataError(
                f"Its outermost element is {tag}, but a VOC file has annotation.", self._path,
                self._parser.CurrentLineNumber,
            )  # fmt: skip
        self._stack.append(tag)
        self._text = ""
        if self._stack == ["annotation", "object"]:
            self._objects.append(VocObject(self._parser.CurrentLineNumber))

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, tag: str) -> None:
        inside = self._stack[2:-1] in ([], ["bndbox"])
        if self._stack[:2] == ["annotation", "object"] and len(self._stack) > 2 and inside:
            self._objects[-1].texts[tag] = self._text.strip()
        self._stack.pop()
        self._text = ""


def voc_images(path: Path, train: str = "", val: str = "") -> tuple[Path, list[str], list[str] | None]:
    """The folder of the data set and the names of its training and validation images; None where no part is given.

    Args:
        path: the folder with `Annotations` and `JPEGImages`, or the one above a single such folder.
        train: name of a list in `ImageSets/Main`; `train`, else `trainval`, else all annotations when left out.
        val: the same for the validation part.

    Raises:
        DataError: when the folder or a list is not there.
    """
    root = _root(path)
    lists = root / "ImageSets" / "Main"
    second = listed_names(lists, val or "val") if val or (lists / "val.txt").is_file() else None
    if train:
        return root, listed_names(lists, train), second
    wanted = ("train",) if second is not None else ("train", "trainval")
    found = next((name for name in wanted if (lists / f"{name}.txt").is_file()), "")
    if found:
        return root, listed_names(lists, found), second
    held = set(second or ())
    return root, [p.stem for p in sorted((root / "Annotations").glob("*.xml")) if p.stem not in held], second


def _root(path: Path) -> Path:
    def is_voc(folder: Path) -> bool:
        return (folder / "Annotations").is_dir()

    if is_voc(path):
        return path
    inside = [p for p in sorted(path.iterdir()) if is_voc(p)] if path.is_dir() else []
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise DataError(f"It holds {', '.join(p.name for p in inside)}. Choose one of them.", path)
    raise DataError("There is no folder Annotations. Give the folder with Annotations and JPEGImages.", path)


def listed_names(lists: Path, name: str) -> list[str]:
    """The images that a list names.

    Raises:
        DataError: when there is no such list.
    """
    path = lists / f"{name.removesuffix('.txt')}.txt"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in lists.glob("*.txt") if "_" not in p.stem)) or "no lists"
        raise DataError(f"There is no such list of images; there are {there}. Mend the data settings.", path)
    # A list of one class has a second column: 1, 0 or -1 for whether the image shows it.
    return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def image_of(root: Path, name: str) -> Path:
    """The image of a name, with whatever suffix it has; with `.jpg` when it is not there."""
    plain = root / "JPEGImages" / f"{name}.jpg"
    if plain.is_file():
        return plain
    tried = (plain.with_name(name + suffix) for s in IMAGE_SUFFIXES for suffix in (s, s.upper()))
    return next((p for p in tried if p.is_file()), plain)


def read_voc(
    path: Path, train: str = "", val: str = "", seed: int = 0, share: float = 0.1
) -> tuple[Part, Part, list[str]]:
    """Training part, validation part and class names, which are those that occur, sorted.

    Objects marked difficult are left out, as the benchmark does not count them.

    Raises:
        DataError: with file and line.
    """
    root, first, second = voc_images(path, train, val)
    everything = [_read(root, name) for name in first], [_read(root, name) for name in second or ()]
    names = sorted({o.name for part in everything for _, objects in part for o in objects if o.name})
    if not first or not names:
        raise DataError("Its training part names no image, or no object.", root)
    parts = [_part(part, names) for part in everything]
    if second is not None:
        return parts[0], parts[1], names
    kept, held = hold_out(parts[0].records, share, seed)
    note = f"{root} has no validation list, so {len(held)} training images are held out."
    return Part(kept, [*parts[0].notes, note]), Part(held), names


def _read(root: Path, name: str) -> tuple[Path, list[VocObject]]:
    path = root / "Annotations" / f"{name}.xml"
    return path, read_objects(path)


def _part(files: list[tuple[Path, list[VocObject]]], names: list[str]) -> Part:
    part = Part([])
    index = {name: i for i, name in enumerate(names)}
    difficult = 0
    for path, objects in files:
        boxes, labels = [], []
        for found in objects:
            x1, y1, x2, y2 = found.box(path)
            if found.difficult:
                difficult += 1
            elif x2 - x1 < 1 or y2 - y1 < 1:
                part.notes.append(f"{path}:{found.line}: a box without area is left out.")
            else:
                boxes.append((x1, y1, x2, y2))
                labels.append(index[found.name])
        root = path.parent.parent
        part.records.append(
            Record(image_of(root, path.stem), tuple(boxes), tuple(labels), outlines=(None,) * len(boxes))
        )
    if difficult:
        part.notes.append(f"{difficult} objects marked difficult are left out, as the benchmark does not count them.")
    return part
