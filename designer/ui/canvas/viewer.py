"""NodeGraphQt's viewer with our gestures: pan, zoom, rubber band, wiring, dropping. It changes nothing by itself.

Every gesture ends in a signal; the view asks the document, and draws what the document then says.
"""

from __future__ import annotations

import math
from typing import Any

from NodeGraphQt.widgets.viewer import NodeViewer
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPen, QResizeEvent, QTransform, QWheelEvent
from PySide6.QtWidgets import QGraphicsPathItem, QGraphicsView

from designer.ui.canvas.items import CanvasPort, NodeItem, WireItem, curve
from designer.ui.canvas.look import Look

MIME = "application/x-netwright-component"
SMALLEST, LARGEST = 0.08, 2.5
GRID = 24


class CanvasViewer(NodeViewer):
    """Signals:
    wire_dropped(port, port or None, wire id): a wire was dragged from a port to another one, or to nowhere; the id
        is that of the wire that was picked up, or empty.
    nodes_moved(): a drag of nodes has ended; their items are where they shall be.
    component_dropped(str, QPointF): a component was dropped from the palette.
    empty_activated(QPointF): empty canvas was double-clicked, or Tab pressed over it.
    node_opened(str): a node was double-clicked.
    zoom_changed(float): pixels a scene unit takes.
    """

    wire_dropped = Signal(object, object, str)
    nodes_moved = Signal()
    component_dropped = Signal(str, QPointF)
    empty_activated = Signal(QPointF)
    node_opened = Signal(str)
    zoom_changed = Signal(float)
    drag_started = Signal(object)
    drag_ended = Signal()

    GRAB = 12
    """Pixels around a port from which it can be grabbed."""

    def __init__(self, look: Look) -> None:
        self.look = look
        super().__init__()
        self.setDragMode(QGraphicsView.DragMode.RubberBandDrag)
        self.setRubberBandSelectionMode(Qt.ItemSelectionMode.IntersectsItemShape)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.BoundingRectViewportUpdate)
        self.setCacheMode(QGraphicsView.CacheModeFlag.CacheNone)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setFrameShape(QGraphicsView.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._cursor_text.setVisible(False)
        self._from: CanvasPort | None = None
        self._picked_up: WireItem | None = None
        self._pan_from: QPoint | None = None
        self._space = False
        self._line = QGraphicsPathItem()
        self._line.setZValue(3)
        self._line.setVisible(False)
        self.scene().addItem(self._line)
        self.set_look(look)

    @property
    def is_wiring(self) -> bool:
        """Whether a wire is being dragged."""
        return self._from is not None

    def set_look(self, look: Look) -> None:
        self.look = look
        self.scene().setBackgroundBrush(look.canvas)
        self.viewport().update()

    # -- where we look ---------------------------------------------------------------------------------------------

    @property
    def zoom(self) -> float:
        return self.transform().m11()

    def _update_scene(self) -> None:
        """Shows `_scene_range`. NodeGraphQt's own way adds two pixels at every call, so the picture creeps."""
        area = self._scene_range
        scale = self.viewport().width() / max(area.width(), 1e-6)
        self.setSceneRect(area)
        self.setTransform(QTransform.fromScale(scale, scale))
        self.zoom_changed.emit(scale)

    def look_at(self, centre: QPointF, scale: float) -> None:
        """Puts a scene point in the middle at a scale."""
        scale = min(max(scale, SMALLEST), LARGEST)
        width, height = self.viewport().width() / scale, self.viewport().height() / scale
        self._scene_range = QRectF(centre.x() - width / 2, centre.y() - height / 2, width, height)
        self._update_scene()

    def show_rect(self, rect: QRectF, largest: float = 1.0) -> None:
        """Shows a rectangle whole, never enlarged beyond `largest`."""
        view = self.viewport()
        margin = 28
        scale = min(
            (view.width() - 2 * margin) / max(rect.width(), 1), (view.height() - 2 * margin) / max(rect.height(), 1)
        )
        self.look_at(rect.center(), min(scale, largest))

    def resizeEvent(self, event: QResizeEvent) -> None:
        centre, scale = self._scene_range.center(), self.zoom
        QGraphicsView.resizeEvent(self, event)
        if event.oldSize().isValid():
            self.look_at(centre, scale)

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta().y() or event.angleDelta().x()
        self.zoom_by(1.0015**delta, event.position().toPoint())

    def zoom_by(self, factor: float, at: QPoint) -> None:
        """Zooms with the scene point under `at` held still."""
        scale = min(max(self.zoom * factor, SMALLEST), LARGEST)
        held = self.mapToScene(at)
        middle = QPointF(self.viewport().rect().center())
        self.look_at(held - (QPointF(at) - middle) / scale, scale)

    # -- mouse -----------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        left = event.button() == Qt.MouseButton.LeftButton
        if event.button() == Qt.MouseButton.MiddleButton or (left and (self._space or alt)):
            self._pan_from = event.position().toPoint()
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        if event.button() == Qt.MouseButton.RightButton:
            return  # the context menu follows
        port = self.port_at(event.position().toPoint()) if left else None
        if port is not None:
            self._start_wire(port, self.mapToScene(event.position().toPoint()))
            return
        QGraphicsView.mousePressEvent(self, event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self._pan_from is not None:
            delta = QPointF(self._pan_from - at) / self.zoom
            self._pan_from = at
            self._scene_range.translate(delta)
            self._update_scene()
        elif self._from is not None:
            self._draw_wire(self.mapToScene(at), self.port_at(at))
        else:
            QGraphicsView.mouseMoveEvent(self, event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._pan_from is not None:
            self._pan_from = None
            self.viewport().unsetCursor()
        elif self._from is not None:
            self._end_wire(self.port_at(event.position().toPoint()))
        else:
            QGraphicsView.mouseReleaseEvent(self, event)
            if event.button() == Qt.MouseButton.LeftButton:
                self.nodes_moved.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        item = self.item_at(at)
        if isinstance(item, NodeItem):
            self.node_opened.emit(item.id)
        elif item is None and self.port_at(at) is None:
            self.empty_activated.emit(self.mapToScene(at))

    def contextMenuEvent(self, event: Any) -> None:
        event.ignore()  # the view has the menu

    # NodeGraphQt's scene calls these three; our gestures are handled above.
    def sceneMousePressEvent(self, event: Any) -> None:
        pass

    def sceneMouseMoveEvent(self, event: Any) -> None:
        pass

    def sceneMouseReleaseEvent(self, event: Any) -> None:
        pass

    # -- keys ------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space = True
            self.viewport().setCursor(Qt.CursorShape.OpenHandCursor)
        elif event.key() == Qt.Key.Key_Escape and self.is_wiring:
            self._end_wire(None, cancelled=True)
        else:
            QGraphicsView.keyPressEvent(self, event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space = False
            self.viewport().unsetCursor()
        QGraphicsView.keyReleaseEvent(self, event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab over the canvas opens the search instead of moving the focus."""
        at = self.viewport().mapFromGlobal(self.cursor().pos())
        if forward and self.viewport().rect().contains(at) and self.hasFocus():
            self.empty_activated.emit(self.mapToScene(at))
            return True
        return super().focusNextPrevChild(forward)

    def focusInEvent(self, event: Any) -> None:
        QGraphicsView.focusInEvent(self, event)  # NodeGraphQt fills a hidden menu bar here, which steals Ctrl+Z

    def focusOutEvent(self, event: Any) -> None:
        self._space = False
        QGraphicsView.focusOutEvent(self, event)

    # -- what is where ---------------------------------------------------------------------------------------------

    def item_at(self, at: QPoint) -> NodeItem | WireItem | None:
        """The node under a viewport point, else the wire."""
        found = [i for i in self.items(at) if isinstance(i, (NodeItem, WireItem))]
        return next((i for i in found if isinstance(i, NodeItem)), found[0] if found else None)

    def port_at(self, at: QPoint) -> CanvasPort | None:
        """The nearest port within reach of a viewport point."""
        reach = self.GRAB / max(self.zoom, 0.4)
        point = self.mapToScene(at)
        area = QRectF(point.x() - reach, point.y() - reach, 2 * reach, 2 * reach)
        best, nearest = None, reach
        for item in self.scene().items(area):
            if isinstance(item, CanvasPort):
                gap = item.centre() - point
                distance = math.hypot(gap.x(), gap.y())
                if distance <= nearest:
                    best, nearest = item, distance
        return best

    # -- wiring ----------------------------------------------------------------------------------------------------

    def _start_wire(self, port: CanvasPort, at: QPointF) -> None:
        """A wire is dragged from an output, or back from an input; a wired input gives up its wire."""
        self._picked_up = None
        if port.is_input and port.connected_pipes:
            self._picked_up = port.connected_pipes[0]
            self._picked_up.setVisible(False)
            port = self._picked_up.output_port
        self._from = port
        self._line.setVisible(True)
        self.drag_started.emit(port)
        self._draw_wire(at, None)

    def _draw_wire(self, at: QPointF, over: CanvasPort | None) -> None:
        assert self._from is not None
        fits = over is not None and over is not self._from and over.lit is True
        end = over.centre() if over is not None and fits else at
        refused = over is not None and over is not self._from and over.lit is False
        start, stop = (end, self._from.centre()) if self._from.is_input else (self._from.centre(), end)
        self._line.setPath(curve(start, stop))
        pen = QPen(self.look.danger if refused else self.look.selected, 2.2)
        pen.setStyle(Qt.PenStyle.SolidLine if fits else Qt.PenStyle.DashLine)
        self._line.setPen(pen)

    def _end_wire(self, over: CanvasPort | None, cancelled: bool = False) -> None:
        start, picked_up = self._from, self._picked_up
        self._from = self._picked_up = None
        self._line.setVisible(False)
        if picked_up is not None:
            picked_up.setVisible(True)
        self.drag_ended.emit()
        if start is not None and not cancelled and over is not start:
            self.wire_dropped.emit(start, over, picked_up.wire_id if picked_up is not None else "")

    # -- dropping from the palette -----------------------------------------------------------------------------------

    def dragEnterEvent(self, event: Any) -> None:
        event.acceptProposedAction() if event.mimeData().hasFormat(MIME) else event.ignore()

    dragMoveEvent = dragEnterEvent

    def dropEvent(self, event: Any) -> None:
        if event.mimeData().hasFormat(MIME):
            component = bytes(event.mimeData().data(MIME).data()).decode()
            event.acceptProposedAction()
            self.component_dropped.emit(component, self.mapToScene(event.position().toPoint()))

    # -- background --------------------------------------------------------------------------------------------------

    def drawBackground(self, painter: QPainter, rect: QRectF) -> None:
        painter.fillRect(rect, self.look.canvas)
        step = GRID
        while step * self.zoom < 18:
            step *= 2
        pen = QPen(self.look.grid, 1.6)
        pen.setCosmetic(True)
        painter.setPen(pen)
        left, top = math.floor(rect.left() / step) * step, math.floor(rect.top() / step) * step
        xs = range(int(left), int(rect.right()) + step, step)
        ys = range(int(top), int(rect.bottom()) + step, step)
        painter.drawPoints([QPointF(x, y) for x in xs for y in ys])
