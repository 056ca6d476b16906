"""An image with what was found in it, drawn by Qt: boxes, masks and classes above a threshold that can be moved."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QImageReader, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from designer.ui import theme
from designer.ui.overlay import caption, class_colours, scaled_font, tinted
from designer.ui.suppress import ALL, kept


def read_image(result: Mapping[str, Any]) -> QImage:
    """The file as it was predicted on: turned by its camera's note only if the process did so too; or a frame."""
    if "jpeg" in result:
        return QImage.fromData(base64.b64decode(result["jpeg"]))
    reader = QImageReader(str(result["image"]))
    reader.setAllocationLimit(1024)
    image = reader.read()
    if image.size() != QSize(result["width"], result["height"]):
        reader = QImageReader(str(result["image"]))
        reader.setAutoTransform(True)
        image = reader.read()
    return image


def paint_found(
    painter: QPainter, result: Mapping[str, Any], threshold: float, scale: float,
    masks: dict[int, QImage] | None = None, overlap: float = ALL,
) -> None:  # fmt: skip
    """Draws what was found in the coordinates of the image.

    Args:
        painter: of the image, its units scaled to pixels of the image.
        result: an answer of the predicting process.
        threshold: lowest score drawn; a classifier's classes are listed whatever they score. Where each pixel has a
            class, how opaque the classes are.
        scale: pixels on the screen of a pixel of the image; lines and words keep their size.
        masks: keeps decoded masks by their place in `found`.
        overlap: largest IoU of two boxes of a class that are both drawn.
    """
    metrics = scaled_font(painter, 12, scale)
    if "classes" in result:
        room = QRectF(0, 0, result["width"], result["height"])
        painter.drawImage(room, class_colours(result["classes"], result["found"], round(255 * threshold)))
    if result["found"] and "box" not in result["found"][0]:
        _paint_classes(painter, result, metrics, scale)
        return
    masks = {} if masks is None else masks
    shown = set(map(id, kept(result["found"], threshold, overlap)))
    order = sorted(range(len(result["found"])), key=lambda i: result["found"][i]["score"])  # the surest lie on top
    for place in order:
        one = result["found"][place]
        if id(one) not in shown:
            continue
        colour = QColor(theme.current().series(one["label"]))
        if "picture" in one:
            if place not in masks:
                masks[place] = tinted(one["picture"], colour)
            painter.drawImage(0, 0, masks[place])
        x1, y1, x2, y2 = one["box"]
        painter.setPen(QPen(colour, 2 / scale))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(QRectF(QPointF(x1, y1), QPointF(x2, y2)))
        caption(painter, f"{one['class']} {one['score']:.2f}", QPointF(x1, y1), colour, metrics, scale)


def _paint_classes(painter: QPainter, result: Mapping[str, Any], metrics: QFontMetricsF, scale: float) -> None:
    corner = QPointF(8 / scale, metrics.height() + 10 / scale)  # each caption stands above its corner
    for one in result["found"]:
        colour = QColor(theme.current().series(one["label"]))
        said = f"{one['score']:.1%}" if "classes" in result else f"{one['score']:.2f}"
        caption(painter, f"{one['class']} {said}", corner, colour, metrics, scale)
        corner += QPointF(0, metrics.height() + 6 / scale)


def drawn(result: Mapping[str, Any], threshold: float, overlap: float = ALL) -> QImage:
    """The whole image at its own size with what was found."""
    image = read_image(result).convertToFormat(QImage.Format.Format_RGB32)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    scale = min(1.0, 640 / max(1, min(image.width(), image.height())))
    paint_found(painter, result, threshold, scale, overlap=overlap)
    painter.end()
    return image


class PredictView(QWidget):
    """Shows one result, fitted to the room that there is."""

    def __init__(self) -> None:
        super().__init__()
        self.result: Mapping[str, Any] | None = None
        self.threshold = 0.25
        self.overlap = ALL
        self._image = QImage()
        self._masks: dict[int, QImage] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 90)
        self.setAccessibleName("Image with what was found")
        theme.manager.changed.connect(self._on_theme)

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._masks.clear()
        self.update()

    def show_result(self, result: Mapping[str, Any] | None) -> None:
        """Show an answer of the predicting process, or nothing."""
        self.result, self._masks = result, {}
        self._image = read_image(result) if result is not None else QImage()
        self._say_count()

    def set_limits(self, threshold: float, overlap: float = ALL) -> None:
        """Draw what has at least this score, and of a class no two boxes with a larger IoU."""
        self.threshold, self.overlap = threshold, overlap
        self._say_count()

    def _say_count(self) -> None:
        shown = self.shown(self.result) if self.result is not None else []
        self.setAccessibleDescription(f"{len(shown)} found" if self.result is not None else "No image")
        self.update()

    def shown(self, result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What is drawn of a result."""
        return kept(result["found"], self.threshold, self.overlap)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if self.result is None or self._image.isNull():
            painter.setPen(theme.current().color("text_faint"))
            text = "This image cannot be shown." if self.result else "Drop images, a folder or a video here."
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, text)
            return
        room = self.rect().adjusted(4, 4, -4, -4)
        width, height = self.result["width"], self.result["height"]  # a frame may have come smaller than it is
        scale = min(room.width() / width, room.height() / height)
        painter.translate(
            room.x() + (room.width() - width * scale) / 2, room.y() + (room.height() - height * scale) / 2
        )
        painter.scale(scale, scale)
        painter.drawImage(QRectF(0, 0, width, height), self._image)
        paint_found(painter, self.result, self.threshold, scale, self._masks, self.overlap)
