"""The tables of the window: runs, trials and layers look and behave alike."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractItemModel
from PySide6.QtWidgets import QAbstractItemView, QFrame, QTableView

_ROW = 26
"""Pixels of a row."""


def sorted_table(model: QAbstractItemModel, name: str, widths: Sequence[int] = ()) -> QTableView:
    """A table whose rows are chosen whole and sorted by a click on a title, without a grid.

    Args:
        model: what it shows.
        name: for screen readers.
        widths: of the first columns, in pixels.
    """
    view = QTableView()
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
