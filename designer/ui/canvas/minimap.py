"""The minimap: the whole document small in a corner, with what is seen now as a frame that can be dragged."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QWidget

from designer.ui.canvas.lod import MANY
from designer.ui.canvas.mirror import Mirror

SIZE = QSize(188, 116)
"""The largest; a flat document gets a flat map."""
_LEAST = 44
_PAD = 8.0
_ROOM = 3
"""Heights of the map that a canvas has at least: in a lower one the map would lie over the nodes."""
_REDRAW_MS = 80
"""Edits are drawn so long after the first of them; a drag is no reason to draw a thousand nodes at each step."""


class Minimap(QWidget):
    """Shows itself only while some of the document is out of sight.

    Signals:
        resized(): the document has become flatter or higher, and the map with it.

    Attributes:
        wanted: whether the user wants it at all.
    """

    resized = Signal()

    def __init__(self, parent: QWidget, mirror: Mirror) -> None:
        super().__init__(parent)
        self._mirror, self._viewer = mirror, mirror.viewer
        self.wanted = True
        self.setFixedSize(SIZE)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Minimap")
        self.setToolTip("Minimap: click or drag to go there, M hides it")
        self._picture: QPixmap | None = None
        self._area = QRectF()
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._refresh)
        self._viewer.view_changed.connect(self._on_view)
        self._viewer.panning_changed.connect(self._on_panning)
        self._panned = False
        self.hide()

    def _on_panning(self, on: bool) -> None:
        """Gives way while a large document is dragged along: what lies under a widget cannot be moved, only redrawn."""
        self._panned = on and len(self._mirror.nodes) > MANY
        self._on_view()

    def document_changed(self) -> None:
        """Something has moved, come, gone or changed its colour."""
        if not self._redraw.isActive():
            self._redraw.start()

    def toggle(self) -> None:
        """Shows the minimap, or hides it until it is asked for."""
        self.wanted = not self.wanted
        self._refresh()

    def _refresh(self) -> None:
        self._picture = None
        self._area = self._mirror.area()
        wide = SIZE.width() - 2 * _PAD
        high = round(wide * self._area.height() / max(self._area.width(), 1.0) + 2 * _PAD)
        self.setFixedSize(SIZE.width(), min(max(high, _LEAST), SIZE.height()))
        self.resized.emit()
        self._on_view()

    def _on_view(self) -> None:
        needed = (
            self.wanted
            and not self._panned
            and not self._area.isEmpty()
            and not self._viewer.seen().contains(self._area)
            and self._viewer.height() >= _ROOM * self.height()
        )
        if needed == self.isHidden():
            self.setVisible(needed)
        self.update()

    def _scale(self) -> float:
        across = (self.width() - 2 * _PAD) / max(self._area.width(), 1.0)
        return float(min(across, (self.height() - 2 * _PAD) / max(self._area.height(), 1.0)))

    def to_map(self, scene: QPointF) -> QPointF:
        """The map's point for a point of the scene."""
        middle = QPointF(self.width(), self.height()) / 2
        return middle + (scene - self._area.center()) * self._scale()

    def to_scene(self, at: QPointF) -> QPointF:
        """The scene's point for a point of the map."""
        middle = QPointF(self.width(), self.height()) / 2
        return self._area.center() + (at - middle) / self._scale()

    def _rect(self, scene: QRectF) -> QRectF:
        return QRectF(self.to_map(scene.topLeft()), self.to_map(scene.bottomRight()))

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._picture is None:
            self._picture = self._draw()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)
        look = self._mirror.look
        painter.setPen(look.pen(look.accent, 1.4))
        painter.setBrush(look.halo)
        inside = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        painter.drawRoundedRect(self._rect(self._viewer.seen()).intersected(inside), 2, 2)

    def _draw(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        look = self._mirror.look
        picture.fill(look.canvas)
        painter = QPainter(picture)
        painter.setPen(look.pen(look.edge, 1))
        painter.setBrush(look.card)
        painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.save()
        painter.translate(self.to_map(QPointF(0, 0)))
        painter.scale(self._scale(), self._scale())
        self._viewer.far.draw(painter, look, wires=look.faint)
        painter.restore()
        painter.setPen(Qt.PenStyle.NoPen)
        for frame in (f for f in self._mirror.frames.values() if f.is_folded):
            painter.setBrush(frame.colour(look))
            painter.drawRect(self._rect(frame.scene_box()))
        painter.end()
        return picture

    # -- mouse ---------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._viewer.look_at(self.to_scene(event.position()), self._viewer.zoom)
