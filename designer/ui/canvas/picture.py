"""The canvas as a picture: PNG, with the document in it, or SVG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRectF, QSize
from PySide6.QtGui import QImage, QImageWriter, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QFileDialog

from designer.graph.errors import EditError
from designer.graph.picture import embed
from designer.ui.canvas.labels import place_labels

if TYPE_CHECKING:
    from designer.ui.canvas.view import CanvasView

MARGIN = 40.0
"""Scene units around the document."""
SCALE = 2.0
_SCALES = {f"PNG picture at {scale} × (*.png)": float(scale) for scale in (2, 1, 3, 4, 8)}
_SVG = "SVG drawing (*.svg)"
_KINDS = ";;".join((*_SCALES, _SVG))
MOST = 60_000_000
"""Pixels of a PNG; a larger document is drawn at a smaller scale."""


def ask_and_save(view: CanvasView) -> None:
    """Asks for a file and writes the picture; what happened is said in passing."""
    document = view.document
    if document is None or not view.nodes:
        view.status.emit("There is nothing to take a picture of yet.")
        return
    folder = document.path.parent if document.path is not None else Path.home()
    start = str(folder / f"{document.data.name}.png")
    chosen, kind = QFileDialog.getSaveFileName(view, "Export the picture", start, _KINDS)
    if chosen:
        path = Path(chosen)
        if not path.suffix or (kind == _SVG and path.suffix.lower() == ".png"):  # the name offered ends in .png
            path = path.with_suffix(".svg" if kind == _SVG else ".png")
        try:
            size = save_picture(view, path, _SCALES.get(kind, SCALE))
        except EditError as error:
            view.status.emit(str(error))
        else:
            view.status.emit(f"Wrote {path.name}, {size.width()} × {size.height()} pixels")


def save_picture(view: CanvasView, path: Path, scale: float = SCALE) -> QSize:
    """Writes the whole canvas as it looks now, without the selection.

    Args:
        view: the canvas.
        path: ends in .png or .svg. A PNG holds the document too: dropped on a window, it opens.
        scale: pixels a scene unit.

    Returns:
        The picture's size.

    Raises:
        EditError: the file cannot be written, or its name ends in something else.
    """
    area = _area(view)
    try:
        if path.suffix.lower() == ".svg":
            size = QSize(math.ceil(area.width()), math.ceil(area.height()))
            path.write_bytes(_svg(view, area, size))
        elif path.suffix.lower() == ".png":
            scale = min(scale, math.sqrt(MOST / (area.width() * area.height())))
            size = QSize(math.ceil(area.width() * scale), math.ceil(area.height() * scale))
            path.write_bytes(_png(view, area, size))
        else:
            raise EditError(f"{path.name}: a picture is written as .png or .svg. Choose one of them.")
    except OSError as error:
        raise EditError(f"{path} cannot be written: {error.strerror}. Choose another folder.") from None
    return size


def _png(view: CanvasView, area: QRectF, size: QSize) -> bytes:
    image = QImage(size, QImage.Format.Format_RGB32)
    image.fill(view.mirror.look.canvas)
    painter = QPainter(image)
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    _draw(view, painter, area, QRectF(image.rect()))
    painter.end()
    held = QByteArray()
    buffer = QBuffer(held)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"PNG")).write(image)
    assert view.document is not None
    return embed(bytes(held.data()), view.document.data)


def _svg(view: CanvasView, area: QRectF, size: QSize) -> bytes:
    held = QByteArray()
    buffer = QBuffer(held)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    drawing = QSvgGenerator()
    drawing.setOutputDevice(buffer)
    drawing.setSize(size)
    drawing.setViewBox(QRectF(0, 0, size.width(), size.height()))
    assert view.document is not None
    drawing.setTitle(view.document.data.name)
    painter = QPainter(drawing)
    painter.fillRect(QRectF(0, 0, size.width(), size.height()), view.mirror.look.canvas)
    _draw(view, painter, area, QRectF(0, 0, area.width(), area.height()))
    painter.end()
    return bytes(held.data())


def _area(view: CanvasView) -> QRectF:
    area = view.mirror.area()
    for wire in view.wires.values():
        area = area.united(wire.boundingRect())
    return area.adjusted(-MARGIN, -MARGIN, MARGIN, MARGIN)


def _draw(view: CanvasView, painter: QPainter, area: QRectF, target: QRectF) -> None:
    """Draws every item as from near, then the shapes; the canvas on the screen stays as it is."""
    viewer, scene, look = view.viewer, view.viewer.scene(), view.mirror.look
    scene.blockSignals(True)
    chosen = scene.selectedItems()
    scene.clearSelection()
    band = look.band(target.width() / area.width())
    place_labels(view.nodes.values(), view.wires.values(), band, view.mirror.bars())
    viewer.labelled.clear()
    try:
        with viewer.near_layer():
            scene.render(painter, target, area)
        painter.save()
        painter.translate(target.topLeft())
        painter.scale(target.width() / area.width(), target.height() / area.height())
        painter.translate(-area.topLeft())
        for wire in viewer.labelled:
            wire.draw_label(painter, look)
        painter.restore()
    finally:
        viewer.labelled.clear()
        for item in chosen:
            item.setSelected(True)
        scene.blockSignals(False)
        view.mirror.place_labels()
        viewer.viewport().update()
