"""The far layer: a large document from so far away that cards are dots, drawn in a few batched calls.

1000 nodes painted one by one take 40 ms a frame; as rectangles and lines grouped by colour they take 3 ms. The items
stay in the scene without content, so that clicking and the rubber band work as ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QGraphicsItem

from designer.ui.canvas.items import NodeItem
from designer.ui.canvas.look import Look
from designer.ui.canvas.wires import WireItem

MANY = 150
"""Documents of more nodes are drawn by the far layer when they are small on the screen."""
FAR = 0.42
"""Scale below which they are."""
_FILL = 0.6
"""Share of the category's colour in a block."""


class FarLayer:
    """Rectangles and lines by colour, kept up to date one item at a time."""

    def __init__(self) -> None:
        self._stale: set[QGraphicsItem] = set()
        self._rects: dict[int, dict[str, QRectF]] = {}
        self._lines: dict[int, dict[str, list[QLineF]]] = {}
        self._colour: dict[tuple[bool, str], int] = {}

    def touch(self, item: QGraphicsItem) -> None:
        """The item has moved or changed its colour."""
        self._stale.add(item)

    def touch_all(self, items: Iterable[QGraphicsItem]) -> None:
        self._stale.update(items)

    def drop(self, item: NodeItem | WireItem) -> None:
        """The item is gone."""
        self._stale.discard(item)
        if isinstance(item, NodeItem):
            self._forget(True, item.id)
        else:
            self._forget(False, item.wire_id)

    def clear(self) -> None:
        for table in (self._stale, self._rects, self._lines, self._colour):
            table.clear()

    def draw(self, painter: QPainter, look: Look, wires: QColor | None = None) -> None:
        """Draws everything, wires first.

        Args:
            painter: in scene coordinates, at any scale.
            look: the theme's colours.
            wires: one colour for all of them, for a map in which a block is a pixel or two and keeps at least that.
        """
        for item in self._stale:
            if isinstance(item, NodeItem):
                self._put_node(item, look)
            elif isinstance(item, WireItem):
                self._put_wire(item, look)
        self._stale.clear()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for rgb, lines in self._lines.items():
            painter.setPen(look.pen(wires or QColor.fromRgb(rgb), 0))  # width 0 is one pixel at any scale
            painter.drawLines([line for wire in lines.values() for line in wire])
        for rgb, rects in self._rects.items():
            colour = QColor.fromRgb(rgb)
            painter.setPen(look.pen(colour, 0) if wires else Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawRects(list(rects.values()))

    def _put_node(self, item: NodeItem, look: Look) -> None:
        own = look.blend(item.stripe(), look.canvas, _FILL) if item.heat is None else look.heat(item.heat)
        colour = look.severity(item.severity) or own
        rgb = (look.accent if item.isSelected() else colour).rgb()
        self._forget(True, item.id)
        if item.is_folded:
            return
        self._colour[True, item.id] = rgb
        self._rects.setdefault(rgb, {})[item.id] = item.scene_card()

    def _put_wire(self, item: WireItem, look: Look) -> None:
        colour = look.danger if item.reason else look.kind(item.output_port.kind)
        rgb = (look.accent if item.isSelected() else colour).rgb()
        self._forget(False, item.wire_id)
        if not item.isVisible():
            return
        self._colour[False, item.wire_id] = rgb
        stops = [item.output_port.centre(), *(p.pos() for p in item.point_items), item.input_port.centre()]
        lines = [QLineF(a, b) for a, b in pairwise(stops)]
        self._lines.setdefault(rgb, {})[item.wire_id] = lines

    def _forget(self, is_node: bool, key: str) -> None:
        old = self._colour.pop((is_node, key), None)
        if old is not None:
            table = self._rects if is_node else self._lines
            del table[old][key]
