"""Maps that are enlarged by no whole factor."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Problem

RESIZES = ("resize.interpolate", "resize.match_size")


def _find(design: Design) -> Iterator[Problem]:
    for node, spec, result in design.nodes():
        if node.component not in RESIZES:
            continue
        first = spec.inputs[0].name
        wire = next((w for w in design.data.wires if w.target == node.id and w.target_port == first), None)
        given = design.results[wire.source].outputs.get(wire.source_port) if wire is not None else None
        made = next(iter(result.outputs.values()))
        if given is None or given.kind != "map":
            continue
        before, after = given.shape[-2:], made.shape[-2:]
        if any((b > a and b % a) or (a > b and a % b) for b, a in zip(after, before, strict=True)):
            text = f"{node.title}: {before[0]} x {before[1]} becomes {after[0]} x {after[1]}."
            yield Problem("advice", text, node.id)


RULE = Rule(
    "uneven_resize",
    "Resizing by no whole factor",
    "Cells of the two maps then lie over each other differently at every place, so boxes and edges shift a little. "
    "Choose an image size that is a multiple of the largest stride, or a whole factor.",
    _find,
)
