"""The tables of the window: runs, trials and layers look and behave alike."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractItemModel, QEvent, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QFrame, QTableView

_ROW = 26
"""Pixels of a row."""


class Table(QTableView):
    """A table that has its own keys while it has the keyboard: the window's would change the canvas."""

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


def sorted_table(model: QAbstractItemModel, name: str, widths: Sequence[int] = ()) -> QTableView:
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
