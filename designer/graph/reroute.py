"""Points that wires are led through on the canvas: looks only, saved with the document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from designer.graph.changes import Change, WireChanged

if TYPE_CHECKING:
    from designer.graph.document import Document
    from designer.graph.model import Wire

Points = Sequence[tuple[float, float]]


def set_points(document: Document, points: Mapping[str, Points], name: str = "") -> None:
    """Leads wires through these points, as one step.

    Args:
        document: where the wires are.
        points: by wire id, from the output on; none lets the wire run straight.
        name: of the step.
    """
    changes: list[Change] = []
    for wire_id, wanted in points.items():
        old, new = document.wire(wire_id).points, [(float(x), float(y)) for x, y in wanted]
        if old != new:
            changes.append(WireChanged(wire_id, "points", old, new))
    if changes:
        document._do(name or "Lead a wire", changes)


def add_point(document: Document, wire_id: str, index: int, at: tuple[float, float]) -> None:
    """Puts a point on a wire, `index` counted from its output."""
    points = document.wire(wire_id).points
    set_points(document, {wire_id: [*points[:index], at, *points[index:]]}, "Add a point")


def move_along(document: Document, places: Mapping[str, tuple[float, float]]) -> None:
    """Moves nodes as `Document.move` does; the points of a wire whose two ends move alike go with them."""
    by = {i: (x - document.node(i).x, y - document.node(i).y) for i, (x, y) in places.items()}
    moved: dict[str, Points] = {}
    for wire in led(document, by):
        a, b = by.get(wire.source), by.get(wire.target)
        if a is not None and b is not None and math.dist(a, b) < 1e-6:
            moved[wire.id] = [(x + a[0], y + a[1]) for x, y in wire.points]
    if not moved:
        document.move(places)
        return
    one = document.node(next(iter(places))).title
    with document.edit(f"Move {one}" if len(places) == 1 else f"Move {len(places)} nodes"):
        document.move(places)
        set_points(document, moved)


def led(document: Document, nodes: Iterable[str]) -> list[Wire]:
    """The wires with points at any of these nodes."""
    ids = set(nodes)
    return [w for w in document.data.wires if w.points and (w.source in ids or w.target in ids)]
