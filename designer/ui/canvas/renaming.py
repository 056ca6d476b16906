"""A line for typing over a title on the canvas: Enter or a click elsewhere takes the text, Escape leaves it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from designer.ui.canvas.zoomed import ZoomedView

_LEAST = 160
"""Pixels: a title that is small on the screen is typed in a line that is not."""


class TitleEditor(QLineEdit):
    """Stands over the canvas, not in it: it keeps its size at any zoom, and closes when the view moves."""

    def __init__(self, parent: QWidget, viewer: ZoomedView) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._take: Callable[[str], object] | None = None
        self.setAccessibleName("Title")
        self.hide()
        viewer.view_changed.connect(self._finish)
        self.returnPressed.connect(self._finish)

    def open_at(self, scene: QRectF, text: str, take: Callable[[str], object]) -> None:
        """Opens over a rectangle of the scene; `take` gets what was typed, unless it is empty or the old text."""
        self._finish()
        box = self._viewer.mapFromScene(scene).boundingRect()
        place = self._viewer.viewport().mapTo(self.parentWidget(), box.topLeft())
        height = self.sizeHint().height()
        width = max(box.width(), _LEAST)
        self.setGeometry(place.x() - 4, place.y() + (box.height() - height) // 2, width, height)
        self.setText(text)
        self.selectAll()
        self._take = take
        self._old = text
        self.show()
        self.raise_()
        self.setFocus()

    def _finish(self) -> None:
        """Takes what was typed and closes."""
        take, self._take = self._take, None
        if take is None:
            return
        text = self.text().strip()
        self._close()
        if text and text != self._old:
            take(text)

    def _close(self) -> None:
        self._take = None
        self.hide()
        self._viewer.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self._close()
        else:
            super().keyPressEvent(event)
            event.accept()  # no key goes on to the canvas under it

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self._finish()
