"""The tables of the window: runs, trials and layers look and behave alike."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractItemModel, QEvent, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QTableView

_ROW = 26
"""Pixels of a row."""
_TITLE_MARGINS, _ARROW = 18, 20
"""Pixels beside a column's title, and of the arrow of the sorted one."""


class Table(QTableView):
    """A table that has its own keys while it has the keyboard: the window's would change the canvas."""

    def __init__(self) -> None:
        super().__init__()
        self._given: dict[int, int] = {}
        self._fill: tuple[int, int] | None = None

    def fit(self, fill: int, least: int) -> None:
        """Give each column the width of what it holds, now and whenever the table's own changes; a column that the
        user has dragged stays as it is.

        Args:
            fill: the column that takes what is left.
            least: pixels that it gets in any case; what then lies beyond the edge is scrolled to.
        """
        if self._fill is None:
            self.horizontalHeader().sortIndicatorChanged.connect(lambda *_: self._fit_again())
        self._fill = fill, least
        count = self.model().columnCount() if self.model() is not None else 0
        widths = [max(self._title_width(place), self.sizeHintForColumn(place)) for place in range(count)]
        for place in range(count):
            if place in self._given and self.columnWidth(place) != self._given[place]:
                widths[place] = self.columnWidth(place)
            elif place != fill:
                self._give(place, widths[place])
        if fill < count and self._given.get(fill, self.columnWidth(fill)) == self.columnWidth(fill):
            left = self.viewport().width() - sum(widths[:fill])
            beyond = sum(widths[fill + 1 :])
            self._give(fill, left - beyond if left - beyond >= least else max(left, least))

    def _title_width(self, place: int) -> int:
        """Of a column's title; Qt's own hint keeps room for the sort arrow in every column."""
        header = self.horizontalHeader()
        title = str(self.model().headerData(place, Qt.Orientation.Horizontal) or "")
        arrow = _ARROW if place == header.sortIndicatorSection() else 0
        return header.fontMetrics().horizontalAdvance(title) + _TITLE_MARGINS + arrow

    def _fit_again(self) -> None:
        if self._fill is not None:
            self.fit(*self._fill)

    def _give(self, place: int, width: int) -> None:
        self.setColumnWidth(place, width)
        self._given[place] = self.columnWidth(place)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_again()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and _is_own(event):
            event.accept()
            return True
        return super().event(event)


def _is_own(event: QKeyEvent) -> bool:
    """Whether it selects or copies rows, or is typed to find one; Delete shall not reach the nodes either."""
    standard = QKeySequence.StandardKey
    if any(event.matches(key) for key in (standard.SelectAll, standard.Copy, standard.Delete)):
        return True
    typed = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier)
    return typed and event.text().isalnum()


def sorted_table(model: QAbstractItemModel, name: str, widths: Sequence[int] = ()) -> Table:
    """A table whose rows are chosen whole and sorted by a click on a title, without a grid.

    Args:
        model: what it shows.
        name: for screen readers.
        widths: of the first columns, in pixels.
    """
    view = Table()
    view.setModel(model)
    view.setFrameShape(QFrame.Shape.NoFrame)
    view.setSortingEnabled(True)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setShowGrid(False)
    view.setWordWrap(False)
    view.verticalHeader().hide()
    view.verticalHeader().setDefaultSectionSize(_ROW)
    view.horizontalHeader().setHighlightSections(False)
    for section, width in enumerate(widths):
        view.setColumnWidth(section, width)
    view.setAccessibleName(name)
    return view
