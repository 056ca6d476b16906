"""A frame of a zoom in a large document: what is in sight, drawn together by colour, without smoothing and small words.

Painted one by one, 36 cards with 8 ports and their wires take 18 ms, more than a frame of the screen.
"""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from designer.ui.canvas import paint
from designer.ui.canvas.items import NodeItem
from designer.ui.canvas.look import Look
from designer.ui.canvas.wires import WireItem

_WIRED, _FREE = QRectF(-4.5, -4.5, 9, 9), QRectF(-3.5, -3.5, 7, 7)
"""The square that stands for a port, about its middle."""


class RoughFrame:
    """Gathers the items that Qt would paint; `draw` paints them all."""

    def __init__(self) -> None:
        self.nodes: list[NodeItem] = []
        self.wires: list[WireItem] = []

    def draw(self, painter: QPainter, look: Look) -> None:
        """Draws what was gathered: wires, cards, ports, titles, the lines under them.

        Args:
            painter: in scene coordinates.
            look: the theme's colours and fonts.
        """
        self._draw_wires(painter, look)
        places = [(item, item.pos()) for item in self.nodes]
        self._draw_cards(painter, places, look)
        self._draw_ports(painter, places, look)
        self._draw_texts(painter, places, look)

    def _draw_wires(self, painter: QPainter, look: Look) -> None:
        pens: dict[int, tuple[QPen, list[WireItem]]] = {}
        for wire in self.wires:
            pen = wire.pen_for(look)
            pens.setdefault(id(pen), (pen, []))[1].append(wire)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen, wires in pens.values():
            painter.setPen(pen)
            for wire in wires:
                painter.drawPath(wire.path())

    @staticmethod
    def _draw_cards(painter: QPainter, places: list[tuple[NodeItem, QPointF]], look: Look) -> None:
        cards: dict[tuple[int, int], list[QRectF]] = {}
        stripes: dict[int, list[QRectF]] = {}
        for item, at in places:
            key = paint.edge_of(item, look).rgb(), paint.fill_of(item, look).rgb()
            cards.setdefault(key, []).append(item.card.translated(at))
            stripes.setdefault(item.stripe().rgb(), []).append(QRectF(at.x() + 9, at.y() + 11, 4, 24))
        for (edge, fill), boxes in cards.items():
            painter.setPen(look.pen(QColor.fromRgb(edge), 1.0))
            painter.setBrush(QColor.fromRgb(fill))
            painter.drawRects(boxes)
        painter.setPen(Qt.PenStyle.NoPen)
        for rgb, boxes in stripes.items():
            painter.setBrush(QColor.fromRgb(rgb))
            painter.drawRects(boxes)

    @staticmethod
    def _draw_ports(painter: QPainter, places: list[tuple[NodeItem, QPointF]], look: Look) -> None:
        squares: dict[tuple[str, bool], list[QRectF]] = {}
        for item, place in places:
            for port in item.ports.values():
                wired = bool(port.connected_pipes)
                square = _WIRED if wired else _FREE
                squares.setdefault((port.kind, wired), []).append(square.translated(place + port.at))
        for (kind, wired), boxes in squares.items():
            colour = look.kind(kind)
            painter.setPen(Qt.PenStyle.NoPen if wired else look.pen(colour, 1.5))
            painter.setBrush(colour if wired else look.canvas)
            painter.drawRects(boxes)

    @staticmethod
    def _draw_texts(painter: QPainter, places: list[tuple[NodeItem, QPointF]], look: Look) -> None:
        near = look.bands[0]
        painter.setFont(look.title)
        painter.setPen(look.text)
        for item, at in places:
            painter.drawText(at + paint.TITLE, paint.lines_of(item, look, near).title)
        painter.setFont(look.small)
        painter.setPen(look.muted)
        for item, at in places:
            painter.drawText(at + paint.SUBTITLE, paint.lines_of(item, look, near).subtitle)
