"""NodeGraphQt's viewer with our gestures: pan, zoom, rubber band, wiring, slicing, dropping. It edits nothing itself.

Every gesture ends in a signal, NodeGraphQt's own where it has one; `CanvasGraph` turns them into edits of the document.
"""

from __future__ import annotations

import math
from typing import Any

from NodeGraphQt.widgets.viewer import NodeViewer
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QNativeGestureEvent, QPainter, QResizeEvent, QTransform, QWheelEvent
from PySide6.QtWidgets import QGraphicsItem, QGraphicsView, QToolTip

from designer.ui.canvas import lod
from designer.ui.canvas.dragging import Wiring
from designer.ui.canvas.items import CanvasPort, NodeItem, guarded_draw
from designer.ui.canvas.look import Band, Look
from designer.ui.canvas.wires import WireItem
from designer.ui.palette import MIME

SMALLEST, LARGEST = 0.08, 2.5
GRID = 24
_FINEST = 18
"""The dots of the grid are never nearer than this many pixels."""
_WORLD = QRectF(-500_000, -500_000, 1_000_000, 1_000_000)
_STILL_MS = 120
"""A zoom has ended when no step has come for so long."""
_Mod = Qt.KeyboardModifier
_NoContents = QGraphicsItem.GraphicsItemFlag.ItemHasNoContents


class CanvasViewer(NodeViewer):
    """Signals besides NodeGraphQt's `moved_nodes`, `connection_changed`, `connection_sliced`, `data_dropped` and
    `node_double_clicked`:

    wiring_started(port): a wire is being dragged from this port.
    wiring_over(port, over): it is over another port now, or over none.
    wiring_ended(): it was dropped or given up.
    wire_on_node(port, node item, wire item or None): it was dropped on a node, beside its ports.
    wire_on_canvas(port, QPointF): it was dropped on empty canvas.
    canvas_double_clicked(QPointF): empty canvas was double-clicked, or Tab was pressed over it.
    zoom_changed(float): pixels that a scene unit takes.
    band_changed(): texts are drawn in other sizes from now on.
    """

    wiring_started = Signal(CanvasPort)
    wiring_over = Signal(CanvasPort, object)
    wiring_ended = Signal()
    wire_on_node = Signal(CanvasPort, NodeItem, object)
    wire_on_canvas = Signal(CanvasPort, QPointF)
    canvas_double_clicked = Signal(QPointF)
    zoom_changed = Signal(float)
    band_changed = Signal()

    GRAB = 11
    """Pixels around a port from which it can be grabbed."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.band: Band = look.bands[0]
        """Sizes of the texts at the present zoom."""
        self.far = lod.FarLayer()
        self._is_far, self._count = False, 0
        self.is_rough = False
        """Whether a large document is being zoomed: wires are then drawn without smoothing, and without shapes."""
        self.labelled: list[WireItem] = []
        """Wires painted in this frame that have a label."""
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
        self.setAccessibleName("Canvas")
        self._cursor_text.setVisible(False)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(_STILL_MS)
        self._still.timeout.connect(self._on_still)
        self._wiring = Wiring(self)
        self._pan_from: QPoint | None = None
        self._space = False
        self._starts: dict[NodeItem, QPointF] = {}
        self._aimed: CanvasPort | None = None
        self.set_look(look)

    # -- items ---------------------------------------------------------------------------------------------------------

    def add_item(self, item: NodeItem | WireItem) -> None:
        if self._is_far:
            item.setFlag(_NoContents, True)
        self.scene().addItem(item)

    def remove_item(self, item: NodeItem | WireItem) -> None:
        """Takes an item out, with every hold that a gesture has on it."""
        self._wiring.forget(item)
        self._starts.pop(item, None)
        if self._aimed is not None and self._aimed.node is item:
            self._aimed = None
        self.far.drop(item)
        item.delete()
        self._repaint_far()

    def touched(self, item: QGraphicsItem) -> None:
        """An item has moved or looks different."""
        self.far.touch(item)
        self._repaint_far()

    def _repaint_far(self) -> None:
        # Items without content ask for no repaint.
        if self._is_far:
            self.viewport().update()

    def count_changed(self, count: int) -> None:
        """How many nodes there are decides how they are drawn from afar."""
        self._count = count
        self._choose_layer()

    def _choose_layer(self) -> None:
        far = self._count > lod.MANY and self.zoom < lod.FAR
        if far != self._is_far:
            self._is_far = far
            for item in self.scene().items():
                if isinstance(item, (NodeItem, WireItem)):
                    item.setFlag(_NoContents, far)
            self.viewport().update()

    def _choose_band(self) -> None:
        band = self.look.band(self.zoom)
        if band is not self.band:
            self.band = band
            self.band_changed.emit()

    def set_look(self, look: Look) -> None:
        self.look, self.band = look, look.band(self.zoom)
        self.scene().setBackgroundBrush(look.canvas)
        self.viewport().update()

    # -- where we look -------------------------------------------------------------------------------------------------

    @property
    def zoom(self) -> float:
        return self.transform().m11()

    @property
    def middle(self) -> QPointF:
        """The scene point in the middle of what is seen."""
        return self._scene_range.center()

    def _update_scene(self) -> None:
        """Shows `_scene_range`, by scrolling: Qt then moves the pixels and paints only the strip that has come in.

        NodeGraphQt sets a new scene rectangle each time, which paints everything, and adds two pixels at every call.
        """
        area = self._scene_range
        scale = self.viewport().width() / max(area.width(), 1e-6)
        self.setSceneRect(_WORLD)
        if not math.isclose(scale, self.zoom, rel_tol=1e-9):
            self.setTransform(QTransform.fromScale(scale, scale))
            self._choose_layer()
            self._choose_band()
            self.zoom_changed.emit(scale)
        self.horizontalScrollBar().setValue(round(area.left() * scale))
        self.verticalScrollBar().setValue(round(area.top() * scale))

    def look_at(self, centre: QPointF, scale: float) -> None:
        """Puts a scene point in the middle at a scale."""
        scale = min(max(scale, SMALLEST), LARGEST)
        width, height = self.viewport().width() / scale, self.viewport().height() / scale
        self._scene_range = QRectF(centre.x() - width / 2, centre.y() - height / 2, width, height)
        self._update_scene()

    def show_rect(self, rect: QRectF, largest: float = 1.0) -> None:
        """Shows a rectangle whole, never enlarged beyond `largest`."""
        view, margin = self.viewport(), 16
        across = (view.width() - 2 * margin) / max(rect.width(), 1)
        down = (view.height() - 2 * margin) / max(rect.height(), 1)
        self.look_at(rect.center(), min(across, down, largest))

    def resizeEvent(self, event: QResizeEvent) -> None:
        centre, scale = self.middle, self.zoom
        QGraphicsView.resizeEvent(self, event)
        if event.oldSize().isValid():
            self.look_at(centre, scale)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel zooms around the pointer; two fingers on a touchpad pan."""
        fingers = event.pixelDelta()
        if not fingers.isNull() and not event.modifiers() & _Mod.ControlModifier:
            self.pan_by(-QPointF(fingers))
        else:
            delta = event.angleDelta().y() or event.angleDelta().x()
            self.zoom_by(1.0015**delta, event.position().toPoint())
        event.accept()

    def zoom_by(self, factor: float, at: QPoint) -> None:
        """Zooms with the scene point under `at` held still."""
        if self._count > lod.MANY:
            self.is_rough = True
            self._still.start()
        scale = min(max(self.zoom * factor, SMALLEST), LARGEST)
        held = self.mapToScene(at)
        middle = QPointF(self.viewport().width() / 2, self.viewport().height() / 2)
        self.look_at(held - (QPointF(at) - middle) / scale, scale)

    def _on_still(self) -> None:
        self.is_rough = False
        self.viewport().update()

    def pan_by(self, pixels: QPointF) -> None:
        self._scene_range.translate(pixels / self.zoom)
        self._update_scene()

    # -- mouse ---------------------------------------------------------------------------------------------------------

    @property
    def is_dragging(self) -> bool:
        """Whether nodes or a wire are being dragged."""
        return bool(self._starts) or self._wiring.start is not None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        # Keys are asked of each event: NodeGraphQt remembers them, and misses a key let go in another window.
        at, keys = event.position().toPoint(), event.modifiers()
        left = event.button() == Qt.MouseButton.LeftButton
        if left and keys & _Mod.AltModifier and keys & _Mod.ShiftModifier:
            self._wiring.start_slice(self.mapToScene(at))
        elif event.button() == Qt.MouseButton.MiddleButton or (left and (self._space or keys & _Mod.AltModifier)):
            self._pan_from = at
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        elif left and (port := self.port_at(at)) is not None:
            self._wiring.begin(port, self.mapToScene(at))
        elif left:
            QGraphicsView.mousePressEvent(self, _extending(event))
            self._starts = {n: n.pos() for n in self.scene().selectedItems() if isinstance(n, NodeItem)}
        # The right button waits for the context menu.

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self._pan_from is not None:
            self.pan_by(QPointF(self._pan_from - at))
            self._pan_from = at
        elif self._wiring.is_active:
            self._wiring.move(self.mapToScene(at), self.port_at(at))
        else:
            QGraphicsView.mouseMoveEvent(self, _extending(event))
            if event.buttons() == Qt.MouseButton.NoButton:
                self._aim(self.port_at(at))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self._pan_from is not None:
            self._pan_from = None
            self._show_cursor()
        elif self._wiring.is_active:
            self._wiring.drop(self.mapToScene(at), self.port_at(at), self.item_at(at))
        else:
            QGraphicsView.mouseReleaseEvent(self, _extending(event))
            starts, self._starts = self._starts, {}
            moved = {item: (start.x(), start.y()) for item, start in starts.items() if item.pos() != start}
            if moved:
                self.moved_nodes.emit(moved)

    def cancel(self) -> None:
        """Gives up the gesture that is going on: nodes go back, a wire is not made."""
        self._wiring.cancel()
        starts, self._starts = self._starts, {}
        for item, start in starts.items():
            item.setPos(start)
        if (grabber := self.scene().mouseGrabberItem()) is not None:
            grabber.ungrabMouse()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        item = self.item_at(at)
        if event.button() != Qt.MouseButton.LeftButton or self.port_at(at) is not None:
            return
        if isinstance(item, NodeItem):
            self.node_double_clicked.emit(item.id)
        elif item is None:
            self.canvas_double_clicked.emit(self.mapToScene(at))

    def contextMenuEvent(self, event: Any) -> None:
        event.ignore()  # the widget around has the menu

    # NodeGraphQt's scene calls these three; our gestures are handled above.
    def sceneMousePressEvent(self, event: Any) -> None:
        """Nothing."""

    sceneMouseMoveEvent = sceneMouseReleaseEvent = sceneMousePressEvent

    def _aim(self, port: CanvasPort | None) -> None:
        """The pointer is over a port: it can be pulled from."""
        if port is not self._aimed:
            self._aimed = port
            self._show_cursor()

    def _show_cursor(self) -> None:
        if self._space:
            self.viewport().setCursor(Qt.CursorShape.OpenHandCursor)
        elif self._aimed is not None:
            self.viewport().setCursor(Qt.CursorShape.CrossCursor)
        else:
            self.viewport().unsetCursor()

    def viewportEvent(self, event: QEvent) -> bool:
        """Tooltips are made when they are asked for; a pinch zooms."""
        if event.type() == QEvent.Type.ToolTip:
            at = event.pos()  # type: ignore[attr-defined]
            QToolTip.showText(event.globalPos(), self.tip_at(at), self.viewport())  # type: ignore[attr-defined]
            return True
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.zoom_by(1 + event.value(), event.position().toPoint())
            return True
        return super().viewportEvent(event)

    # -- keys ----------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space = True
            self._show_cursor()
        elif event.key() == Qt.Key.Key_Escape and (self.is_dragging or self._wiring.is_active):
            self.cancel()
        else:
            event.ignore()  # the widget around has the other keys

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self._space = False
            self._show_cursor()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab over the canvas opens the search instead of moving the focus."""
        at = self.viewport().mapFromGlobal(self.cursor().pos())
        if forward and self.viewport().rect().contains(at) and self.hasFocus():
            self.canvas_double_clicked.emit(self.mapToScene(at))
            return True
        return super().focusNextPrevChild(forward)

    def focusInEvent(self, event: Any) -> None:
        QGraphicsView.focusInEvent(self, event)  # NodeGraphQt fills a hidden menu bar here, which would bind keys

    def focusOutEvent(self, event: Any) -> None:
        self._space = False
        self._show_cursor()
        QGraphicsView.focusOutEvent(self, event)

    # -- what is where -------------------------------------------------------------------------------------------------

    def item_at(self, at: QPoint) -> NodeItem | WireItem | None:
        """The node under a viewport point, else the wire."""
        found = [i for i in self.items(at) if isinstance(i, (NodeItem, WireItem))]
        return next((i for i in found if isinstance(i, NodeItem)), found[0] if found else None)

    def port_at(self, at: QPoint) -> CanvasPort | None:
        """The nearest port within reach of a viewport point; none from so far away that they are not drawn."""
        if self._is_far:
            return None
        # Never so far that a small card is all port.
        reach = min(self.GRAB / self.zoom, 18.0)
        point = self.mapToScene(at)
        area = QRectF(point.x() - reach, point.y() - reach, 2 * reach, 2 * reach)
        near = (i.port_near(point, reach) for i in self.scene().items(area) if isinstance(i, NodeItem))
        return min((n for n in near if n is not None), key=lambda n: n[0], default=(0, None))[1]

    def tip_at(self, at: QPoint) -> str:
        """What the thing under a viewport point tells about itself."""
        port, item = self.port_at(at), self.item_at(at)
        if port is not None:
            return port.tip()
        return item.tip() if item is not None else ""

    # -- dropping from the palette -------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: Any) -> None:
        if event.mimeData().hasFormat(MIME):
            event.acceptProposedAction()
        else:
            event.ignore()

    dragMoveEvent = dragEnterEvent

    def dropEvent(self, event: Any) -> None:
        if event.mimeData().hasFormat(MIME):
            event.acceptProposedAction()
            self.data_dropped.emit(event.mimeData(), self.mapToScene(event.position().toPoint()).toPoint())

    # -- background and foreground -------------------------------------------------------------------------------------

    @guarded_draw
    def drawBackground(self, painter: QPainter, rect: QRectF) -> None:
        """The dot grid: one tile repeated, which is a hundred times faster than thousands of points."""
        self.labelled.clear()
        step = float(GRID)
        while step * self.zoom < _FINEST:
            step *= 2
        pixels = round(step * self.zoom)
        corner = self.mapFromScene(QPointF(0, 0))
        painter.save()
        painter.resetTransform()
        place = QPointF(-corner.x() % pixels, -corner.y() % pixels)
        painter.drawTiledPixmap(QRectF(self.viewport().rect()), self.look.dots(pixels), place)
        painter.restore()

    @guarded_draw
    def drawForeground(self, painter: QPainter, rect: QRectF) -> None:
        """The far layer in place of the items; from near, the shapes on the wires, over every wire that crosses."""
        if self._is_far:
            self.far.draw(painter, self.look)
        elif not self.is_rough:
            for wire in self.labelled:
                wire.draw_label(painter, self.look)


def _extending(event: QMouseEvent) -> QMouseEvent:
    """Shift adds to the selection, as Qt lets Ctrl do."""
    if not event.modifiers() & _Mod.ShiftModifier:
        return event
    keys = event.modifiers() | _Mod.ControlModifier
    place, window, screen = event.position(), event.scenePosition(), event.globalPosition()
    return QMouseEvent(
        event.type(), place, window, screen, event.button(), event.buttons(), keys, event.pointingDevice()
    )
