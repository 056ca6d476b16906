"""The readers of data sets by kind, and which kind a path holds. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from designer.data.class_maps import holds_masks, read_masks
from designer.data.coco import read_coco
from designer.data.errors import DataError
from designer.data.folder import read_folder
from designer.data.records import Part
from designer.data.voc import read_voc
from designer.data.yolo import read_yolo
from designer.graph.training import DataSettings

READERS: dict[str, Callable[[Path, str, str, int, float], tuple[Part, Part, list[str]]]] = {
    "coco": read_coco,
    "yolo": read_yolo,
    "voc": read_voc,
    "folder": read_folder,
    "masks": read_masks,
}


def read_parts(settings: DataSettings, seed: int = 0, task: str = "") -> tuple[Part, Part, list[str]]:
    """Training part, validation part and class names of data that lies in files.

    Args:
        settings: the document's data section.
        seed: of what is held out where there is no validation part.
        task: of the head; Pascal VOC has class maps beside its boxes, for `semantic`.

    Raises:
        DataError: for the built-in shapes, a missing path, and whatever the reader refuses.
    """
    kind = "masks" if task == "semantic" and settings.kind == "voc" else settings.kind
    return READERS[kind](files_of(settings), settings.train, settings.val, seed, settings.val_share)


def files_of(settings: DataSettings) -> Path:
    """The path of a data set.

    Raises:
        DataError: for the built-in shapes and when none is chosen.
    """
    if settings.kind == "shapes":
        raise DataError("The built-in shapes are drawn while training, so they have no files. Choose a data set.")
    if not settings.path:
        raise DataError("No data set is chosen yet. Choose a folder or file in the Train dock, or set data.path.")
    return Path(settings.path).expanduser()


def kind_of(path: Path) -> str:
    """Which kind of data set lies at a path.

    Raises:
        DataError: when it looks like none.
    """
    if path.suffix.lower() in (".yaml", ".yml") or (path / "data.yaml").is_file():
        return "yolo"
    if path.suffix.lower() == ".json":
        return "coco"
    if not path.is_dir():
        raise DataError("There is no such data set. Give a folder, a data.yaml or a COCO JSON file.", path)
    if any((folder / "Annotations").is_dir() for folder in (path, *(p for p in path.iterdir() if p.is_dir()))):
        return "voc"
    if next(path.glob("*.json"), None) or next(path.glob("annotations/*.json"), None):
        return "coco"
    if holds_masks(path):
        return "masks"
    if any(p.is_dir() for p in path.iterdir()):
        return "folder"
    raise DataError("It holds no data.yaml, no COCO JSON, no Annotations, no masks and no class folders.", path)
