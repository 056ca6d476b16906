"""NodeGraphQt's viewer with our own way to look around: pan, zoom, the far layer, the dots in the background."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QResizeEvent, QTransform, QWheelEvent
from PySide6.QtWidgets import QGraphicsItem, QGraphicsView

from designer.ui.canvas import lod
from designer.ui.canvas.items import GRID, NodeItem, guarded_draw
from designer.ui.canvas.look import Band, Look
from designer.ui.canvas.node_graph import NodeViewer, ViewerEnum
from designer.ui.canvas.points import PointItem
from designer.ui.canvas.rough import RoughFrame
from designer.ui.canvas.wires import WireItem

SMALLEST, LARGEST = 0.02, 2.5
_FINEST = 18
"""The dots of the grid are never nearer than this many pixels."""
_WORLD = QRectF(-500_000, -500_000, 1_000_000, 1_000_000)
_STILL_MS = 120
"""A zoom has ended when no step has come for so long."""
_SMOOTH_MS = 9.0
"""What a whole frame may take and still be drawn in full while the view moves: half the time that a screen gives it."""
_NoContents = QGraphicsItem.GraphicsItemFlag.ItemHasNoContents


class ZoomedView(NodeViewer):
    """Shows a scene at a scale.

    Signals:
        zoom_changed(float): pixels that a scene unit takes.
        band_changed(): texts are drawn in other sizes from now on.
        view_changed(): another part of the scene is seen.
    """

    zoom_changed = Signal(float)
    band_changed = Signal()
    view_changed = Signal()

    def __init__(self, look: Look) -> None:
        self.look = look
        self.band: Band = look.bands[0]
        """Sizes of the texts at the present zoom."""
        self.far = lod.FarLayer()
        self._is_far, self._count = False, 0
        self._drawn: set[NodeItem | WireItem | PointItem] = set()
        """Nodes and wires in the scene."""
        self._blank: set[QGraphicsItem] = set()
        """Those without content: all from afar; coming nearer, those that have not come into sight since."""
        self._filled = QRectF()
        """Where none is blank."""
        self.is_rough = False
        """Whether a zoom goes on that full frames would make stutter: what is in sight is then drawn together, without
        smoothing.
        """
        self._began, self._smooth_ms, self._panned = 0.0, 0.0, False
        self.snaps_now = False
        """Whether nodes that move keep to the dots of the grid."""
        self.gathering: RoughFrame | None = None
        """Takes the items of a frame that is drawn together; None while they paint themselves."""
        self.labelled: list[WireItem] = []
        """Wires painted in this frame that have a label."""
        super().__init__()
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.BoundingRectViewportUpdate)
        self.setCacheMode(QGraphicsView.CacheModeFlag.CacheNone)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setFrameShape(QGraphicsView.Shape.NoFrame)
        self.scene().grid_mode = ViewerEnum.GRID_DISPLAY_NONE.value  # the dots are drawn here; a picture has none
        self._cursor_text.setVisible(False)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(_STILL_MS)
        self._still.timeout.connect(self._on_still)
        self.set_look(look)

    # -- how it is drawn -----------------------------------------------------------------------------------------------

    def touched(self, item: QGraphicsItem) -> None:
        """An item has moved or looks different."""
        self.far.touch(item)
        if self._blank and not self._is_far:
            self._fill(item)
        self._repaint_far()

    def _repaint_far(self) -> None:
        # Items without content ask for no repaint.
        if self._is_far:
            self.viewport().update()

    def many_come(self, count: int) -> None:
        """So many nodes are about to come: of a large document only those that are then in sight get content."""
        if count > lod.MANY:
            self._set_far(True)

    def count_changed(self, count: int) -> None:
        """How many nodes there are decides how they are drawn from afar."""
        self._count = count
        self._choose_layer()

    def _choose_layer(self) -> None:
        far = self._count > lod.MANY and self.zoom < lod.FAR
        if far != self._is_far:
            self._set_far(far)
            self.viewport().update()
            if not far:
                self.band_changed.emit()  # the shapes have had no places out there

    @property
    def is_far(self) -> bool:
        """Whether the far layer is drawn in place of the items."""
        return self._is_far

    def _set_far(self, far: bool) -> None:
        """Setting the flags of 1000 nodes with 8 ports and their wires takes 20 ms, so near ones do for a start."""
        self._is_far, self._filled = far, QRectF()
        if far:
            for item in self._drawn - self._blank:
                self._empty(item)
        else:
            self._fill_seen()

    def _empty(self, item: QGraphicsItem) -> None:
        item.setFlag(_NoContents, True)
        self._blank.add(item)

    def _fill(self, item: QGraphicsItem) -> None:
        for one in (item, *(item.point_items if isinstance(item, WireItem) else ())):
            if one in self._blank:
                one.setFlag(_NoContents, False)
                self._blank.discard(one)

    def _fill_seen(self) -> None:
        """Items in sight and around get their content back."""
        seen = self.seen()
        if self._blank and not self._filled.contains(seen):
            self._filled = seen.adjusted(-seen.width() / 2, -seen.height() / 2, seen.width() / 2, seen.height() / 2)
            for item in self.scene().items(self._filled):
                self._fill(item)

    @contextlib.contextmanager
    def near_layer(self) -> Iterator[None]:
        """Every item draws itself in here, whatever the zoom: for a picture of the whole."""
        was, was_rough = self._is_far, self.is_rough
        self._is_far, self.is_rough, self.gathering = False, False, None
        for item in list(self._blank):
            self._fill(item)
        try:
            yield
        finally:
            self.is_rough = was_rough
            if was:
                self._set_far(True)

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
            self._choose_band()
            self._choose_layer()
            self.zoom_changed.emit(scale)
        self.horizontalScrollBar().setValue(round(area.left() * scale))
        self.verticalScrollBar().setValue(round(area.top() * scale))
        if not self._is_far:
            self._fill_seen()
        self.view_changed.emit()

    def seen(self) -> QRectF:
        """The part of the scene that is seen."""
        return QRectF(self._scene_range)

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
        if not fingers.isNull() and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.pan_by(-QPointF(fingers))
        else:
            delta = event.angleDelta().y() or event.angleDelta().x()
            self.zoom_by(1.0015**delta, event.position().toPoint())
        event.accept()

    def zoom_by(self, factor: float, at: QPoint) -> None:
        """Zooms with the scene point under `at` held still."""
        if self._is_heavy():
            self._set_rough(True)
            self._still.start()
        scale = min(max(self.zoom * factor, SMALLEST), LARGEST)
        held = self.mapToScene(at)
        middle = QPointF(self.viewport().width() / 2, self.viewport().height() / 2)
        self.look_at(held - (QPointF(at) - middle) / scale, scale)

    def _on_still(self) -> None:
        self._set_rough(False)
        self.viewport().update()

    def _set_rough(self, rough: bool) -> None:
        self.is_rough = rough
        self.setRenderHint(QPainter.RenderHint.Antialiasing, not rough)

    def _is_heavy(self) -> bool:
        """Whether full frames would make the view stutter: by how many nodes there are, or by what the last one took.

        A hundred cards with eight ports each, all in sight, take longer than a thousand most of which are not.
        """
        return self._count > lod.MANY or self._smooth_ms > _SMOOTH_MS

    def pan_by(self, pixels: QPointF) -> None:
        """Moves what is seen; where that is heavy, the strip that comes in is smoothed once all stands still."""
        self._panned = True
        if self._is_heavy() and not self._is_far:
            self.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            self._still.start()
        self._scene_range.translate(pixels / self.zoom)
        self._update_scene()

    # -- background and foreground -------------------------------------------------------------------------------------

    @guarded_draw
    def drawBackground(self, painter: QPainter, rect: QRectF) -> None:
        """The dot grid: one tile repeated, which is a hundred times faster than thousands of points."""
        self._began = time.perf_counter()
        self.labelled.clear()
        self.gathering = RoughFrame() if self.is_rough and self.band.is_near else None
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
        elif self.gathering is not None:
            self.gathering.draw(painter, self.look)
        elif not self.is_rough:
            for wire in self.labelled:
                wire.draw_label(painter, self.look)
            self._look_at_clock(rect)

    def _look_at_clock(self, rect: QRectF) -> None:
        """Remembers what a whole frame has taken; strips that a pan brings in, and single items, say nothing of one."""
        was_panned, self._panned = self._panned, False
        seen = self._scene_range
        if not was_panned and rect.width() * rect.height() > 0.8 * seen.width() * seen.height():
            self._smooth_ms = (time.perf_counter() - self._began) * 1e3
