"""Objects that are smaller than the finest cells of a detection head."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.engine.box_sizes import small_share
from designer.graph.problems import Fix, Problem

CELLS = 2.0
"""An object should cover this many cells; below, few cells are inside it and none is sure of it."""
SHARE = 0.1
"""Share of small objects from which it is worth saying."""


def _find(design: Design) -> Iterator[Problem]:
    for node, spec, result in design.nodes():
        strides = result.derived.get("strides")
        if spec.task not in ("detect", "segment") or not strides:
            continue
        limit = CELLS * min(strides)
        small = small_share(design.data.data, design.image_size, limit)
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


RULE = Rule(
    "small_boxes",
    "Objects smaller than the head's cells",
    "So few cells see such an object that it is mostly missed. Train on larger images, or give the head a finer level.",
    _find,
)
