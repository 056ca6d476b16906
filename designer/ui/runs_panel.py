"""The Runs tab: all runs of a folder, searched and sorted; notes, the queue, comparing, and the trash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QSortFilterProxyModel, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QLineEdit,
    QPlainTextEdit,
    QStackedWidget,
    QWidget,
)

from designer.graph.errors import NetwrightError
from designer.train.queue import move_in_queue, queue_of, remove_from_queue
from designer.train.run import RunFolder
from designer.train.run_list import (
    ACTIVE,
    RunInfo,
    RunList,
    empty_trash,
    in_trash,
    move_to_trash,
    restore,
    write_note,
)
from designer.ui import wording
from designer.ui.message_bar import Choice, MessageBar
from designer.ui.run_bar import run_title
from designer.ui.runs_model import NOTE, SORT, RunsModel, state_of
from designer.ui.tables import Table, sorted_table
from designer.ui.widgets import ElidedLabel, button, column, label, row, tool

REFRESH_MS = 1000
SIDE_WIDTH = 316
_LEAST_NOTE = 110
"""Pixels of the column of notes."""


class RunsPanel(QWidget):
    """Signals:
    curves_wanted(RunFolder): show this run in the Train tab.
    document_wanted(RunFolder): open the document that it froze.
    resume_wanted(RunFolder): go on with it, or start it now when it waits.
    predict_wanted(RunFolder): try it on images.
    finetune_wanted(RunFolder): go on from it with other data.
    """

    curves_wanted = Signal(RunFolder)
    document_wanted = Signal(RunFolder)
    resume_wanted = Signal(RunFolder)
    predict_wanted = Signal(RunFolder)
    finetune_wanted = Signal(RunFolder)

    def __init__(self, messages: MessageBar) -> None:
        super().__init__()
        self._messages = messages
        self._root: Path | None = None
        self._list = RunList()
        self._noted: RunInfo | None = None
        self.model = RunsModel()
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.model)
        self.sorted.setSortRole(SORT)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search runs")
        self.search.setAccessibleName("Search runs")
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(200)
        self.search.textChanged.connect(self.refresh)
        self.view = self._make_view()
        self.count = label("", "faint")
        self.trash = button("Empty the trash", "small", "trash-can-outline")
        self.trash.clicked.connect(self._empty_trash)
        self.compare = button("Compare", "small", "compare-horizontal", "Curves, settings and documents side by side")
        self.compare.clicked.connect(self._compare)
        bar = row(self.search, self.count, 1, self.trash, self.compare, margins=(8, 4, 8, 4))
        left = column(bar, self.view, gap=0)
        divider = QFrame()
        divider.setProperty("look", "vline")
        box = row(left, divider, self._make_side(), gap=0)
        box.setStretch(0, 1)
        page = QWidget()
        page.setLayout(box)
        self.pages = QStackedWidget()
        self.pages.addWidget(page)
        self.setLayout(column(self.pages))
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self.view.selectionModel().selectionChanged.connect(lambda *_: self._show_side())
        self._show_side()

    def _make_view(self) -> Table:
        view = sorted_table(self.sorted, "Runs")
        view.sortByColumn(4, Qt.SortOrder.DescendingOrder)
        view.fit(NOTE, _LEAST_NOTE)
        view.doubleClicked.connect(lambda _index: self._emit(self.curves_wanted))
        QShortcut(QKeySequence.StandardKey.Delete, view, self._delete, context=Qt.ShortcutContext.WidgetShortcut)
        return view

    def _make_side(self) -> QWidget:
        self.title = ElidedLabel("", "value")
        self.facts = label("", "muted", wrap=True)
        self.note = _Note()
        self.note.setPlaceholderText("Notes on this run")
        self.note.setAccessibleName("Notes on this run")
        self.note.left.connect(self._keep_note)
        self.curves = button("Curves", "small", "chart-line", "Show it in the Train tab")
        self.document = button("Document", "small", "file-outline", "Open the document that was trained")
        self.predict = button("Predict", "small", "image-search-outline", "Try it on images")
        self.resume = button("Resume", "small", "play", "Go on from the last checkpoint")
        self.finetune = button("Fine-tune…", "small", "tune-vertical", "Go on from its weights with other data")
        self.delete = button("Delete", "small", "trash-can-outline", "Move the run to the trash of its folder")
        self.earlier, self.later = tool("arrow-up", "Earlier in the queue"), tool("arrow-down", "Later in the queue")
        self.unqueue = tool("tray-remove", "Take it out of the queue")
        for made, signal in (
            (self.curves, self.curves_wanted),
            (self.document, self.document_wanted),
            (self.predict, self.predict_wanted),
            (self.resume, self.resume_wanted),
            (self.finetune, self.finetune_wanted),
        ):
            made.clicked.connect(lambda _checked=False, s=signal: self._emit(s))
        self.delete.clicked.connect(self._delete)
        self.earlier.clicked.connect(lambda: self._in_queue(lambda root, name: move_in_queue(root, name, -1)))
        self.later.clicked.connect(lambda: self._in_queue(lambda root, name: move_in_queue(root, name, 1)))
        self.unqueue.clicked.connect(lambda: self._in_queue(remove_from_queue))
        self._queue_row = QWidget()
        self._queue_row.setLayout(row(self.earlier, self.later, self.unqueue, 1, gap=4))
        side = QWidget()
        side.setFixedWidth(SIDE_WIDTH)
        actions = row(self.curves, self.document, self.predict, 1, gap=4)
        more = row(self.resume, self.finetune, self.delete, self._queue_row, 1, gap=4)
        side.setLayout(column(self.title, self.facts, self.note, actions, more, margins=(12, 8, 12, 8), gap=6))
        return side

    # -- what is shown -----------------------------------------------------------------------------------------------

    def set_folder(self, root: Path | None) -> None:
        """List the runs of this folder."""
        if root != self._root:
            self._root = root
            self.pages.setCurrentIndex(0)
            self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()

    def refresh(self) -> None:
        """Look at the folder again; nothing is read while nobody sees it."""
        if not self.isVisible() or self._root is None:
            return
        everything = self._list.read(self._root)
        found = [info for info in everything if info.matches(self.search.text())]
        chosen = {info.path for info in self.chosen()}
        if self.model.show(found, queue_of(self._root)):
            self.view.fit(NOTE, _LEAST_NOTE)
        if chosen != {info.path for info in self.chosen()}:
            self.select(chosen)
        shown = f"{len(found)} of {len(everything)} runs" if len(found) < len(everything) else ""
        self.count.setText(shown or wording.plural(len(everything), "run"))
        thrown = in_trash(self._root)
        self.trash.setVisible(thrown > 0)
        self.trash.setToolTip(f"{wording.plural(thrown, 'run')} in {self._root / '.trash'} go for good")
        self._show_side()

    def chosen(self) -> list[RunInfo]:
        """The selected runs in the order of the rows."""
        rows = sorted(index.row() for index in self.view.selectionModel().selectedRows())
        return [self.model.infos[self.sorted.mapToSource(self.sorted.index(r, 0)).row()] for r in rows]

    def select(self, paths: set[Path]) -> None:
        """Select the rows of these runs."""
        picks = self.view.selectionModel()
        picks.clearSelection()
        for path in paths:
            place = self.model.row_of(path)
            if place >= 0:
                index = self.sorted.mapFromSource(self.model.index(place, 0))
                picks.select(index, QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows)

    def _show_side(self) -> None:
        chosen = self.chosen()
        one = chosen[0] if len(chosen) == 1 else None
        self.compare.setEnabled(len(chosen) >= 2)
        for made in (self.curves, self.document, self.predict):
            made.setEnabled(one is not None)
        for made in (self.predict, self.finetune):
            made.setEnabled(one is not None and one.best is not None)
        state = state_of(one) if one is not None else ""
        waits = state == "queued"
        self.resume.setVisible(state in ("idle", "queued", "stopped", "failed", "died", "paused"))
        self.resume.setText(" Start now" if waits else " Start" if state == "idle" else " Resume")
        self.resume.setToolTip("Train it" if state in ("idle", "queued") else "Go on from the last checkpoint")
        self.finetune.setVisible(not waits)  # it has no weights yet, and the queue's buttons need the room
        working = any(info.state in ACTIVE for info in chosen)
        self.delete.setEnabled(bool(chosen) and not working)
        self.delete.setToolTip(
            "A run at work cannot be deleted. Stop it first." if working else "Move the run to the trash of its folder"
        )
        self._queue_row.setVisible(waits)
        self.note.setEnabled(one is not None)
        self.title.setVisible(one is not None)
        if one is not None:
            self.title.set_full_text(run_title(one.path.name))
            self.facts.setText(_facts(one))
        else:
            few = f"{len(chosen)} runs are selected." if chosen else "Select a run; two or more can be compared."
            self.title.set_full_text("")
            self.facts.setText(few)
        if (one.path if one else None) != (self._noted.path if self._noted else None):
            self._keep_note()
            self._noted = one
            self.note.setPlainText(one.note if one else "")

    # -- what is done ------------------------------------------------------------------------------------------------

    def _emit(self, signal: object) -> None:
        chosen = self.chosen()
        if len(chosen) == 1:
            self._keep_note()
            signal.emit(RunFolder(chosen[0].path))  # type: ignore[attr-defined]
            self.refresh()

    def _keep_note(self) -> None:
        if self._noted is not None and self._noted.path.is_dir() and self.note.document().isModified():
            write_note(RunFolder(self._noted.path), self.note.toPlainText())
            self.note.document().setModified(False)

    def _in_queue(self, act: Callable[[Path, str], object]) -> None:
        chosen = self.chosen()
        if len(chosen) == 1:
            act(chosen[0].path.parent, chosen[0].path.name)
            self.refresh()

    def _delete(self) -> None:
        self._keep_note()
        thrown: list[RunFolder] = []
        for info in self.chosen():
            try:
                thrown.append(move_to_trash(RunFolder(info.path)))
            except NetwrightError as error:
                self._messages.say(str(error), "danger", key="runs")
        self.refresh()
        if thrown:
            name = run_title(thrown[0].path.name) if len(thrown) == 1 else wording.plural(len(thrown), "run")
            undo = Choice("Undo", lambda: self._restore(thrown), primary=True)
            self._messages.say(f"{name} moved to the trash of the runs folder.", "info", undo, key="runs")

    def _restore(self, thrown: Sequence[RunFolder]) -> None:
        try:
            back = {restore(run).path for run in thrown}
        except NetwrightError as error:
            self._messages.say(str(error), "danger", key="runs")
            return
        self.refresh()
        self.select(back)

    def _empty_trash(self) -> None:
        root = self._root
        if root is None:
            return

        def empty() -> None:
            try:
                empty_trash(root)
            except NetwrightError as error:
                self._messages.say(str(error), "danger", key="runs")
            self.refresh()

        text = f"Delete {wording.plural(in_trash(root), 'run')} with all checkpoints for good?"
        self._messages.say(text, "warning", Choice("Delete", empty, primary=True), key="runs", stays=True)

    def _compare(self) -> None:
        from designer.ui.runs_compare import RunsCompare

        if (old := self.pages.widget(1)) is not None:
            self.pages.removeWidget(old)
            old.deleteLater()
        made = RunsCompare(self.chosen())
        made.back.clicked.connect(lambda: self.pages.setCurrentIndex(0))
        self.pages.addWidget(made)
        self.pages.setCurrentWidget(made)

    @property
    def comparison(self) -> QWidget | None:
        """The page that compares runs, while it is on show."""
        return self.pages.currentWidget() if self.pages.currentIndex() == 1 else None


class _Note(QPlainTextEdit):
    """Signals:
    left(): the keyboard went elsewhere.
    """

    left = Signal()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.left.emit()


def _facts(info: RunInfo) -> str:
    known = [
        f"{info.epoch} of {info.epochs} epochs",
        f"took {wording.seconds(info.seconds)}" if info.started else "not begun",
        info.device.upper() if info.device == "cpu" else info.device,
        f"document {info.document}" if info.document else "",
    ]
    return " · ".join(fact for fact in known if fact)
