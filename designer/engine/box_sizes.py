"""How large the objects of a data set are: from its last summary, or a few hundred of its label files. No torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import platformdirs

from designer.graph.training import DataSettings

FILES = 200
"""Label files that are looked at, spread evenly."""
_FIGURES = re.compile(r"<(width|height|xmin|ymin|xmax|ymax)>\s*([0-9.]+)\s*<")
LARGEST = 2**24
"""Bytes of a COCO file up to which it is read here: a fifth of a second."""


def small_share(data: DataSettings, image_size: tuple[int, int] | None, pixels: float) -> float:
    """Share 0..1 of objects whose shorter side is below `pixels` of the model's input; 0 where that is not known."""
    if data.kind not in ("yolo", "coco", "voc") or not data.path or image_size is None:
        return 0.0
    known = _known(data)
    stamp = known.stat().st_mtime_ns if known.is_file() else 0
    sides = _shorter_sides(data.kind, data.path, known, stamp)
    # A letterbox keeps the longer side, so a share of it is a share of the model's larger side.
    return sum(side * max(image_size) < pixels for side in sides) / len(sides) if sides else 0.0


def remember_sides(data: DataSettings, sides: list[float]) -> None:
    """Keep what a summary found: shorter sides of boxes as shares of the image's longer side."""
    path = _known(data)
    with contextlib.suppress(OSError):  # advice alone lives on it
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sides), encoding="utf-8")


def _known(data: DataSettings) -> Path:
    name = hashlib.sha1(f"{data.kind}:{data.path}:{data.train}".encode()).hexdigest()
    return Path(platformdirs.user_cache_dir("netwright")) / "box_sizes" / f"{name}.json"


@lru_cache(maxsize=8)
def _shorter_sides(kind: str, path: str, known: Path, stamp: int) -> tuple[float, ...]:
    """Shorter sides of boxes; `stamp` is when `known` was written, 0 if it was not."""
    try:
        if stamp:
            return tuple(json.loads(known.read_text(encoding="utf-8")))
        folder = Path(path).expanduser()
        return tuple({"yolo": _yolo_sides, "voc": _voc_sides, "coco": _coco_sides}[kind](folder))
    except (OSError, ValueError, KeyError, TypeError):  # the trainer and the check say what is wrong with it
        return ()


def _yolo_sides(path: Path) -> list[float]:
    folder = path if path.is_dir() else path.parent
    found: list[float] = []
    for file in _some(sorted(folder.glob("**/labels/**/*.txt"))):
        with contextlib.suppress(OSError, ValueError):  # the check names it, with its line
            lines = file.read_text(encoding="utf-8").splitlines()
            found += [min(float(line.split()[3]), float(line.split()[4])) for line in lines if len(line.split()) == 5]
    return found


def _voc_sides(path: Path) -> list[float]:
    found: list[float] = []
    for file in _some(sorted(path.glob("**/Annotations/*.xml"))):
        with contextlib.suppress(OSError, ValueError):
            told: dict[str, list[float]] = defaultdict(list)
            for name, number in _FIGURES.findall(file.read_text(encoding="utf-8")):
                told[name].append(float(number))
            longer = max(*told["width"], *told["height"])
            for x1, y1, x2, y2 in zip(*(told[name] for name in ("xmin", "ymin", "xmax", "ymax")), strict=True):
                found.append(min(x2 - x1, y2 - y1) / longer)
    return found


def _coco_sides(path: Path) -> list[float]:
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    files = [file for file in files if "val" not in file.stem.lower() and file.stat().st_size <= LARGEST][:1]
    found: list[float] = []
    for file in files:
        raw = json.loads(file.read_text(encoding="utf-8"))
        longer = {image["id"]: max(image["width"], image["height"]) for image in raw["images"] if image.get("width")}
        for note in raw["annotations"]:
            if longer.get(note["image_id"]):
                found.append(min(note["bbox"][2:]) / longer[note["image_id"]])
    return found


def _some(files: list[Path]) -> list[Path]:
    return files[:: max(1, len(files) // FILES)]
