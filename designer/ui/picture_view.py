"""One image of a data set with its objects: zoomed by the wheel, moved by dragging, stepped through by the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from designer.ui import theme
from designer.ui.overlay import paint_objects

MOST_ZOOM = 40.0
_STEP = 1.25


class PictureView(QWidget):
    """Signals:
    step_wanted(int): the next (1) or the previous (-1) image is wanted.
    """

    step_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.image = QImage()
        self.objects: Sequence[Mapping[str, Any]] = ()
        self._bad: Sequence[float] = ()
        self._size = QSize()
        self._masks: dict[int, QImage] = {}
        self._classes: QImage | None = None
        self._text = ""
        self._zoom = 1.0
        """Times the scale at which the whole image fits."""
        self._middle = QPointF()
        """The point of the image, in its pixels, that is in the middle of the view."""
        self._grip: QPointF | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 90)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Image with its objects")
        self.setToolTip("Wheel: zoom. Drag: move. Double-click: all of it. Left and right: other images.")
        theme.manager.changed.connect(self._on_theme)

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._masks.clear()
        self.update()

    def show_text(self, text: str) -> None:
        """Show words in place of an image."""
        self.image, self.objects, self._bad, self._text = QImage(), (), (), text
        self.setAccessibleDescription(text)
        self.update()

    def show_picture(
        self,
        image: QImage,
        size: QSize,
        objects: Sequence[Mapping[str, Any]],
        bad: Sequence[float] = (),
        classes: QImage | None = None,
    ) -> None:
        """Show an image.

        Args:
            image: its pixels, perhaps fewer than it has.
            size: of the original, to which objects refer.
            objects: as `paint_objects` takes them.
            bad: corners of a box that was found wrong.
            classes: colours to lay over the whole image.
        """
        self.image, self._size, self.objects, self._bad = image, size, objects, bad
        self._masks, self._classes = {}, classes
        self.setAccessibleDescription(f"{size.width()} x {size.height()}, {len(objects)} objects")
        self.fit()

    def fit(self) -> None:
        """Show all of the image."""
        self._zoom, self._middle = 1.0, QPointF(self._size.width() / 2, self._size.height() / 2)
        self.update()

    @property
    def scale(self) -> float:
        """Pixels on the screen of a pixel of the image."""
        if self._size.isEmpty():
            return 1.0
        room = self.size() - QSize(8, 8)
        return self._zoom * min(room.width() / self._size.width(), room.height() / self._size.height())

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom about a point of the view, its middle if left out."""
        centre = QRectF(self.rect()).center()
        offset = (at or centre) - centre
        before = self.scale
        self._zoom = max(1.0, min(self._zoom * factor, MOST_ZOOM))
        self._middle += offset / before - offset / self.scale
        self._keep_inside()

    def _keep_inside(self) -> None:
        """The image leaves no more of the view empty than it must."""
        for axis, room, side in (("x", self.width(), self._size.width()), ("y", self.height(), self._size.height())):
            half = room / 2 / self.scale
            value = getattr(self._middle, axis)()
            value = side / 2 if 2 * half >= side else max(half, min(value, side - half))
            getattr(self._middle, f"set{axis.upper()}")(value)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, shades = QPainter(self), theme.current()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.image.isNull():
            painter.setPen(shades.color("text_faint"))
            wrap = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(12, 0, -12, 0), wrap, self._text)
            return
        scale = self.scale
        # Single pixels are seen as squares once they are large.
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scale < 3)
        painter.translate(QRectF(self.rect()).center() - self._middle * scale)
        painter.scale(scale, scale)
        painter.drawImage(QRectF(0, 0, self._size.width(), self._size.height()), self.image)
        if self._classes is not None:
            painter.drawImage(QRectF(0, 0, self._size.width(), self._size.height()), self._classes)
        paint_objects(painter, self.objects, scale, self._masks)
        if self._bad:
            painter.setPen(QPen(shades.color("danger"), 3 / scale, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            x1, y1, x2, y2 = self._bad
            painter.drawRect(QRectF(QPointF(x1, y1), QPointF(x2, y2)))

    def wheelEvent(self, event: QWheelEvent) -> None:
        self.zoom(_STEP ** (event.angleDelta().y() / 120), event.position())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus()
        self._grip = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grip is not None:
            self._middle -= (event.position() - self._grip) / self.scale
            self._grip = event.position()
            self._keep_inside()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        self._grip = None

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}
        key = Qt.Key(event.key())
        if key in steps:
            self.step_wanted.emit(steps[key])
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(_STEP)
        elif key == Qt.Key.Key_Minus:
            self.zoom(1 / _STEP)
        elif key == Qt.Key.Key_0:
            self.fit()
        else:
            super().keyPressEvent(event)
