"""Objects drawn over an image: masks as colours that it is seen through, outlines, boxes and captions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen, QPolygonF, qRgba

from designer.ui import theme

_ALPHA = 110


def caption(
    painter: QPainter, text: str, corner: QPointF, colour: QColor, metrics: QFontMetricsF, scale: float
) -> None:
    """Words on a coloured ground above a corner, or below it at the image's upper border."""
    width, height = metrics.horizontalAdvance(text) + 8 / scale, metrics.height() + 2 / scale
    top = corner.y() - height if corner.y() >= height else corner.y()
    box = QRectF(corner.x(), top, width, height)
    painter.fillRect(box, colour)
    bright = 0.299 * colour.red() + 0.587 * colour.green() + 0.114 * colour.blue()
    painter.setPen(QColor("#10141c" if bright > 140 else "#ffffff"))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def tinted(picture: str, colour: QColor) -> QImage:
    """A mask (a PNG of two levels, base64) as a colour that the image is seen through."""
    image = QImage.fromData(base64.b64decode(picture)).convertToFormat(QImage.Format.Format_Indexed8)
    levels = [image.color(i) & 0xFF for i in range(image.colorCount())]
    image.setColorTable([_tint(colour) if level else 0 for level in levels])
    return image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)


def coloured(owners: bytes, size: Sequence[int], labels: Sequence[int]) -> QImage:
    """Whose each pixel is as colours: `owners` 0 is nobody, i has the colour of entry i - 1 of `labels`; -1 has none.

    Args:
        owners: a byte a pixel, row by row.
        size: height and width.
        labels: class of each owner.
    """
    image = QImage(owners, size[1], size[0], size[1], QImage.Format.Format_Indexed8)
    colours = [_tint(QColor(theme.current().series(label))) if label >= 0 else 0 for label in labels[:255]]
    image.setColorTable([0, *colours, *[0] * (255 - len(colours))])
    return image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)


def scaled_font(painter: QPainter, pixels: int, scale: float) -> QFontMetricsF:
    """Sets a font of so many pixels on the screen, whatever the scale, and gives its metrics."""
    font = QFont(painter.font())
    font.setPixelSize(max(1, round(pixels / scale)))
    painter.setFont(font)
    return QFontMetricsF(font)


def paint_objects(
    painter: QPainter,
    objects: Sequence[Mapping[str, Any]],
    scale: float,
    masks: dict[int, QImage],
    *,
    captions: bool = True,
) -> None:
    """Draws the objects of a data set's image in the coordinates of the image.

    Args:
        painter: its units scaled to pixels of the image.
        objects: `label`, `name`, and `box`, `lines` or `mask` of each.
        scale: pixels on the screen of a pixel of the image; lines and words keep their size.
        masks: keeps decoded masks by their place.
        captions: also say the names.
    """
    metrics = scaled_font(painter, 11, scale)
    corner = QPointF(6 / scale, 6 / scale)
    for place, one in enumerate(objects):
        colour = QColor(theme.current().series(one["label"]))
        if "mask" in one:
            if place not in masks:
                masks[place] = tinted(one["mask"], colour)
            painter.drawImage(0, 0, masks[place])
        painter.setPen(QPen(colour, 1.5 / scale))
        painter.setBrush(QColor.fromRgba(_tint(colour)))
        for line in one.get("lines", ()):
            points = [QPointF(x, y) for x, y in zip(line[::2], line[1::2], strict=True)]
            painter.drawPolygon(QPolygonF(points))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        at = corner
        if "box" in one:
            x1, y1, x2, y2 = one["box"]
            painter.setPen(QPen(colour, 2 / scale))
            painter.drawRect(QRectF(QPointF(x1, y1), QPointF(x2, y2)))
            at = QPointF(x1, y1)
        elif captions:
            corner = corner + QPointF(0, metrics.height() + 6 / scale)
        if captions:
            caption(painter, str(one["name"]), at, colour, metrics, scale)


def _tint(colour: QColor) -> int:
    return qRgba(colour.red(), colour.green(), colour.blue(), _ALPHA)


def class_colours(picture: str, found: Sequence[Mapping[str, Any]], alpha: int) -> QImage:
    """Class indices, a PNG in base64, as the colours of the classes found; the background is clear."""
    levels = QImage.fromData(base64.b64decode(picture)).convertToFormat(QImage.Format.Format_Grayscale8)
    image = QImage(
        levels.constBits(), levels.width(), levels.height(), levels.bytesPerLine(), QImage.Format.Format_Indexed8
    ).copy()
    table = [0] * 256
    for one in found:
        colour = QColor(theme.current().series(one["label"]))
        if one["class"] != "background":
            table[one["label"]] = qRgba(colour.red(), colour.green(), colour.blue(), alpha)
    image.setColorTable(table)
    return image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
