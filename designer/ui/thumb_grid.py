"""A grid of thumbnails that draws only what is seen, so that a hundred thousand images scroll as ten do."""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import PurePath

from PySide6.QtCore import QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame

from designer.ui import theme

CELL, PICTURE = QSize(124, 112), QSize(112, 84)
GAP = 6
KEPT = 1500
"""Thumbnails that are kept decoded: some 60 MB."""
ASK_MS = 30


class ThumbGrid(QAbstractScrollArea):
    """Cells in rows. What is shown are numbers of images; the grid asks for the thumbnails that come into sight.

    Signals:
        wanted(list): numbers of images whose thumbnails are missing, most urgent first.
        chosen(int): another image is current, by its number.
        activated(int): the current image was asked for by a double-click or Enter.
    """

    wanted = Signal(list)
    chosen = Signal(int)
    activated = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.shown: Sequence[int] = ()
        self.place = -1
        """Of the current image in `shown`; -1 for none."""
        self.name_of: Callable[[int], str] = str
        self.is_marked: Callable[[int], bool] = lambda _row: False
        self._kept: OrderedDict[int, QPixmap] = OrderedDict()
        self._empty_text = ""
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(CELL.width() + 24, 60)
        self.setAccessibleName("Images")
        self._ask = QTimer(self)
        self._ask.setSingleShot(True)
        self._ask.setInterval(ASK_MS)
        self._ask.timeout.connect(self._ask_for_missing)
        self.verticalScrollBar().valueChanged.connect(lambda _value: self._ask.isActive() or self._ask.start())
        theme.manager.changed.connect(self._on_theme)

    def _on_theme(self, _theme: theme.Theme) -> None:
        self.viewport().update()

    # -- what is shown ------------------------------------------------------------------------------------------------

    def show_rows(self, rows: Sequence[int], empty_text: str = "") -> None:
        """Show these images; the current one stays if it is among them. `empty_text` stands where there is none."""
        current = self.current
        self.shown, self._empty_text = rows, empty_text
        self.place = -1
        if current is not None and current in rows:
            self.place = rows.index(current)
        self._lay_out()
        self._describe()

    def forget(self) -> None:
        """Another data set: no thumbnail fits any more."""
        self._kept.clear()
        self.place = -1
        self.verticalScrollBar().setValue(0)

    def set_thumb(self, row: int, picture: str) -> None:
        """A thumbnail has come: a JPEG in base64, or nothing for an image that cannot be read."""
        pixmap = QPixmap()
        if picture:
            pixmap.loadFromData(base64.b64decode(picture))
        self._kept[row] = pixmap
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        for place in self._visible():
            if self.shown[place] == row:
                self.viewport().update(self.cell(place))

    @property
    def current(self) -> int | None:
        """The number of the current image."""
        return self.shown[self.place] if 0 <= self.place < len(self.shown) else None

    def select(self, place: int) -> None:
        """Make the image at a place of `shown` the current one and bring it into sight."""
        if not self.shown:
            return
        place = max(0, min(place, len(self.shown) - 1))
        bar, cell = self.verticalScrollBar(), self.cell(place)
        if cell.top() < 0:
            bar.setValue(bar.value() + cell.top() - GAP)
        elif cell.bottom() > self.viewport().height():
            bar.setValue(bar.value() + cell.bottom() - self.viewport().height() + GAP)
        if place != self.place:
            self.place = place
            self._describe()
            self.chosen.emit(self.shown[place])
        self.viewport().update()

    def _describe(self) -> None:
        now = self.current
        name = PurePath(self.name_of(now)).name if now is not None else "none chosen"
        self.setAccessibleDescription(f"{len(self.shown):,} images; {name}")

    # -- places -------------------------------------------------------------------------------------------------------

    @property
    def columns(self) -> int:
        return max(1, (self.viewport().width() - GAP) // (CELL.width() + GAP))

    def cell(self, place: int) -> QRect:
        """Where the cell of a place is on the viewport."""
        line, column = divmod(place, self.columns)
        x = GAP + column * (CELL.width() + GAP)
        y = GAP + line * (CELL.height() + GAP) - self.verticalScrollBar().value()
        return QRect(QPoint(x, y), CELL)

    def place_at(self, point: QPoint) -> int | None:
        """The place whose cell is at a point of the viewport."""
        column = (point.x() - GAP) // (CELL.width() + GAP)
        line = (point.y() + self.verticalScrollBar().value() - GAP) // (CELL.height() + GAP)
        place = line * self.columns + column
        inside = 0 <= column < self.columns and 0 <= place < len(self.shown)
        return place if inside and self.cell(place).contains(point) else None

    def _visible(self, screens: int = 0) -> range:
        """Places that are in sight, and those of some screens below."""
        height = CELL.height() + GAP
        first = max(0, (self.verticalScrollBar().value() - GAP) // height)
        count = self.viewport().height() // height + 2
        start = first * self.columns
        return range(start, min(len(self.shown), start + count * self.columns * (1 + screens)))

    def _lay_out(self) -> None:
        lines = -(-len(self.shown) // self.columns)
        height = GAP + lines * (CELL.height() + GAP)
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, height - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep((CELL.height() + GAP) // 2)
        self.viewport().update()
        self._ask.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._lay_out()

    def scrollContentsBy(self, _dx: int, _dy: int) -> None:
        self.viewport().update()

    def _ask_for_missing(self) -> None:
        missing = [self.shown[place] for place in self._visible(screens=1) if self.shown[place] not in self._kept]
        if missing and self.isVisible():
            self.wanted.emit(missing)

    # -- drawing ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        shades, painter = theme.current(), QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        font = self.font()
        font.setPixelSize(11)
        painter.setFont(font)
        if not self.shown:
            painter.setPen(shades.color("text_faint"))
            wrap = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.viewport().rect().adjusted(12, 0, -12, 0), wrap, self._empty_text)
            return
        for place in self._visible():
            cell = self.cell(place)
            if cell.intersects(event.rect()):
                self._paint_cell(painter, place, cell, shades)

    def _paint_cell(self, painter: QPainter, place: int, cell: QRect, shades: theme.Theme) -> None:
        row = self.shown[place]
        if place == self.place:
            painter.setPen(shades.color("accent" if self.hasFocus() else "border_strong"))
            painter.setBrush(shades.color("selection"))
            painter.drawRoundedRect(cell.adjusted(0, 0, -1, -1), 6, 6)
        room = QRect(cell.x() + (cell.width() - PICTURE.width()) // 2, cell.y() + 5, PICTURE.width(), PICTURE.height())
        pixmap = self._kept.get(row)
        if pixmap is not None and not pixmap.isNull():
            size = pixmap.size().scaled(room.size(), Qt.AspectRatioMode.KeepAspectRatio)
            target = QRect(QPoint(0, 0), size)
            target.moveCenter(room.center())
            painter.drawPixmap(target, pixmap)
        else:
            painter.fillRect(room, shades.color("surface"))
            if pixmap is not None:
                painter.setPen(shades.color("danger"))
                painter.drawText(room, Qt.AlignmentFlag.AlignCenter, "Not readable")
        if self.is_marked(row):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shades.color("danger"))
            painter.drawEllipse(cell.right() - 14, cell.y() + 7, 8, 8)
        words = QRect(cell.x() + 6, room.bottom() + 3, cell.width() - 12, cell.bottom() - room.bottom() - 4)
        name = PurePath(self.name_of(row)).name
        painter.setPen(shades.color("text" if place == self.place else "text_muted"))
        shown = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, words.width())
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, shown)

    # -- the mouse and the keys ---------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        place = self.place_at(event.position().toPoint())
        if place is not None and event.button() == Qt.MouseButton.LeftButton:
            self.select(place)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.place_at(event.position().toPoint()) is not None and self.current is not None:
            self.activated.emit(self.current)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        page = max(1, self.viewport().height() // (CELL.height() + GAP)) * self.columns
        steps = {
            Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -self.columns, Qt.Key.Key_Down: self.columns,
            Qt.Key.Key_PageUp: -page, Qt.Key.Key_PageDown: page, Qt.Key.Key_Home: -len(self.shown),
            Qt.Key.Key_End: len(self.shown),
        }  # fmt: skip
        key = Qt.Key(event.key())
        if key in steps:
            self.select(self.place + steps[key] if self.place >= 0 else 0)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.current is not None:
            self.activated.emit(self.current)
        else:
            super().keyPressEvent(event)
