"""A folder of class folders, with or without `train` and `val` above them."""

from __future__ import annotations

from pathlib import Path

from designer.data.errors import DataError
from designer.data.records import Part, Record, hold_out, image_files


def read_folder(
    path: Path, train: str = "", val: str = "", seed: int = 0, share: float = 0.1
) -> tuple[Part, Part, list[str]]:
    """Training part, validation part and class names.

    Raises:
        DataError: when the folder is missing or has no class folders with images.
    """
    first, second = part_folders(path, train, val)
    names = class_folders(first)
    records = _records(first, names)
    if second is not None:
        if not second.is_dir():
            raise DataError("The validation folder is not there. Mend the data settings.", second)
        unknown = [n for n in class_folders(second) if n not in names]
        if unknown:
            raise DataError(f"Class {unknown[0]!r} is not among the training classes {', '.join(names)}.", second)
        return Part(records), Part(_records(second, names)), names
    kept, held = hold_out(records, share, seed)
    return Part(kept, [f"{path} has no validation folder, so {len(held)} images are held out."]), Part(held), names


def part_folders(path: Path, train: str = "", val: str = "") -> tuple[Path, Path | None]:
    """The folders of the training and of the validation part; None where there is none for the latter.

    Raises:
        DataError: when there is no such folder.
    """
    if not path.is_dir():
        raise DataError("There is no such folder. Give a folder with one sub-folder a class.", path)
    first = path / train if train else path / "train" if (path / "train").is_dir() else path
    second = path / val if val else next((path / n for n in ("val", "valid", "test") if (path / n).is_dir()), None)
    if first == path and second is not None and not val:
        second = None  # `val` is then a class of that name
    return first, second


def class_folders(folder: Path) -> list[str]:
    """The names of the classes, sorted.

    Raises:
        DataError: when the folder is not there or holds no folders.
    """
    if not folder.is_dir():
        raise DataError("The training folder is not there. Mend the data settings.", folder)
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not names:
        raise DataError("It has no sub-folders. Make one a class and put the images in.", folder)
    return names


def _records(folder: Path, names: list[str]) -> list[Record]:
    found = [Record(p, labels=(i,)) for i, name in enumerate(names) for p in image_files(folder / name)]
    if not found:
        raise DataError("Its class folders hold no images.", folder)
    return found
