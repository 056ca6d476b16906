"""NodeGraphQt's viewer with our gestures: pan, zoom, rubber band, wiring, slicing, dropping. It edits nothing itself.

Every gesture ends in a signal, NodeGraphQt's own where it has one; `CanvasGraph` turns them into edits of the document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QNativeGestureEvent
from PySide6.QtWidgets import QGraphicsView, QToolTip

from designer.ui.canvas.dragging import Wiring, extending
from designer.ui.canvas.frames import FrameItem
from designer.ui.canvas.items import CanvasPort, NodeItem
from designer.ui.canvas.look import Look
from designer.ui.canvas.points import PointItem, points_between
from designer.ui.canvas.wires import WireItem
from designer.ui.canvas.zoomed import ZoomedView
from designer.ui.palette import MIME

_Mod = Qt.KeyboardModifier


class CanvasViewer(ZoomedView):
    """Signals besides NodeGraphQt's `moved_nodes`, `connection_changed`, `connection_sliced`, `data_dropped` and
    `node_double_clicked`:

    wiring_started(port): a wire is being dragged from this port.
    wiring_over(port, over): it is over another port now, or over none.
    wiring_ended(): it was dropped or given up.
    wire_on_node(port, node item, wire item or None): it was dropped on a node, beside its ports.
    wire_on_canvas(port, QPointF): it was dropped on empty canvas.
    node_on_wire(node item, wire item): a node without wires was dragged onto a wire.
    title_double_clicked(str): the title of a node that can be read was double-clicked.
    fold_clicked(str): the sign that folds or unfolds a frame, or a folded frame twice.
    frame_double_clicked(str): the bar of a frame, or a note.
    wire_double_clicked(wire item, QPointF): a wire was double-clicked there.
    panning_changed(bool): the canvas is being dragged along, or no longer.
    canvas_double_clicked(QPointF): empty canvas was double-clicked, or Tab was pressed over it.
    """

    wiring_started = Signal(CanvasPort)
    wiring_over = Signal(CanvasPort, object)
    wiring_ended = Signal()
    wire_on_node = Signal(CanvasPort, NodeItem, object)
    wire_on_canvas = Signal(CanvasPort, QPointF)
    node_on_wire = Signal(NodeItem, WireItem)
    title_double_clicked = Signal(str)
    fold_clicked = Signal(str)
    frame_double_clicked = Signal(str)
    wire_double_clicked = Signal(WireItem, QPointF)
    panning_changed = Signal(bool)
    canvas_double_clicked = Signal(QPointF)

    GRAB = 11
    """Pixels around a port from which it can be grabbed."""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.setDragMode(QGraphicsView.DragMode.RubberBandDrag)
        self.setRubberBandSelectionMode(Qt.ItemSelectionMode.IntersectsItemShape)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Canvas")
        self._wiring = Wiring(self)
        self._pan_from: QPoint | None = None
        self._space = False
        self._held: set[NodeItem | FrameItem | PointItem] = set()
        self._is_held = False
        self._movable: set[NodeItem | FrameItem | PointItem] = set()
        self._aimed: CanvasPort | None = None
        self._offered: WireItem | None = None
        self.snap = False
        """Whether nodes that are dragged keep to the dots of the grid."""

    # -- items ---------------------------------------------------------------------------------------------------------

    def add_item(self, item: NodeItem | WireItem | FrameItem) -> None:
        if not isinstance(item, FrameItem):
            self._drawn.add(item)
            if self._is_far:
                self._empty(item)
        if not isinstance(item, WireItem):
            self._movable.add(item)
        else:
            self._hold_points(item)
        self.scene().addItem(item)

    def _hold_points(self, wire: WireItem) -> None:
        for point in wire.point_items:
            self._movable.add(point)
            self._drawn.add(point)
            if self._is_far:
                self._empty(point)

    def lead(self, wire: WireItem, points: list[tuple[float, float]]) -> None:
        """Leads a wire through these points from now on."""
        self._forget_points(wire)
        wire.set_points(points)
        self._hold_points(wire)

    def _forget_points(self, wire: WireItem) -> None:
        for point in wire.point_items:
            for held in (self._held, self._movable, self._drawn, self._blank):
                held.discard(point)

    def remove_item(self, item: NodeItem | WireItem) -> None:
        """Takes an item out, with every hold that a gesture has on it."""
        self._wiring.forget(item)
        self.forget(item)
        if self._aimed is not None and self._aimed.node is item:
            self._aimed = None
        if self._offered is item:
            self._offered = None
        self.far.drop(item)
        item.delete()
        self._repaint_far()

    def forget_all(self) -> None:
        """All items are about to go."""
        for held in (self._held, self._movable, self._drawn, self._blank):
            held.clear()

    def forget(self, item: NodeItem | WireItem | FrameItem) -> None:
        """An item is about to go: a drag does not hold it any more."""
        for held in (self._held, self._movable, self._drawn, self._blank):
            held.discard(item)
        if isinstance(item, WireItem):
            self._forget_points(item)

    # -- mouse ---------------------------------------------------------------------------------------------------------

    @property
    def is_dragging(self) -> bool:
        """Whether nodes or a wire are being dragged."""
        return self._is_held or self._wiring.start is not None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        # Keys are asked of each event: NodeGraphQt remembers them, and misses a key let go in another window.
        at, keys = event.position().toPoint(), event.modifiers()
        if self.is_dragging or self._wiring.is_active:
            self.cancel()  # a second button, or a release that went to another window
        left = event.button() == Qt.MouseButton.LeftButton
        right = event.button() == Qt.MouseButton.RightButton
        if (left and keys & _Mod.AltModifier and keys & _Mod.ShiftModifier) or (right and keys & _Mod.ControlModifier):
            self._wiring.start_slice(self.mapToScene(at))
        elif event.button() == Qt.MouseButton.MiddleButton or (left and (self._space or keys & _Mod.AltModifier)):
            self._pan_from = at
            self.panning_changed.emit(True)
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        elif left and (port := self.port_at(at)) is not None:
            self._wiring.begin(port, self.mapToScene(at))
        elif left and (frame := self.frame_at(at)) is not None and self._is_on_sign(frame, at):
            self.fold_clicked.emit(frame.id)
        elif left:
            self._take_members(at, extend=bool(keys & (_Mod.ShiftModifier | _Mod.ControlModifier)))
            if not keys & (_Mod.ShiftModifier | _Mod.ControlModifier):
                self._take_points(at)
            QGraphicsView.mousePressEvent(self, extending(event))
            # Qt drags what has grabbed the mouse even where the press has taken it out of the selection.
            self._is_held = isinstance(self.scene().mouseGrabberItem(), (NodeItem, FrameItem, PointItem))
            chosen = self.scene().selectedItems() if self._is_held else []
            self._held = {n for n in chosen if not isinstance(n, WireItem) and getattr(n, "moves_itself", True)}
        # The right button waits for the context menu.

    def _is_on_sign(self, frame: FrameItem, at: QPoint) -> bool:
        return frame.fold_box().contains(frame.mapFromScene(self.mapToScene(at)))

    def _take_members(self, at: QPoint, *, extend: bool) -> None:
        """A press on a frame's bar takes its nodes along."""
        frame = self.frame_at(at)
        if frame is None:
            return
        if not extend and not frame.isSelected():
            self.scene().clearSelection()
        for item in frame.members:
            item.setSelected(True)
        if not extend:  # else Qt selects it, or takes it out
            frame.setSelected(True)

    def _take_points(self, at: QPoint) -> None:
        """A press on selected nodes takes the points of the wires between them along."""
        under = self.frame_at(at) or self.item_at(at)
        if under is None or not under.isSelected():
            return
        for point in points_between(self.scene().selectedItems()):
            point.setSelected(True)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self._pan_from is not None:
            self.pan_by(QPointF(self._pan_from - at))
            self._pan_from = at
        elif self._wiring.is_active:
            self._wiring.move(self.mapToScene(at), self.port_at(at))
        else:
            self.snaps_now = self.snap and self._is_held
            QGraphicsView.mouseMoveEvent(self, extending(event))
            self.snaps_now = False
            if event.buttons() == Qt.MouseButton.NoButton:
                self._aim(self.port_at(at))
            elif self._is_held:
                self._offer(self._wire_under_loose())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        if self._pan_from is not None:
            self._pan_from = None
            self.panning_changed.emit(False)
            self._show_cursor()
        elif self._wiring.is_active:
            self._wiring.drop(self.mapToScene(at), self.port_at(at), self.item_at(at))
        else:
            QGraphicsView.mouseReleaseEvent(self, extending(event))
            wire, held, dragged = self._wire_under_loose(), set(self._held), self._dragged()
            self._let_go()
            self._offer(None)
            moved: set[Any] = set(dragged)
            if wire is not None:
                for item in moved & held:  # one; a key in mid-drag may have moved others with it
                    moved.remove(item)
                    self.node_on_wire.emit(item, wire)
            if moved:
                self.moved_nodes.emit(moved)
            self._send_home(dragged)

    def _let_go(self) -> None:
        self._held, self._is_held = set(), False
        # While another button is down Qt leaves the item the mouse: the next drag would be of it, whatever is pressed.
        if (grabber := self.scene().mouseGrabberItem()) is not None:
            grabber.ungrabMouse()

    def _dragged(self) -> set[NodeItem | FrameItem | PointItem]:
        """What is elsewhere than in the document. All are asked: a key in mid-drag may have changed the selection."""
        return {i for i in self._movable if i.pos() != i.home} if self._is_held else set()

    @staticmethod
    def _send_home(items: Iterable[NodeItem | FrameItem | PointItem]) -> None:
        """Puts items where the document has them: it may not have taken a move over, or all but a rounding of it."""
        for item in items:
            if item.scene() is not None and item.pos() != item.home:
                item.setPos(item.home)

    def cancel(self) -> None:
        """Gives up the gesture that is going on: nodes go back, a wire is not made."""
        self._wiring.cancel()
        dragged = self._dragged()
        self._let_go()
        self._offer(None)
        self._send_home(dragged)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        item = self.item_at(at)
        if event.button() != Qt.MouseButton.LeftButton or self.port_at(at) is not None:
            return
        if isinstance(item, NodeItem):
            on_title = self.band.is_near and item.title_box().contains(item.mapFromScene(self.mapToScene(at)))
            (self.title_double_clicked if on_title else self.node_double_clicked).emit(item.id)
        elif isinstance(item, WireItem):
            self.wire_double_clicked.emit(item, self.mapToScene(at))
        elif (frame := self.frame_at(at)) is not None:
            (self.fold_clicked if frame.is_folded else self.frame_double_clicked).emit(frame.id)
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

    def item_at(self, at: QPoint) -> NodeItem | WireItem | PointItem | None:
        """The node under a viewport point, else the wire or a point of it."""
        found = [i for i in self.items(at) if isinstance(i, (NodeItem, WireItem, PointItem))]
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

    def frame_at(self, at: QPoint) -> FrameItem | None:
        """The frame or note whose bar is under a viewport point, with nothing over it."""
        found = self.items(at)
        return found[0] if found and isinstance(found[0], FrameItem) else None

    def wire_at(self, point: QPointF) -> WireItem | None:
        """The wire at a scene point that no card covers."""
        found = self.scene().items(point)
        if any(isinstance(item, NodeItem) for item in found):
            return None
        return next((item for item in found if isinstance(item, WireItem)), None)

    def _wire_under_loose(self) -> WireItem | None:
        """The wire behind the middle of the one node that is dragged, if nothing is wired to it yet."""
        item = next(iter(self._held)) if len(self._held) == 1 else None
        if not isinstance(item, NodeItem) or any(port.connected_pipes for port in item.ports.values()):
            return None
        middle = QRectF(item.scene_card().center() - QPointF(8, 8), item.scene_card().center() + QPointF(8, 8))
        return next((w for w in self.scene().items(middle) if isinstance(w, WireItem)), None)

    def _offer(self, wire: WireItem | None) -> None:
        """The wire that what is dragged would be put on stands out."""
        for old, is_offered in ((self._offered, False), (wire, True)):
            if old is not None and old.under_pointer != is_offered:
                old.under_pointer = is_offered
                old.update()
        self._offered = wire

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

    def dragMoveEvent(self, event: Any) -> None:
        self.dragEnterEvent(event)
        if event.mimeData().hasFormat(MIME):
            self._offer(self.wire_at(self.mapToScene(event.position().toPoint())))

    def dragLeaveEvent(self, event: Any) -> None:
        self._offer(None)

    def dropEvent(self, event: Any) -> None:
        self._offer(None)
        if event.mimeData().hasFormat(MIME):
            event.acceptProposedAction()
            self.data_dropped.emit(event.mimeData(), self.mapToScene(event.position().toPoint()).toPoint())
