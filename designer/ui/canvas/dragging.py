"""A wire or a cut that is being dragged: the line that follows the pointer, and what a drop means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QGraphicsItem, QGraphicsPathItem

from designer.ui.canvas.items import CanvasPort, NodeItem
from designer.ui.canvas.wires import WireItem, curve

if TYPE_CHECKING:
    from designer.ui.canvas.viewer import CanvasViewer


class Wiring:
    """The state of one drag; the viewer's signals say how it ends.

    Attributes:
        start: the port that the wire hangs on; None when no wire is dragged.
        lifted: the wire that was taken off an input to be put elsewhere.
    """

    def __init__(self, viewer: CanvasViewer) -> None:
        self._viewer = viewer
        self.start: CanvasPort | None = None
        self.lifted: WireItem | None = None
        self._over: CanvasPort | None = None
        self._line = QGraphicsPathItem()
        self._line.setZValue(10)
        self._line.setVisible(False)
        viewer.scene().addItem(self._line)
        self._cut_from: QPointF | None = None

    @property
    def is_active(self) -> bool:
        return self.start is not None or self._cut_from is not None

    # -- a wire --------------------------------------------------------------------------------------------------------

    def begin(self, port: CanvasPort, at: QPointF) -> None:
        """Starts at a port; from a wired input the wire comes off and hangs on its output."""
        self.lifted = None
        if port.is_input and port.connected_pipes:
            lifted: WireItem = port.connected_pipes[-1]
            lifted.setVisible(False)
            self.lifted, port = lifted, lifted.output_port
        self.start, self._over = port, None
        self._line.setVisible(True)
        self._viewer.wiring_started.emit(port)
        self._draw(at)

    def move(self, at: QPointF, over: CanvasPort | None) -> None:
        """The pointer is at a scene point, over a port or not."""
        if self._cut_from is not None:
            self._viewer._SLICER_PIPE.draw_path(self._cut_from, at)
            return
        if self.start is not None and over is not self._over:
            self._over = over
            self._viewer.wiring_over.emit(self.start, over if over is not self.start else None)
        self._draw(at)

    def drop(self, at: QPointF, over: CanvasPort | None, item: QGraphicsItem | None) -> None:
        """Ends the drag and says where it ended."""
        if self._cut_from is not None:
            self._cut()
            return
        start, lifted = self._finish()
        if start is None or over is start:
            return
        gone = [(lifted.input_port, lifted.output_port)] if lifted is not None else []
        if over is not None:
            self._viewer.connection_changed.emit(gone, [(start, over)])
        elif isinstance(item, NodeItem) and item is not start.node:
            self._viewer.wire_on_node.emit(start, item, lifted)
        elif gone:
            self._viewer.connection_changed.emit(gone, [])
        elif item is None:
            self._viewer.wire_on_canvas.emit(start, at)

    def cancel(self) -> None:
        """Ends the drag without effect."""
        self._finish()
        self._cut_from = None
        self._viewer._SLICER_PIPE.setVisible(False)

    def forget(self, item: QGraphicsItem) -> None:
        """An item is about to go: a drag that holds it ends."""
        if item is self.lifted or (self.start is not None and self.start.node is item):
            self.cancel()
        if self._over is not None and self._over.node is item:
            self._over = None

    def _finish(self) -> tuple[CanvasPort | None, WireItem | None]:
        start, lifted = self.start, self.lifted
        self.start = self.lifted = self._over = None
        self._line.setVisible(False)
        if lifted is not None:
            lifted.setVisible(True)
        if start is not None:
            self._viewer.wiring_ended.emit()
        return start, lifted

    def _draw(self, at: QPointF) -> None:
        assert self.start is not None
        look, over = self._viewer.look, self._over
        fits = over is not None and over.lit is True
        refused = over is not None and over.lit is False and over is not self.start
        end = over.centre() if over is not None and fits else at
        ends = (end, self.start.centre()) if self.start.is_input else (self.start.centre(), end)
        self._line.setPath(curve(*ends))
        style = Qt.PenStyle.SolidLine if fits else Qt.PenStyle.DashLine
        self._line.setPen(look.pen(look.danger if refused else look.accent, 2.2, style))

    # -- a cut ---------------------------------------------------------------------------------------------------------

    def start_slice(self, at: QPointF) -> None:
        """Alt and Shift: a line that cuts every wire it crosses."""
        self._cut_from = at
        self._viewer._SLICER_PIPE.draw_path(at, at)
        self._viewer._SLICER_PIPE.setVisible(True)

    def _cut(self) -> None:
        knife = self._viewer._SLICER_PIPE
        crossed = [i for i in self._viewer.scene().items(knife.path()) if isinstance(i, WireItem)]
        self._cut_from = None
        knife.setVisible(False)
        self._viewer.connection_sliced.emit([(wire.input_port, wire.output_port) for wire in crossed])


def extending(event: QMouseEvent) -> QMouseEvent:
    """Shift adds to the selection, as Qt lets Ctrl do."""
    if not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
        return event
    keys = event.modifiers() | Qt.KeyboardModifier.ControlModifier
    place, window, screen = event.position(), event.scenePosition(), event.globalPosition()
    return QMouseEvent(
        event.type(), place, window, screen, event.button(), event.buttons(), keys, event.pointingDevice()
    )
