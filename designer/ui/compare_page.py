"""Two documents compared as a picture: on a page of the window, and written as PNG or SVG."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter, QTransform, QWheelEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QFileDialog, QFrame, QGraphicsScene, QGraphicsView

from designer.graph.compare import differences
from designer.graph.diff_picture import DARK, LIGHT, diff_picture
from designer.graph.errors import EditError, NetwrightError
from designer.graph.model import GraphData
from designer.graph.storage import SUFFIX, read, write_text
from designer.ui import theme, wording
from designer.ui.side_pages import SidePage
from designer.ui.widgets import ElidedLabel, button, column, row, tool

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

SCALE, MOST = 2.0, 60_000_000
"""Pixels a unit of a PNG, and pixels in all; a larger picture is drawn at a smaller scale."""


def save_diff_picture(a: GraphData, b: GraphData, path: Path, *, dark: bool) -> None:
    """Writes the picture as what its name ends in.

    Raises:
        EditError: the file cannot be written, or its name ends in something else.
    """
    svg = diff_picture(a, b, dark=dark)
    try:
        if path.suffix.lower() == ".svg":
            write_text(path, svg)
        elif path.suffix.lower() == ".png":
            if not _as_image(svg).save(str(path), "PNG"):  # type: ignore[call-overload]
                raise EditError(f"{path} cannot be written. Choose another folder.")
        else:
            raise EditError(f"{path.name}: a picture is written as .png or .svg. Choose one of them.")
    except OSError as error:
        raise EditError(f"{path} cannot be written: {error.strerror}. Choose another folder.") from None


def _as_image(svg: str) -> QImage:
    if QGuiApplication.instance() is None:
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        _as_image.app = QGuiApplication([])  # type: ignore[attr-defined]
    renderer = QSvgRenderer(QByteArray(svg.encode()))
    size = renderer.defaultSize()
    scale = min(SCALE, math.sqrt(MOST / (size.width() * size.height())))
    image = QImage(QSize(int(size.width() * scale), int(size.height() * scale)), QImage.Format.Format_RGB32)
    painter = QPainter(image)
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    renderer.render(painter, QRectF(image.rect()))
    painter.end()
    return image


class _PictureView(QGraphicsView):
    """The picture under the mouse: drag to pan, wheel to zoom."""

    def __init__(self) -> None:
        self._nothing = QGraphicsScene()
        super().__init__(self._nothing)
        self._picture = QSvgRenderer()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setAccessibleName("The picture of the comparison")

    def show_svg(self, svg: str) -> None:
        self._picture.load(QByteArray(svg.encode()))
        self.setSceneRect(QRectF(self._picture.viewBoxF()))
        self.viewport().update()

    def fit(self) -> None:
        area, view = self.sceneRect(), self.viewport()
        scale = min(view.width() / max(area.width(), 1), view.height() / max(area.height(), 1), 1.0)
        self.setTransform(QTransform.fromScale(scale, scale))

    def wheelEvent(self, event: QWheelEvent) -> None:
        scale = min(max(self.transform().m11() * 1.0015 ** event.angleDelta().y(), 0.05), 4.0)
        self.setTransform(QTransform.fromScale(scale, scale))

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        painter.fillRect(QRectF(rect), QColor((DARK if theme.current().is_dark else LIGHT).ground))
        self._picture.render(painter, self.sceneRect())


class ComparePage(SidePage):
    """From one document to another. The picture takes the theme's colours."""

    def __init__(self, a: GraphData, b: GraphData, names: tuple[str, str]) -> None:
        super().__init__()
        self._a, self._b = a, b
        self.title = f"{names[0]} → {names[1]}"
        self.tip = self.key = f"What changes {names[0]} into {names[1]}"
        self.view = _PictureView()
        number = len(differences(a, b))
        said = ElidedLabel(wording.plural(number, "difference") if number else "No difference: both train alike.")
        save = button("Save picture…", "small", "image-outline", "PNG or SVG")
        save.clicked.connect(self._save)
        fit = tool("fit-to-page-outline", "Show all of it (F)")
        fit.clicked.connect(self.fit)
        head = row(said, save, fit, margins=(12, 6, 8, 6))
        head.setStretch(0, 1)
        box = column(head, self.view, gap=0)
        box.setStretch(1, 1)
        self.setLayout(box)
        self.setFocusProxy(self.view)
        theme.manager.changed.connect(self._show)
        self._show(theme.current())

    def _show(self, shades: theme.Theme) -> None:
        self.view.show_svg(diff_picture(self._a, self._b, dark=shades.is_dark))

    def fit(self) -> None:
        self.view.fit()

    def zoom_100(self) -> None:
        self.view.resetTransform()

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the picture", "", "SVG drawing (*.svg);;PNG picture (*.png)")
        if path:
            window: MainWindow = self.window()  # type: ignore[assignment]
            try:
                save_diff_picture(self._a, self._b, Path(path), dark=theme.current().is_dark)
            except EditError as error:
                window.messages.say(str(error), "danger", key="picture")


def ask_compare(window: MainWindow) -> None:
    """Let the user pick a document to compare the one in front with."""
    document = window.workspace.document
    if document is None:
        return
    start = str(document.path.parent if document.path is not None else Path.home())
    path, _ = QFileDialog.getOpenFileName(window, "Compare with", start, f"Netwright documents (*{SUFFIX})")
    if path:
        compare_with(window, Path(path))


def compare_with(window: MainWindow, path: Path) -> None:
    """Show what changes a file into the document in front."""
    document = window.workspace.document
    if document is None:
        return
    try:
        other = read(path)
    except NetwrightError as error:
        window.messages.say(str(error), "danger", key="file")
        return
    page = ComparePage(other, document.data.model_copy(deep=True), (path.stem, window.workspace.title))
    window.side.add(page)
    page.fit()
