"""Small widgets that several panels share: labels by look, a switch, a dock header, a figure tile."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from designer.ui import glyphs, theme
from designer.ui.theme import GRID

_Box = TypeVar("_Box", QVBoxLayout, QHBoxLayout)


def label(text: str, look: str = "", *, wrap: bool = False, select: bool = False) -> QLabel:
    """A label of one of the style sheet's looks (`section`, `muted`, `value`, ...)."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if look:
        made.setProperty("look", look)
    made.setWordWrap(wrap)
    if select:
        made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made


def button(text: str, look: str = "", glyph: str = "", tip: str = "") -> QPushButton:
    """A push button of one of the style sheet's looks (`primary`, `ghost`, `small`, `danger`)."""
    made = QPushButton(text)
    made.setProperty("look", look)
    made.setToolTip(tip)
    made.setAccessibleName(text or tip)
    if glyph:
        glyphs.keep_icon(made, glyph, "on_accent" if look == "primary" else "text_muted")
        made.setText(f" {text}")  # Qt leaves no air between icon and text
    return made


def tool(glyph: str, tip: str) -> QToolButton:
    """A square icon button; `tip` is also what a screen reader says."""
    made = QToolButton()
    glyphs.keep_icon(made, glyph)
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.setIconSize(QSize(18, 18))
    made.setCursor(Qt.CursorShape.ArrowCursor)
    return made


def line() -> QFrame:
    """A hairline between two groups."""
    made = QFrame()
    made.setProperty("look", "line")
    return made


def column(
    *parts: QWidget | QLayout | int, margins: tuple[int, int, int, int] = (0, 0, 0, 0), gap: int = GRID
) -> QVBoxLayout:
    """Widgets and layouts under each other; an int is a stretch."""
    return _stack(QVBoxLayout(), parts, margins, gap)


def row(
    *parts: QWidget | QLayout | int, margins: tuple[int, int, int, int] = (0, 0, 0, 0), gap: int = GRID
) -> QHBoxLayout:
    """Widgets and layouts side by side; an int is a stretch."""
    return _stack(QHBoxLayout(), parts, margins, gap)


def _stack(box: _Box, parts: tuple[QWidget | QLayout | int, ...], margins: tuple[int, int, int, int], gap: int) -> _Box:
    box.setContentsMargins(*margins)
    box.setSpacing(gap)
    for part in parts:
        if isinstance(part, int):
            box.addStretch(part)
        elif isinstance(part, QWidget):
            box.addWidget(part)
        else:
            box.addLayout(part)
    return box


def widgets_in(layout: QLayout) -> list[QWidget]:
    """The widgets of a layout in order."""
    items = (layout.itemAt(index) for index in range(layout.count()))
    return [widget for item in items if item is not None and (widget := item.widget()) is not None]


def clear(layout: QLayout) -> None:
    """Take everything out of a layout; its widgets are deleted when the event loop comes round."""
    while (item := layout.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.deleteLater()
        elif (inner := item.layout()) is not None:
            clear(inner)
            inner.deleteLater()


def restyle(widget: QWidget, name: str, value: object) -> None:
    """Set a dynamic property that the style sheet reads, and apply it now."""
    if widget.property(name) == value:
        return
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


class ElidedLabel(QLabel):
    """A one-line label that ends in … where room is short; the whole text is its tooltip."""

    def __init__(self, text: str = "", look: str = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__()
        self._full = ""
        self._mode = mode
        if look:
            self.setProperty("look", look)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.set_full_text(text)

    def set_full_text(self, text: str) -> None:
        self._full = text
        self.setAccessibleName(text)
        self._elide()

    def full_text(self) -> str:
        return self._full

    def _elide(self) -> None:
        shown = self.fontMetrics().elidedText(self._full, self._mode, max(self.contentsRect().width(), 0))
        if shown != self.text():
            self.setText(shown)
        self.setToolTip(self._full if shown != self._full else "")

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def minimumSizeHint(self) -> QSize:
        return QSize(24, super().minimumSizeHint().height())

    def set_fixed_width(self, pixels: int) -> None:
        """Keep this width whatever the text."""
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.setFixedWidth(pixels)

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self._full) + 4, super().sizeHint().height())


class Switch(QCheckBox):
    """An on/off switch: a check box that slides."""

    _TRACK = QSize(32, 18)

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        theme.manager.changed.connect(self._on_theme)

    def _on_theme(self, _theme: theme.Theme) -> None:
        self.update()

    def sizeHint(self) -> QSize:
        return self._TRACK + QSize(4, 4)

    def hitButton(self, position: QPoint) -> bool:
        return self.rect().contains(position)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        track = QRectF(2, 2, self._TRACK.width(), self._TRACK.height())
        radius = track.height() / 2
        painter.setPen(shades.color("accent" if self.hasFocus() else "border_strong"))
        painter.setBrush(shades.color("accent" if self.isChecked() else "surface"))
        painter.drawRoundedRect(track, radius, radius)
        if self.isChecked() and self.hasFocus():
            painter.setPen(shades.color("text"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(track, radius, radius)
        knob = track.height() - 6
        left = track.right() - knob - 3 if self.isChecked() else track.left() + 3
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shades.color("on_accent" if self.isChecked() else "text_muted"))
        painter.drawEllipse(QRectF(left, track.top() + 3, knob, knob))


class DockHeader(QWidget):
    """A slim title bar for a dock: its name, then room for a few tools."""

    HEIGHT = 32

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("dock_header")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.tools = row(gap=2)
        self.setLayout(row(label(title), 1, self.tools, margins=(12, 0, 4, 0)))

    def sizeHint(self) -> QSize:
        return QSize(100, self.HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(24, self.HEIGHT)


class Tile(QFrame):
    """A figure with its name under it."""

    def __init__(self, name: str, tip: str = "") -> None:
        super().__init__()
        self.setProperty("look", "card")
        self.setToolTip(tip)
        self.figure = ElidedLabel("–", "value")
        self.setLayout(column(self.figure, ElidedLabel(name, "faint"), margins=(8, 6, 4, 6), gap=0))

    def set_text(self, text: str) -> None:
        self.figure.set_full_text(text)

    def text(self) -> str:
        return self.figure.full_text()


class Clickable(QFrame):
    """A frame that is a button: focus, Enter, Space and a hand for a cursor.

    It calls `on_click` rather than owning a signal, so that a subclass is free to have its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)

    def on_click(self) -> None:
        """What a click, Enter or Space does."""

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.on_click()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.on_click()
        else:
            super().keyPressEvent(event)
