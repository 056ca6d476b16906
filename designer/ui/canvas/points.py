"""Points that a wire is led through: handles that are dragged, and the course of the wire through them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter, QPainterPath
from PySide6.QtWidgets import QGraphicsItem

from designer.ui.canvas.items import GRID, NodeItem, guarded

if TYPE_CHECKING:
    from designer.ui.canvas.wires import WireItem

RADIUS, _GRIP = 4.0, 9.0
"""Of the dot, and of the place around it that answers the pointer; scene units."""
_ROUND = 0.36
"""How far the curve leans out at a point, as a share of the way to the next."""
_Change, _Flag = QGraphicsItem.GraphicsItemChange, QGraphicsItem.GraphicsItemFlag
_BOX = QRectF(-_GRIP, -_GRIP, 2 * _GRIP, 2 * _GRIP)


class PointItem(QGraphicsItem):
    """One point of a wire, counted from its output. A child of the wire, whose place is the scene's origin."""

    broken: bool = False

    def __init__(self, wire: WireItem, index: int) -> None:
        super().__init__(wire)
        self.wire, self.index = wire, index
        self.under_pointer = False
        self.setFlags(_Flag.ItemIsSelectable | _Flag.ItemIsMovable | _Flag.ItemSendsGeometryChanges)
        self.setAcceptHoverEvents(True)
        self.setPos(self.home)

    @property
    def home(self) -> QPointF:
        """Where the document has it."""
        return QPointF(*self.wire.points[self.index])

    def tip(self) -> str:
        """What the pointer resting on it tells: the wire's shape."""
        return self.wire.tip()

    def boundingRect(self) -> QRectF:
        return _BOX

    def shape(self) -> QPainterPath:
        path = QPainterPath()
        path.addEllipse(_BOX)
        return path

    def hoverEnterEvent(self, event: Any) -> None:
        self.under_pointer = True
        self.update()

    def hoverLeaveEvent(self, event: Any) -> None:
        self.under_pointer = False
        self.update()

    def itemChange(self, change: QGraphicsItem.GraphicsItemChange, value: Any) -> Any:
        if change == _Change.ItemPositionChange and self.wire.host.viewer.snaps_now:
            return QPointF(round(value.x() / GRID) * GRID, round(value.y() / GRID) * GRID)
        if change == _Change.ItemPositionHasChanged and self in self.wire.point_items:
            self.wire.follow()
        elif change == _Change.ItemSelectedHasChanged:
            self.update()
        return super().itemChange(change, value)

    @guarded
    def paint(self, painter: QPainter, scale: float) -> None:
        look = self.wire.host.look
        strong = self.isSelected() or self.under_pointer
        colour = look.accent if strong else self.wire.pen_for(look).color()
        painter.setPen(look.pen(look.canvas, 1.5))
        painter.setBrush(colour)
        radius = RADIUS + (1.5 if strong else 0)
        painter.drawEllipse(QPointF(0, 0), radius, radius)


def course(start: QPointF, points: Sequence[QPointF], end: QPointF) -> QPainterPath:
    """A smooth curve from an output through points to an input; level at both ports."""
    stops = [start, *points, end]
    ways = [QPointF(1, 0)]
    for before, after in zip(stops, stops[2:], strict=False):
        gap = after - before
        length = math.hypot(gap.x(), gap.y())
        ways.append(gap / length if length else QPointF(1, 0))
    ways.append(QPointF(1, 0))
    path = QPainterPath(start)
    for i, (here, there) in enumerate(pairwise(stops)):
        gap = there - here
        lean = max(math.hypot(gap.x(), gap.y()) * _ROUND, 1.0)
        path.cubicTo(here + ways[i] * lean, there - ways[i + 1] * lean, there)
    return path


def nearest_part(path: QPainterPath, at: QPointF) -> int:
    """Which of the curves that a wire consists of comes nearest to a point, counted from the output."""
    best, found = math.inf, 0
    for part in range((path.elementCount() - 1) // 3):
        start, a, b, end = (QPointF(e.x, e.y) for e in (path.elementAt(3 * part + k) for k in range(4)))
        one = QPainterPath(start)
        one.cubicTo(a, b, end)
        for step in range(17):
            gap = one.pointAtPercent(step / 16) - at
            distance = math.hypot(gap.x(), gap.y())
            if distance < best:
                best, found = distance, part
    return found


def points_between(items: Iterable[QGraphicsItem]) -> list[PointItem]:
    """The points of the wires that run from one of these nodes to another."""
    nodes = {item for item in items if isinstance(item, NodeItem)}
    wires = [w for n in nodes for port in n.ports.values() if port.is_input for w in port.connected_pipes]
    return [point for wire in wires if wire.output_port.node in nodes for point in wire.point_items]
