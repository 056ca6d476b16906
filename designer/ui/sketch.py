"""A small picture of a model: its nodes as blocks in their categories' colours, with the wires between them."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from designer.graph.templates import Sketch
from designer.ui import theme

_WIDEST, _FLATTEST = 15.0, 0.55
"""Pixels of a block, and its height as a share of its width."""
_GAP = 1.5
"""Widths of a block from one column to the next, at least."""


class SketchPicture(QWidget):
    """Draws a sketch as large as it fits. It is decoration: what it shows is said in words beside it."""

    def __init__(self, sketch: Sketch, height: int) -> None:
        super().__init__()
        self._sketch = sketch
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        columns = len({x for x, _, _ in self._sketch.nodes})
        rows = len({y for _, y, _ in self._sketch.nodes})
        wide = min(_WIDEST, self.width() / (_GAP * max(columns - 1, 1) + 1))
        high = max(3.0, min(wide * _FLATTEST, self.height() / (_GAP * max(rows - 1, 1) + 1)))
        room = QRectF(self.rect()).adjusted(wide / 2, high / 2 + 1, -wide / 2, -high / 2 - 1)
        at = [QPointF(room.x() + x * room.width(), room.y() + y * room.height()) for x, y, _ in self._sketch.nodes]
        shades = theme.manager.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(shades.color("wire"), 0.8))
        for source, target in self._sketch.wires:
            painter.drawPath(_curve(at[source], at[target]))
        painter.setPen(Qt.PenStyle.NoPen)
        for point, (_, _, category) in zip(at, self._sketch.nodes, strict=True):
            painter.setBrush(QColor(shades.category(category)))
            painter.drawRoundedRect(QRectF(point.x() - wide / 2, point.y() - high / 2, wide, high), 1.6, 1.6)


def _curve(start: QPointF, end: QPointF) -> QPainterPath:
    reach = (end.x() - start.x()) / 2
    path = QPainterPath(start)
    path.cubicTo(start.x() + reach, start.y(), end.x() - reach, end.y(), end.x(), end.y())
    return path
