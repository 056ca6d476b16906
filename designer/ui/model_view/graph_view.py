"""The view of a model file's graph: pan, zoom, choosing a node by mouse and keys. It has no items of Qt's scene."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QResizeEvent, QTransform, QWheelEvent
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView

from designer.ui import theme
from designer.ui.model_view.graph_scene import GraphScene

SMALLEST, LARGEST = 0.01, 2.5
_STEP = 1.25
_STILL_MS = 120
"""A zoom or a pan has ended when nothing has come for so long; all is then drawn smooth."""
_CLICK = 4
"""Pixels that a click may move."""


class GraphView(QGraphicsView):
    """Signals:
    chosen(int): the number of a node in the drawing, or -1.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        self._nothing = QGraphicsScene()  # Qt paints no view without a scene, and does not own it
        super().__init__(self._nothing)
        self.drawn: GraphScene | None = None
        self.current: int | None = None
        self.found: list[int] = []
        self._pressed: QPointF | None = None
        self._smooth = True
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.viewport().setCursor(Qt.CursorShape.ArrowCursor)
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(_STILL_MS)
        self._still.timeout.connect(self._on_still)
        theme.manager.changed.connect(self._on_theme)

    @property
    def zoom(self) -> float:
        return self.transform().m11()

    def show_graph(self, drawn: GraphScene, name: str) -> None:
        """Show another graph, from its beginning."""
        self.drawn, self.current, self.found = drawn, None, []
        self.setAccessibleName(f"Graph of {name}: {len(drawn.nodes)} nodes. Arrow keys go along its wires.")
        self._fit_world()
        self.show_start()
        self.viewport().update()

    def _fit_world(self) -> None:
        """Everything can be brought to the middle."""
        if self.drawn is not None:
            wide, high = self.viewport().width() / self.zoom, self.viewport().height() / self.zoom
            self.setSceneRect(self.drawn.area.adjusted(-wide, -high, wide, high))

    # -- where we look -------------------------------------------------------------------------------------------------

    def look_at(self, centre: QPointF, scale: float) -> None:
        scale = min(max(scale, SMALLEST), LARGEST)
        self.setTransform(QTransform.fromScale(scale, scale))
        self._fit_world()
        self.centerOn(centre)

    def show_start(self) -> None:
        """The first rows at a scale at which they can be read."""
        if self.drawn is not None and self.drawn.nodes:
            area = self.drawn.area
            whole = min(self.viewport().width() / (area.width() + 64), self.viewport().height() / (area.height() + 64))
            if whole > 0.8:
                self.look_at(area.center(), min(whole, 1.0))
            else:
                first = self.drawn.rects[0]
                self.look_at(QPointF(first.center().x(), first.top() + self.viewport().height() / 2 - 32), 1.0)

    def fit(self) -> None:
        """Show all of it."""
        if self.drawn is not None:
            area = self.drawn.area.adjusted(-32, -32, 32, 32)
            scale = min(self.viewport().width() / area.width(), self.viewport().height() / area.height(), 1.0)
            self.look_at(area.center(), scale)

    def zoom_100(self) -> None:
        self.look_at(self.mapToScene(self.viewport().rect().center()), 1.0)

    def zoom_by(self, factor: float, at: QPointF) -> None:
        """Zoom with the point under `at` (pixels) held still."""
        self._move_roughly()
        held = self.mapToScene(at.toPoint())
        scale = min(max(self.zoom * factor, SMALLEST), LARGEST)
        middle = QPointF(self.viewport().width() / 2, self.viewport().height() / 2)
        self.look_at(held - (at - middle) / scale, scale)

    def choose(self, node: int | None, *, bring: bool = False) -> None:
        """Choose a node, and bring it into sight where it is not or where `bring` says so."""
        if self.drawn is None:
            return
        self.current = node
        if node is not None:
            rect = self.drawn.rects[node]
            seen = self.mapToScene(self.viewport().rect()).boundingRect()
            if bring and self.zoom < 0.6:
                self.look_at(rect.center(), 1.0)
            elif bring or not seen.contains(rect):
                self.centerOn(rect.center())
        self.viewport().update()
        self.chosen.emit(-1 if node is None else node)

    def mark(self, found: list[int]) -> None:
        """Mark what a search found."""
        self.found = found
        self.viewport().update()

    # -- events --------------------------------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel zooms around the pointer; two fingers on a touchpad pan."""
        fingers = event.pixelDelta()
        if not fingers.isNull() and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.horizontalScrollBar().setValue(self.horizontalScrollBar().value() - fingers.x())
            self.verticalScrollBar().setValue(self.verticalScrollBar().value() - fingers.y())
        else:
            self.zoom_by(1.0015 ** (event.angleDelta().y() or event.angleDelta().x()), event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed = event.position()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        self.viewport().setCursor(Qt.CursorShape.ArrowCursor)
        pressed, self._pressed = self._pressed, None
        is_click = pressed is not None and (event.position() - pressed).manhattanLength() <= _CLICK
        if is_click and self.drawn is not None and event.button() == Qt.MouseButton.LeftButton:
            self.current = self.drawn.at(self.mapToScene(event.position().toPoint()))
            self.viewport().update()
            self.chosen.emit(-1 if self.current is None else self.current)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go along the wires and along the row; plus and minus zoom."""
        key, keys, drawn = event.key(), Qt.Key, self.drawn
        middle = QPointF(self.viewport().rect().center())
        if key in (keys.Key_Plus, keys.Key_Equal, keys.Key_Minus):
            self.zoom_by(1 / _STEP if key == keys.Key_Minus else _STEP, middle)
        elif key == keys.Key_Escape:
            self.choose(None)
        elif drawn is not None and drawn.nodes and key in (keys.Key_Up, keys.Key_Down, keys.Key_Left, keys.Key_Right):
            here = self.current
            if here is None:
                there: int | None = 0
            elif key in (keys.Key_Up, keys.Key_Down):
                there = next(iter((drawn.before if key == keys.Key_Up else drawn.after).get(here, [])), None)
            else:
                there = drawn.beside(here, 1 if key == keys.Key_Right else -1)
            if there is not None:
                self.choose(there)
        else:
            super().keyPressEvent(event)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Qt moves the pixels; the strip that comes in is drawn smooth once all stands still."""
        self._move_roughly()
        super().scrollContentsBy(dx, dy)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.drawn is not None and not event.oldSize().isValid():
            self.show_start()
        else:
            self._fit_world()

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        area = QRectF(rect)
        painter.fillRect(area, theme.current().color("canvas"))
        if self.drawn is not None:
            self.drawn.draw(painter, area, self.zoom, self.current, self.found, self._smooth)

    def _move_roughly(self) -> None:
        self._smooth = False
        self._still.start()

    def _on_still(self) -> None:
        self._smooth = True
        self.viewport().update()

    def _on_theme(self, shades: theme.Theme) -> None:
        if self.drawn is not None:
            self.drawn.set_theme(shades)
        self.viewport().update()
