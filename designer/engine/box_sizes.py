"""How large the objects of a YOLO data set are, read from a few hundred of its label files. Imports no torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from designer.graph.training import DataSettings

FILES = 200
"""Label files that are looked at, spread evenly."""


def small_share(data: DataSettings, image_size: tuple[int, int] | None, pixels: float) -> float:
    """Share 0..1 of objects whose shorter side is below `pixels` of the model's input; 0 where that is not known."""
    if data.kind != "yolo" or not data.path or image_size is None:
        return 0.0
    sides = _relative_sides(data.path)
    # A letterbox keeps the longer side, so a share of it is a share of the model's larger side.
    return sum(side * max(image_size) < pixels for side in sides) / len(sides) if sides else 0.0


@lru_cache(maxsize=8)
def _relative_sides(path: str) -> tuple[float, ...]:
    """The shorter side of boxes as a share of the image, from some of the label files below a data set's folder."""
    folder = Path(path).expanduser()
    folder = folder if folder.is_dir() else folder.parent
    files = sorted(folder.glob("**/labels/**/*.txt"))
    found: list[float] = []
    for file in files[:: max(1, len(files) // FILES)]:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
            found += [min(float(line.split()[3]), float(line.split()[4])) for line in lines if len(line.split()) == 5]
        except (OSError, ValueError):  # the trainer names it, with its line
            continue
    return tuple(found)
