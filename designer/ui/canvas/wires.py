"""Wires on the canvas: a curve from an output to an input, coloured by kind, with the tensor's shape on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPainterPathStroker, QPen
from PySide6.QtWidgets import QGraphicsItem, QGraphicsPathItem

from designer.graph.model import Wire
from designer.ui.canvas import cards
from designer.ui.canvas.items import WIRE_Z, CanvasPort, Host, guarded
from designer.ui.canvas.look import Band, Look
from designer.ui.canvas.node_graph import PipeItem
from designer.ui.canvas.points import PointItem, course

_CENTRED = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextDontClip)
_PAD = 8.0
"""Room at both ends of a shape, together."""
_GRIP = 10.0
"""Width of the strip around a wire that answers the pointer."""
_THINNEST, _THICKEST = 1.4, 3.4
_STEP = 0.2
"""Widths come in steps, each for 1.7 times the memory."""


class WireItem(PipeItem):
    """One wire of the document.

    NodeGraphQt's constructor is passed over: it adds an arrow as a child item and styles for it.

    Attributes:
        label: the tensor's shape, without the batch.
        band: the range of scales that the label was placed for.
        label_at: the middle of the label in the scene; None when there is no room for it.
        points: where the document leads it through; read, never written.
        point_items: their handles, in the same order.
        thickness: width of the line, in scene units, by the memory that the tensor takes.
        reason: why what arrives does not fit; the wire is then red and dashed.
    """

    broken: bool = False

    def __init__(self, wire: Wire, source: CanvasPort, target: CanvasPort, host: Host) -> None:
        QGraphicsPathItem.__init__(self)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemIsSelectable)
        self.setAcceptHoverEvents(True)
        self.setZValue(WIRE_Z)
        self.wire_id, self.host = wire.id, host
        self._input_port, self._output_port = target, source
        self._ends = source.node, target.node
        source.add_pipe(self)
        target.add_pipe(self)
        self.label = self.reason = ""
        self.band: Band = host.look.bands[0]
        self.info: Mapping[str, Any] | None = None
        self.thickness = _THINNEST
        self.label_at: QPointF | None = None
        self.under_pointer = False
        self.points: list[tuple[float, float]] = wire.points
        self.point_items: list[PointItem] = []
        self._bounds = QRectF()
        self._strip: QPainterPath | None = None
        self.set_points(wire.points)

    # -- geometry ------------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Takes the course that its ports ask for."""
        start, end = self._output_port.centre(), self._input_port.centre()
        self.setPath(course(start, [p.pos() for p in self.point_items], end) if self.point_items else curve(start, end))
        self._strip = None
        self.place_label(None)
        self.host.touched(self)

    def set_points(self, points: list[tuple[float, float]]) -> None:
        """Is led through these points from now on."""
        for old in self.point_items:
            old.setParentItem(None)  # type: ignore[arg-type]  # Qt takes none, its stubs do not
            if (scene := old.scene()) is not None:
                scene.removeItem(old)
        self.points = points
        self.point_items = []
        self.point_items = [PointItem(self, index) for index in range(len(points))]
        self.follow()

    def draw_path(self, start_port: Any, end_port: Any = None, cursor_pos: QPointF | None = None) -> None:
        """NodeGraphQt's name for `follow`."""
        self.follow()

    def label_text(self) -> str:
        """The label as it is drawn: from afar without spaces."""
        return self.label if self.band.is_near else self.label.replace(" × ", "×")

    def label_size(self) -> tuple[float, float]:
        """Width and height of the label's box, in scene units."""
        return self.band.shape_metrics.horizontalAdvance(self.label_text()) + _PAD, self.band.shape_height

    def place_label(self, at: QPointF | None) -> None:
        """Puts the label around a scene point, or takes it away."""
        self.label_at = at
        bounds = self.path().controlPointRect().adjusted(-3, -3, 3, 3)
        if at is not None:
            width, height = self.label_size()
            bounds = bounds.united(QRectF(at.x() - width / 2, at.y() - height / 2, width, height))
        if bounds != self._bounds:
            self.prepareGeometryChange()
            self._bounds = bounds
        self.update()

    def show_result(self, info: Mapping[str, Any] | None, reason: str) -> bool:
        """Takes over the engine's answer about this wire. Returns whether the label has changed."""
        label = cards.wire_label(info)
        changed = label != self.label
        if changed or reason != self.reason:
            self.label, self.reason = label, reason
            self.update()
            self.host.touched(self)
        self.info, self.thickness = info, thickness(info)
        return changed

    def tip(self) -> str:
        shape = cards.shape_line(self._output_port.name, self.info)
        return "\n".join(([self.reason] if self.reason else []) + [shape])

    def boundingRect(self) -> QRectF:
        return self._bounds

    def shape(self) -> QPainterPath:
        if self._strip is None:
            stroker = QPainterPathStroker()
            stroker.setWidth(_GRIP)
            self._strip = stroker.createStroke(self.path())
        return self._strip

    # -- events --------------------------------------------------------------------------------------------------------

    def hoverEnterEvent(self, event: Any) -> None:
        self.under_pointer = True
        self.update()

    def hoverLeaveEvent(self, event: Any) -> None:
        self.under_pointer = False
        self.update()

    # Qt's own: a Python override is called four times an item whenever the far layer takes over.
    itemChange = QGraphicsPathItem.itemChange

    # -- drawing -------------------------------------------------------------------------------------------------------

    def pen_for(self, look: Look) -> QPen:
        """Red and dashed when it does not fit, dotted past a bypassed node, else in the kind's colour."""
        strong = self.isSelected() or self.under_pointer
        bypassed = self._ends[0].node.disabled or self._ends[1].node.disabled
        return look.wire_pen(self._output_port.kind, self.thickness, strong, bypassed, bool(self.reason))

    @guarded
    def paint(self, painter: QPainter, scale: float) -> None:
        if (frame := self.host.viewer.gathering) is not None:
            frame.wires.append(self)
            return
        painter.setPen(self.pen_for(self.host.look))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(self.path())
        if self.label_at is not None:
            self.host.viewer.labelled.append(self)

    def draw_label(self, painter: QPainter, look: Look) -> None:
        """The shape on the wire. The viewer calls it after all items, so that no wire crosses the text."""
        at = self.label_at
        if at is None or not self.label:
            return
        width, height = self.label_size()
        box = QRectF(at.x() - width / 2, at.y() - height / 2, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.canvas)
        painter.drawRoundedRect(box, height / 2, height / 2)
        painter.setFont(self.band.shape)
        painter.setPen(look.danger if self.reason else look.muted)
        painter.drawText(box, _CENTRED, self.label_text())


def thickness(info: Mapping[str, Any] | None) -> float:
    """How wide a wire is drawn: the more memory its tensor takes, from 16 KB on, the wider."""
    memory = cards.memory_of(info)
    steps = round(math.log(memory / 2**14, 1.7)) if memory else 0
    return min(max(_THINNEST + _STEP * steps, _THINNEST), _THICKEST)


def curve(start: QPointF, end: QPointF) -> QPainterPath:
    """A horizontal S from an output to an input; it swings out when the input lies to the left."""
    across = end.x() - start.x()
    reach = min(max(abs(across) * 0.5, 28.0), 160.0) if across > 0 else min(60.0 - across * 0.5, 220.0)
    path = QPainterPath(start)
    path.cubicTo(start.x() + reach, start.y(), end.x() - reach, end.y(), end.x(), end.y())
    return path
