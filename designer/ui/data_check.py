"""What the check of a data set found: a row for each bad file or label; copied, saved, looked at by a double-click."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QFileDialog, QFrame, QHeaderView, QProgressBar, QTableView, QWidget

from designer.graph.storage import write_text
from designer.ui import glyphs, theme, wording
from designer.ui.data_link import DataLink
from designer.ui.message_bar import MessageBar
from designer.ui.saving import quoted
from designer.ui.widgets import ElidedLabel, button, column, row

COLUMNS = ("Severity", "File", "Line", "What", "What to do")
_KEYS = ("severity", "file", "line", "what", "remedy")
_WIDTHS = ((70, 92), (60, 150), (40, 60))
"""Least and most pixels of the first columns."""
_ROW, _PADDING = 24, 10
"""Pixels of a row with one line, and beside the text of a cell."""
_GLYPHS = {"error": ("alert-circle", "danger"), "warning": ("alert", "warning")}
_Index = QModelIndex | QPersistentModelIndex


class FindingsModel(QAbstractTableModel):
    """The findings as rows, errors first as the check gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.findings: list[dict[str, Any]] = []

    def clear(self) -> None:
        self.beginResetModel()
        self.findings = []
        self.endResetModel()

    def add(self, findings: Iterable[dict[str, Any]]) -> None:
        more = list(findings)
        first = len(self.findings)
        self.beginInsertRows(QModelIndex(), first, first + len(more) - 1)
        self.findings += more
        self.endInsertRows()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.findings)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        finding, key = self.findings[index.row()], _KEYS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            told = {
                "severity": finding["severity"].capitalize(), "file": PurePath(finding["file"]).name,
                "line": str(finding["line"] or ""),
            }  # fmt: skip
            return told.get(key, finding[key])
        if role == Qt.ItemDataRole.ToolTipRole:
            return finding["file"] if key == "file" else finding[key] if key in ("what", "remedy") else None
        if role == Qt.ItemDataRole.DecorationRole and key == "severity":
            glyph, colour = _GLYPHS[finding["severity"]]
            return glyphs.icon(glyph, colour)
        return None


class CheckPage(QWidget):
    """Signals:
    image_wanted(str, dict): the image of a finding shall be shown, with the finding.
    """

    image_wanted = Signal(str, dict)

    def __init__(self, link: DataLink, messages: MessageBar) -> None:
        super().__init__()
        self._link, self._messages = link, messages
        self.model = FindingsModel()
        self.start = button("Check all images", "small", "check-all", "Read every image and every label")
        self.cancel = button("Cancel", "small", "close")
        self.state = ElidedLabel("", "faint")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedWidth(160)
        self.copy = button("Copy", "small", "content-copy", "Copy the chosen rows, or all")
        self.save = button("Save as CSV…", "small", "content-save-outline")
        self.table = _Table(self)
        self.table.setModel(self.model)
        bar = row(self.start, self.cancel, self.progress, self.state, self.copy, self.save, margins=(8, 4, 8, 4), gap=6)
        bar.setStretch(3, 1)
        self.setLayout(column(bar, self.table, gap=0))
        self._fit_columns()
        self.start.clicked.connect(self.begin)
        self.cancel.clicked.connect(self._on_cancel)
        self.copy.clicked.connect(self.copy_rows)
        self.save.clicked.connect(self._ask_save)
        self.table.activated.connect(lambda index: self.open_finding(index.row()))
        link.checked.connect(self._on_checked)
        link.found.connect(self._on_found)
        link.reported.connect(self._on_reported)
        theme.manager.changed.connect(self._on_theme)
        self.clear()

    def _on_theme(self, _theme: theme.Theme) -> None:
        self.table.viewport().update()

    def _fit_columns(self) -> None:
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    # -- the check ----------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Another data set comes: nothing of it was checked."""
        self.model.clear()
        self._show_state(
            "Not checked yet. Training skips broken images and refuses broken labels; the check names all."
        )

    def begin(self) -> None:
        """Check the data set that is looked at."""
        self.model.clear()
        self._link.check()
        self.progress.setRange(0, 0)
        self._show_state("Reading the labels…", working=True)

    def _on_cancel(self) -> None:
        self._link.cancel()
        self.state.set_full_text("Ending…")

    def _on_checked(self, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.state.set_full_text(f"{done:,} of {wording.plural(total, 'image')}")

    def _on_found(self, findings: list[dict[str, Any]]) -> None:
        self.model.add(findings)
        self.table.share_width()

    def _on_reported(self, report: dict[str, Any]) -> None:
        counts = f"{wording.plural(report['errors'], 'error')}, {wording.plural(report['warnings'], 'warning')}"
        where = wording.plural(report["images"], "image")
        self._show_state(f"Cancelled after {where}: {counts}" if report["cancelled"] else f"{where}: {counts}")

    def end(self) -> None:
        """The check cannot go on; why is said elsewhere."""
        self._show_state("")

    def _show_state(self, text: str, *, working: bool = False) -> None:
        self.state.set_full_text(text)
        self.start.setVisible(not working)
        self.cancel.setVisible(working)
        self.progress.setVisible(working)
        for made in (self.copy, self.save):
            made.setEnabled(bool(self.model.findings))

    # -- the findings -------------------------------------------------------------------------------------------------

    def open_finding(self, place: int) -> None:
        """Show the image that a finding is about; open the file of one that is about none."""
        finding = self.model.findings[place]
        if finding["image"]:
            self.image_wanted.emit(finding["image"], finding)
        else:
            self.open_file(place)

    def open_file(self, place: int) -> None:
        """Open the file of a finding in the program that the system has for it."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.model.findings[place]["file"]))

    def as_text(self, places: Iterable[int] | None = None, separator: str = "\t") -> str:
        """Rows with a heading; all of them if no places are given."""
        chosen = range(len(self.model.findings)) if places is None else places
        lines = [separator.join(_KEYS)]
        for place in chosen:
            cells = [str(self.model.findings[place][key]) for key in _KEYS]
            lines.append(separator.join(quoted(cell) if separator == "," else cell for cell in cells))
        return "\n".join(lines) + "\n"

    def copy_rows(self) -> None:
        """Copy the chosen rows, or all, with tabs between the cells."""
        chosen = sorted({index.row() for index in self.table.selectionModel().selectedRows()})
        QGuiApplication.clipboard().setText(self.as_text(chosen or None))
        self._messages.say(f"Copied {wording.plural(len(chosen) or len(self.model.findings), 'row')}.", key="data")

    def _ask_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save what was found", "data-check.csv", "Figures (*.csv)")
        if chosen:
            self.save_to(Path(chosen))

    def save_to(self, path: Path) -> None:
        """Write all rows as CSV."""
        try:
            write_text(path, self.as_text(separator=","))
        except OSError as error:
            text = f"{path} could not be written: {error.strerror}. Choose another place."
            self._messages.say(text, "danger", key="data")


class _Table(QTableView):
    """Rows; Ctrl+C copies, Ctrl+O opens the file."""

    def __init__(self, page: CheckPage) -> None:
        super().__init__()
        self._page = page
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW)
        self.setAccessibleName("What the check found")
        self.share_width()
        self.setToolTip("Double-click: show the image, or open the file. Ctrl+O: open the label file.")

    def share_width(self) -> None:
        """Give what is wrong and what to do room by what they hold, for one is often much longer than the other.

        Where they do not fit beside each other they are wrapped, and all rows are as high as the highest: rows of their
        own heights would have to be measured one by one, thousands of them.
        """
        for place, (least, most) in enumerate(_WIDTHS):
            self.setColumnWidth(place, min(max(least, self.sizeHintForColumn(place)), most))
        self.setWordWrap(False)  # or the hints are those of wrapped words
        what, remedy = (max(80, self.sizeHintForColumn(place)) for place in (3, 4))
        room = self.viewport().width() - sum(self.columnWidth(place) for place in range(3))
        tight = what + remedy > room
        self.setColumnWidth(4, max(80, room * remedy // (what + remedy)) if tight else remedy)
        self.setWordWrap(tight)
        self.verticalHeader().setDefaultSectionSize(self._wrapped_height() if tight else _ROW)

    def _wrapped_height(self) -> int:
        """Of the longest texts in the columns as wide as they are; three lines at most."""
        high = _ROW
        for place in (3, 4):
            longest = max((finding[_KEYS[place]] for finding in self._page.model.findings), key=len, default="")
            room = QRect(0, 0, self.columnWidth(place) - _PADDING, 1000)
            high = max(high, self.fontMetrics().boundingRect(room, Qt.TextFlag.TextWordWrap, longest).height() + 8)
        return min(high, 3 * self.fontMetrics().lineSpacing() + 8)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.share_width()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self._page.copy_rows()
        elif event.matches(QKeySequence.StandardKey.Open) and self.currentIndex().isValid():
            self._page.open_file(self.currentIndex().row())
        else:
            super().keyPressEvent(event)
