"""Finds room for each wire's shape: on the wire, near its middle, else under or over it. No Qt widgets."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainterPath

from designer.ui.canvas.items import HEADER, PORT, NodeItem
from designer.ui.canvas.look import Band
from designer.ui.canvas.wires import WireItem

_CELL = 256.0
_TRIED = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82)
"""Places along the curve, as its parameter, best first."""


class _Taken:
    """Rectangles, found by the cells of a coarse grid that they touch."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[QRectF]] = {}

    def add(self, rect: QRectF) -> None:
        for cell in _cells(rect):
            self._cells.setdefault(cell, []).append(rect)

    def is_free(self, rect: QRectF) -> bool:
        return not any(other.intersects(rect) for cell in _cells(rect) for other in self._cells.get(cell, ()))


def _cells(rect: QRectF) -> list[tuple[int, int]]:
    columns = range(int(rect.left() // _CELL), int(rect.right() // _CELL) + 1)
    rows = range(int(rect.top() // _CELL), int(rect.bottom() // _CELL) + 1)
    return [(x, y) for x in columns for y in rows]


def place_labels(nodes: Iterable[NodeItem], wires: Iterable[WireItem], band: Band, bars: Iterable[QRectF] = ()) -> None:
    """Gives every wire with a label a place for it, in the size of a range of scales, or none.

    Args:
        nodes: their cards stay free.
        wires: get the places.
        band: the range of scales.
        bars: the title bars of frames, which stay free as well.
    """
    taken = _Taken()
    for node in nodes:
        taken.add(node.scene_card().adjusted(-PORT - 2, -2, PORT + 2, 2))
    for bar in bars:
        taken.add(bar)
    for wire in wires:
        changed = wire.band is not band
        wire.band = band
        at = _place(wire, taken) if wire.label and band.shape_height else None
        if changed or at != wire.label_at:
            wire.place_label(at)


def _place(wire: WireItem, taken: _Taken) -> QPointF | None:
    width, height = wire.label_size()
    path = wire.path()
    first = 3 * _longest(path) if wire.points else 0
    corners = [path.elementAt(first + i) for i in range(4)]
    xs, ys = [c.x for c in corners], [c.y for c in corners]
    aside = HEADER / 2 + height / 2 + 3  # a shape that is wider than the gap between two cards stands under the gap
    for t, beside in [*((t, 0.0) for t in _TRIED), (0.5, aside), (0.5, -aside)]:
        x, y = _cubic(xs, t), _cubic(ys, t) + beside
        box = QRectF(x - width / 2, y - height / 2, width, height)
        if taken.is_free(box):
            taken.add(box)
            return QPointF(x, y)
    return None


def _longest(path: QPainterPath) -> int:
    """The part between two points of a wire that has the most room for a label."""
    stops = [path.elementAt(i) for i in range(0, path.elementCount(), 3)]
    lengths = [abs(b.x - a.x) + abs(b.y - a.y) for a, b in pairwise(stops)]
    return lengths.index(max(lengths))


def _cubic(c: list[float], t: float) -> float:
    """One coordinate of a cubic Bezier curve with these four control values."""
    u = 1 - t
    return u * u * u * c[0] + 3 * u * u * t * c[1] + 3 * u * t * t * c[2] + t * t * t * c[3]
