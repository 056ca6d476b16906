"""Objects that are smaller than the finest cells of a detection head."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem

CELLS = 2.0
"""An object should cover this many cells; below, few cells are inside it and none is sure of it."""
SHARE = 0.1
"""Share of small objects from which it is worth saying."""
FILES = 200
"""Label files that are looked at, spread evenly."""


def _find(design: Design) -> Iterator[Problem]:
    settings = design.data.data
    if settings.kind != "yolo" or not settings.path or design.image_size is None:
        return
    sides = _relative_sides(settings.path)
    for node, spec, result in design.nodes():
        strides = result.derived.get("strides")
        if spec.task not in ("detect", "segment") or not strides or not sides:
            continue
        limit = CELLS * min(strides)
        # A letterbox keeps the longer side, so a share of it is a share of the model's larger side.
        small = sum(side * max(design.image_size) < limit for side in sides) / len(sides)
        if small >= SHARE:
            text = (
                f"{node.title}: {small:.0%} of the objects are smaller than {limit:.0f} px, two cells of its finest "
                f"level (stride {min(strides)})."
            )
            yield Problem("advice", text, node.id, fixes=tuple(_larger_image(design)))


def _larger_image(design: Design) -> Iterator[Fix]:
    for node, spec, _ in design.nodes():
        if spec.role == "input" and design.image_size is not None:
            height, width = (2 * side for side in design.image_size)
            edits = [
                {"op": "set_param", "node": node.id, "name": name, "value": value}
                for name, value in (("height", height), ("width", width))
            ]
            yield Fix(f"Double the image to {height} x {width}", tuple(edits))


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


RULE = Rule(
    "small_boxes",
    "Objects smaller than the head's cells",
    "So few cells see such an object that it is mostly missed. Train on larger images, or give the head a finer level.",
    _find,
)
