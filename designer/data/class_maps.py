"""Masks of semantic segmentation: folders of PNGs whose values or colours are classes, VOC's among them. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from designer.data.errors import DataError
from designer.data.records import Part, Record, hold_out, image_files
from designer.data.voc import image_of, listed_names

IGNORED = 255
"""Value of a pixel that is neither learned nor measured."""
VOID = ("void", "ignore", "ignored")
"""Names of a colour in classes.txt whose pixels are ignored."""
IMAGES = ("images", "image", "img", "JPEGImages")
MASKS = ("masks", "mask", "labels", "annotations", "SegmentationClass")
SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
"""Of masks; a JPEG would blur them."""
TRAIN = ("train", "training")
VAL = ("val", "valid", "validation", "test")
LOOKED_AT = 32
"""Masks that are opened to see whether 255 stands for the second of two classes."""
VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

ClassMap = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Codes:
    """What the values of masks mean.

    Attributes:
        classes: how many there are; values from 0 on are their indices.
        colours: red, green, blue and the class of each colour; masks are read as colours where there are any.
        two_levels: 255 is class 1, in masks of two classes that hold 0 and 255 alone.
    """

    classes: int
    colours: tuple[tuple[Colour, int], ...] = ()
    two_levels: bool = False


@dataclass(frozen=True)
class MaskFile:
    """The mask of an image."""

    path: Path
    codes: Codes

    def read(self) -> ClassMap:
        """Class indices [height, width], 255 where ignored.

        Raises:
            DataError: for a file that is not there or cannot be read, and for a value or colour that is no class.
        """
        values = _values(self.path, bool(self.codes.colours))
        if self.codes.colours:
            return _by_colour(values, self.codes, self.path)
        if self.codes.two_levels:
            values = np.where(values == 255, 1, values)
        wrong = (values >= self.codes.classes) & (values != IGNORED)
        if wrong.any():
            raise DataError(
                f"{int(wrong.sum())} pixels have the value {int(values[wrong][0])}, which is no class (0 to "
                f"{self.codes.classes - 1}) and not {IGNORED}, ignored. Mend the mask, or add to classes.txt.",
                self.path,
            )
        return values.astype(np.uint8)


def _values(path: Path, coloured: bool) -> NDArray[np.integer]:
    """Values [H, W] of a mask file, or its colours [H, W, 3]."""
    try:
        with Image.open(path) as image:
            if coloured:
                return np.asarray(image.convert("RGB"))
            if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
                pixels = np.asarray(image.convert("RGB"))
                if (pixels != pixels[..., :1]).any():
                    raise DataError(
                        "The mask is coloured. Name the colours in classes.txt, a line 'name red green blue' a class.",
                        path,
                    )
                return pixels[..., 0]
            return np.asarray(image).astype(np.int32)
    except FileNotFoundError:
        raise DataError("There is no such mask. Add it, or take its image out.", path) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what PIL raises for broken files
        raise DataError("The mask cannot be read. Write it again as a PNG.", path) from None


def _by_colour(pixels: NDArray[np.integer], codes: Codes, path: Path) -> ClassMap:
    packed = pixels.astype(np.int32) @ np.array([65536, 256, 1])
    found = np.full(packed.shape, -1, np.int32)
    for (red, green, blue), index in codes.colours:
        found[packed == red * 65536 + green * 256 + blue] = index
    if (unknown := found < 0).any():
        colour = " ".join(str(v) for v in pixels[unknown][0].tolist())
        raise DataError(
            f"{int(unknown.sum())} pixels have the colour {colour}, which classes.txt does not name. Add it there.",
            path,
        )
    return found.astype(np.uint8)


# -- where images and masks are --------------------------------------------------------------------------------------

Pairs = list[tuple[Path, Path]]
"""Images and their masks, which may be missing."""


def mask_pairs(path: Path, train: str = "", val: str = "") -> tuple[Pairs, Pairs | None]:
    """Images of the training and of the validation part with the places of their masks; None without the latter.

    Args:
        path: a folder with `images` and `masks`, each with a sub-folder a part or none; or with a folder a part, in
            which those are; or of Pascal VOC, with `JPEGImages`, `SegmentationClass` and `ImageSets/Segmentation`.
        train: name of the training part; found by itself when left out.
        val: the same for the validation part.

    Raises:
        DataError: when there are no such folders, or no part of a name that was given.
    """
    if not path.is_dir():
        raise DataError("There is no such folder. Give a folder with images and masks.", path)
    if (lists := path / "ImageSets" / "Segmentation").is_dir():
        return _voc_pairs(path, lists, train, val)
    first = _part(path, (train,) if train else TRAIN)
    second = _part(path, (val,) if val else VAL)
    for name, found in ((train, first), (val, second)):
        if name and found is None:
            raise DataError(f"There is no part {name!r} with images and masks. Mend the data settings.", path)
    first = first or _folders(path)
    if first is None:
        raise DataError(
            "It has no folders images and masks. Put each image's mask, of the same name, into masks.", path
        )
    return _paired(*first), _paired(*second) if second is not None else None


def holds_masks(path: Path) -> bool:
    """Whether a folder looks like images with masks."""
    try:
        return any(mask.is_file() for _, mask in mask_pairs(path)[0])
    except DataError:
        return False


def _part(path: Path, names: Iterable[str]) -> tuple[Path, Path] | None:
    """The folders of images and of masks of a part: below `images` and `masks`, or the other way round."""
    both = _folders(path)
    for name in names:
        if both is not None and (both[0] / name).is_dir() and (both[1] / name).is_dir():
            return both[0] / name, both[1] / name
        if (found := _folders(path / name)) is not None:
            return found
    return None


def _folders(path: Path) -> tuple[Path, Path] | None:
    images = next((path / name for name in IMAGES if (path / name).is_dir()), None)
    masks = next((path / name for name in MASKS if (path / name).is_dir()), None)
    return (images, masks) if images is not None and masks is not None else None


def _paired(images: Path, masks: Path) -> Pairs:
    there = {p.relative_to(masks).with_suffix(""): p for p in sorted(masks.rglob("*")) if p.suffix.lower() in SUFFIXES}
    pairs = []
    for image in image_files(images):
        name = image.relative_to(images).with_suffix("")
        mask = there.get(name) or there.get(name.with_name(f"{name.name}_mask")) or masks / f"{name}.png"
        pairs.append((image, mask))
    return pairs


def _voc_pairs(path: Path, lists: Path, train: str, val: str) -> tuple[Pairs, Pairs | None]:
    def pairs(name: str) -> Pairs:
        masks = path / "SegmentationClass"
        return [(image_of(path, one), masks / f"{one}.png") for one in listed_names(lists, name)]

    second = pairs(val or "val") if val or (lists / "val.txt").is_file() else None
    alone = "train" if (lists / "train.txt").is_file() else "trainval"
    return pairs(train or alone), second


# -- what the values mean --------------------------------------------------------------------------------------------


def class_codes(path: Path, masks: Sequence[Path]) -> tuple[Codes, list[str], list[str]]:
    """What values mean, the names of the classes, and a sentence where this was made up.

    `classes.txt` of the folder has a line a class: its name, and its colour as red, green and blue where masks are
    coloured. Without it, Pascal VOC's folder has VOC's 21 classes; else all masks are looked through for their values.

    Raises:
        DataError: with the line of classes.txt; for more classes than fit beside 255; for masks that are all broken.
    """
    if (file := path / "classes.txt").is_file():
        names, colours = _read_classes(file)
        two = not colours and len(names) == 2 and _levels(masks[:LOOKED_AT]) == {0, 255}
        return Codes(len(names), tuple(colours), two), names, []
    if (path / "ImageSets" / "Segmentation").is_dir():
        return Codes(len(VOC_NAMES)), list(VOC_NAMES), []
    levels = _levels(masks)
    if levels == {0, 255}:
        note = "Masks hold 0 and 255 alone, so 255 is taken for the class 'object'. A classes.txt names it otherwise."
        return Codes(2, two_levels=True), ["background", "object"], [note]
    known = sorted(levels - {IGNORED})
    if not known:
        raise DataError("Not one of its masks can be read as values of classes. Check the data for why.", path)
    if known[-1] >= IGNORED:
        raise DataError(f"A mask has the value {known[-1]}; classes are 0 to 254. Are these instances?", path)
    names = [f"class {i}" for i in range(known[-1] + 1)]
    return Codes(len(names)), names, [f"There is no {file.name}, so classes are called {names[0]} to {names[-1]}."]


def _read_classes(file: Path) -> tuple[list[str], list[tuple[Colour, int]]]:
    names: list[str] = []
    colours: list[tuple[Colour, int]] = []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        colour = _colour(words[-3:]) if len(words) > 3 else None
        name = " ".join(words[:-3] if colour is not None else words)
        void = name.lower() in VOID and colour is not None
        if not void:
            names.append(name)
        if colour is not None:
            colours.append((colour, IGNORED if void else len(names) - 1))
        elif colours:
            raise DataError("The line has no colour, others have. Write: name red green blue.", file, number)
    if not 0 < len(names) < IGNORED:
        raise DataError(f"It names {len(names)} classes. Write 1 to 254, a line each.", file)
    return names, colours


def _colour(words: Sequence[str]) -> Colour | None:
    if all(word.isdecimal() and int(word) < 256 for word in words):
        return int(words[0]), int(words[1]), int(words[2])
    return None


def _levels(masks: Iterable[Path]) -> set[int]:
    """All values that occur; masks that cannot be read are named when they are used."""
    found: set[int] = set()
    for mask in masks:
        try:
            found.update(np.unique(_values(mask, False)).tolist())
        except DataError:
            continue
    return found


def read_masks(
    path: Path, train: str = "", val: str = "", seed: int = 0, share: float = 0.1
) -> tuple[Part, Part, list[str]]:
    """Training part, validation part and class names; images without a mask are left out.

    Args:
        path: the folder, as `mask_pairs` takes it.
        train: name of the training part; found by itself when left out.
        val: the same for the validation part.
        seed: of what is held out.
        share: of the images that is held out where there is no validation part.

    Raises:
        DataError: with file and line.
    """
    first, second = mask_pairs(path, train, val)
    there = [[pair for pair in pairs if pair[1].is_file()] for pairs in (first, second or [])]
    if not there[0]:
        raise DataError("Not one of its training images has a mask of the same name. Add them to masks.", path)
    codes, names, notes = class_codes(path, [mask for pairs in there for _, mask in pairs])
    parts = [Part([Record(image, mask=MaskFile(mask, codes)) for image, mask in pairs]) for pairs in there]
    missing = [image for image, mask in (*first, *(second or [])) if not mask.is_file()]
    if missing:
        notes.append(f"{len(missing)} images have no mask and are left out, such as {missing[0]}.")
    parts[0].notes += notes
    if second is not None:
        return parts[0], parts[1], names
    kept, held = hold_out(parts[0].records, share, seed)
    note = f"{path} has no validation part, so {len(held)} training images are held out."
    return Part(kept, [*parts[0].notes, note]), Part(held), names


def stray_masks(pairs: Sequence[tuple[Path, Path]]) -> Iterator[Path]:
    """Masks beside the used ones that belong to no image."""
    used = {mask for _, mask in pairs}
    for folder in sorted({mask.parent for mask in used}):
        if folder.is_dir():
            yield from (p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES and p not in used)
