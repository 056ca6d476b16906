"""The Sweep tab: choose parameters and start; the trials as a table and as parallel coordinates while they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from PySide6.QtCore import QItemSelectionModel, QSortFilterProxyModel, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHBoxLayout, QSplitter, QWidget

from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.space import find_parameter
from designer.train import control
from designer.train.run import RunFolder
from designer.train.run_list import metric_title
from designer.train.sweep import SweepConfig, SweepFolder, SweepStatus, Trial, start_sweep, sweeps_in
from designer.ui import wording
from designer.ui.editors import CalmComboBox
from designer.ui.message_bar import MessageBar
from designer.ui.run_bar import run_title
from designer.ui.sweep_form import SweepForm
from designer.ui.sweep_model import SORT, TrialsModel, short
from designer.ui.tables import Table, sorted_table
from designer.ui.widgets import ElidedLabel, button, column, row, tool

if TYPE_CHECKING:
    from designer.ui.parallel_plot import ParallelPlot

FORM_WIDTH = 374
REFRESH_MS = 600
_KEY = "sweep"
_BOTH = 800
"""Pixels from which on there is room for the table beside the parallel coordinates."""
_LEAST_WHY = 60
"""Pixels of the last column."""
_WORDS = {
    "running": "Sweeping", "stopping": "Stopping…", "stopped": "Stopped", "finished": "Finished", "failed": "Failed",
    "died": "Broke off",
}  # fmt: skip


class SweepPanel(QWidget):
    """Signals:
    start_clicked(): Start was pressed; the window checks the document and then calls `start`.
    document_wanted(RunFolder): open the document of a trial.
    curves_wanted(RunFolder): show a trial's run in the Train tab.
    values_wanted(Trial): set the document's parameters to a trial's values.
    """

    start_clicked = Signal()
    document_wanted = Signal(RunFolder)
    curves_wanted = Signal(RunFolder)
    values_wanted = Signal(Trial)

    def __init__(self, messages: MessageBar) -> None:
        super().__init__()
        self._messages = messages
        self._document: Document | None = None
        self._root: Path | None = None
        self._drafts: WeakKeyDictionary[Document, dict[str, str]] = WeakKeyDictionary()
        self.sweep: SweepFolder | None = None
        self.status = SweepStatus("idle")
        self.sweeps = CalmComboBox()
        self.sweeps.setAccessibleName("Sweeps of this folder")
        self.form = SweepForm()
        self.start_button = button("Start sweep", "primary", "play", "Train a run for each set of values")
        self.stop = button("Stop", "danger", "stop", "The trials at work write a checkpoint and can go on later")
        self.resume = button("Resume", "", "play", "Go on where it stopped")
        self.model = TrialsModel()
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.model)
        self.sorted.setSortRole(SORT)
        self.view = self._make_view()
        self.plot: ParallelPlot | None = None
        self.state = ElidedLabel("", "muted")
        self.use = button("Use values", "small", "check", "Set this document's parameters to the trial's values")
        self.open = tool("file-outline", "Open the trial's document")
        self.curves = tool("chart-line", "Show the trial's run in the Train tab")
        self.as_plot = tool("chart-timeline-variant", "Show the trials as parallel coordinates, or as a table")
        self.as_plot.setCheckable(True)
        self.setLayout(self._build())
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._connect()
        self._show_buttons()

    def _make_view(self) -> Table:
        view = sorted_table(self.sorted, "Trials")
        view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        return view

    def _build(self) -> QHBoxLayout:
        actions = row(self.start_button, self.stop, self.resume, 1)
        left = QWidget()
        left.setFixedWidth(FORM_WIDTH)
        box = column(self.sweeps, self.form, actions, margins=(12, 8, 12, 8), gap=6)
        box.setStretch(1, 1)
        left.setLayout(box)
        divider = QFrame()
        divider.setProperty("look", "vline")
        bar = row(self.state, self.use, self.open, self.curves, self.as_plot, margins=(8, 4, 8, 4), gap=4)
        bar.setStretch(0, 1)
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(self.view)
        right = column(bar, self.split, gap=0)
        right.setStretch(1, 1)
        whole = row(left, divider, right, gap=0)
        whole.setStretch(2, 1)
        return whole

    def _connect(self) -> None:
        self.sweeps.activated.connect(lambda _i: self._choose(self.sweeps.currentData()))
        self.form.changed.connect(self._show_buttons)
        self.start_button.clicked.connect(self.start_clicked)
        self.stop.clicked.connect(self._stop)
        self.resume.clicked.connect(self._resume)
        self.view.selectionModel().selectionChanged.connect(lambda *_: self._on_selection())
        self.view.doubleClicked.connect(lambda _index: self._emit(self.document_wanted))
        self.use.clicked.connect(self._use)
        self.open.clicked.connect(lambda: self._emit(self.document_wanted))
        self.curves.clicked.connect(lambda: self._emit(self.curves_wanted))
        self.as_plot.toggled.connect(lambda _on: self._share_room())

    # -- which sweep -------------------------------------------------------------------------------------------------

    def set_document(self, document: Document | None, runs: Path | None) -> None:
        """Show this document's next sweep, and offer those beside its runs; one at work is followed."""
        self._document = document
        self.set_runs_folder(runs, again=True)

    def set_runs_folder(self, runs: Path | None, *, again: bool = False) -> None:
        """Look for sweeps beside this folder of runs."""
        root = runs.parent / "sweeps" if runs is not None else None
        if root == self._root and not again:
            return
        self._root = root
        found = sweeps_in(root) if root is not None else []
        working = next((sweep for sweep in found if sweep.status().state in ("running", "stopping")), None)
        self.show_sweep(working)

    def show_sweep(self, sweep: SweepFolder | None) -> None:
        """Show a sweep; None is the next one, which has not begun."""
        self.sweep, self.status = sweep, SweepStatus("idle")
        self.sweeps.clear()
        self.sweeps.addItem("New sweep", None)
        for one in sweeps_in(self._root) if self._root is not None else []:
            self.sweeps.addItem(f"Sweep {run_title(one.path.name)}", str(one.path))
        self.sweeps.setCurrentIndex(max(0, self.sweeps.findData(str(sweep.path) if sweep is not None else None)))
        if sweep is not None:
            try:
                catalogue = self._document.catalogue if self._document is not None else None
                self.form.show_config(Document(sweep.document(), catalogue), sweep.config())
            except NetwrightError as error:
                self._messages.say(str(error), "danger", key=_KEY)
        elif self._document is not None:
            self.form.show_space(self._document, self._drafts.setdefault(self._document, {}))
        self.form.set_editable(sweep is None)
        self.refresh()

    def _choose(self, path: str | None) -> None:
        self.show_sweep(SweepFolder(Path(path)) if path else None)

    def catalogue_changed(self) -> None:
        """The document knows other parameters now."""
        self.show_sweep(self.sweep)

    def sweep_over(self, name: str) -> None:
        """Add a parameter, written as `training.epochs` or as a node's id, a dot and its name, to the next sweep."""
        if self._document is None:
            return
        if self.sweep is not None:
            self.show_sweep(None)
        try:
            self.form.add_parameter(find_parameter(self._document, name))
        except NetwrightError as error:
            self._messages.say(str(error), "warning", key=_KEY)

    # -- starting and steering ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Freeze the document into a sweep's folder and start its runner. Raises NetwrightError when it cannot be."""
        if self._document is None or self._root is None:
            return
        config = SweepConfig(name=self._document.data.name, **self.form.options())
        sweep = SweepFolder.create(self._root, self._document.data, config)
        start_sweep(sweep)
        self._messages.withdraw(_KEY)
        self.show_sweep(sweep)

    def _stop(self) -> None:
        if self.sweep is not None:
            control.write(self.sweep, "stop")
            self.stop.setEnabled(False)

    def _resume(self) -> None:
        if self.sweep is None:
            return
        try:
            config = self.sweep.config()
            wanted = {"trials": self.form.trials.value(), "jobs": self.form.jobs.value()}
            self.sweep.write_config(config.model_copy(update=wanted))
            start_sweep(self.sweep)
        except (NetwrightError, OSError) as error:
            self._messages.say(str(error), "danger", key=_KEY)
        self.refresh()

    # -- what is shown -----------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        QTimer.singleShot(0, self, self.make_plot)  # pyqtgraph takes a moment to import
        self._timer.start()
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()

    def make_plot(self) -> ParallelPlot:
        """The parallel coordinates, made when they are first wanted."""
        if self.plot is None:
            from designer.ui.parallel_plot import ParallelPlot

            self.plot = ParallelPlot()
            self.plot.picked.connect(self.select)
            self.split.addWidget(self.plot)
            self.split.setSizes([500, 500])
            self._show_trials()
        return self.plot

    def refresh(self) -> None:
        """Look at the sweep's folder again."""
        if self.sweep is not None and not self.sweep.config_path.is_file():
            self.show_sweep(None)
            return
        before = self.status.state
        self.status = self.sweep.status() if self.sweep is not None else SweepStatus("idle")
        self._show_trials()
        self._show_buttons()
        if self.status.state == "failed" and before != "failed":
            self._messages.say(self.status.message, "danger", key=_KEY)

    def _show_trials(self) -> None:
        try:
            config = self.sweep.config() if self.sweep is not None else None
        except NetwrightError:
            config = None
        space = config.space if config is not None else []
        self.model.show(space, self.status)
        self._share_room()
        self.view.fit(self.model.columnCount() - 1, _LEAST_WHY)
        if self.plot is not None:
            self.plot.show_trials(space, self.status, more=config is None or config.direction == "maximize")
        total = config.trials if config is not None else 0
        self.state.set_full_text(self._words(total))

    def _share_room(self) -> None:
        """Table and parallel coordinates side by side, or one of them where a window is too narrow for both."""
        both = self.split.width() >= _BOTH
        drawn = self.plot is not None and self.sweep is not None
        self.as_plot.setVisible(drawn and not both)
        self.view.setVisible(both or not drawn or not self.as_plot.isChecked())
        if self.plot is not None:
            self.plot.setVisible(drawn and (both or self.as_plot.isChecked()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        QTimer.singleShot(0, self, self._share_room)  # when the splitter has its width, too

    def _words(self, total: int) -> str:
        if self.sweep is None:
            return "Each trial is a run of its own; a sweep goes on without the window."
        said = [_WORDS.get(self.status.state, self.status.state), f"{self.status.ended} of {total} trials"]
        best = self.status.trial(self.status.best)
        if best is not None and best.metric is not None:
            said.append(f"best {metric_title(self.status.metric)} {best.metric:.4f} (trial {best.number + 1})")
        labels = {d.target: short(d.label).lower() for d in self.model.space}
        shares = [f"{labels.get(t, t)} {share:.0%}" for t, share in self.status.importance.items()]
        if shares:
            said.append("matters: " + ", ".join(shares[:4]))
        return " · ".join(said)

    def _show_buttons(self) -> None:
        working = self.status.state in ("running", "stopping")
        self.start_button.setVisible(self.sweep is None)
        self.start_button.setEnabled(bool(self.form.rows))
        self.stop.setVisible(working)
        self.stop.setEnabled(self.status.state == "running")
        self.resume.setVisible(self.sweep is not None and not working)
        more = self.form.trials.value() > self.status.ended
        self.resume.setEnabled(self.status.state in ("stopped", "died", "failed") or more)
        self.resume.setToolTip("Go on where it stopped" if self.resume.isEnabled() else "Raise Trials to go on")
        trial = self.chosen()
        self.use.setEnabled(trial is not None and self._document is not None)
        for made in (self.open, self.curves):
            made.setEnabled(trial is not None and bool(trial.run))

    def chosen(self) -> Trial | None:
        """The trial of the selected row."""
        rows = self.view.selectionModel().selectedRows()
        place = self.sorted.mapToSource(rows[0]).row() if rows else -1
        return self.model.trials[place] if 0 <= place < len(self.model.trials) else None

    def select(self, number: int) -> None:
        """Select the row of a trial and bring it into sight."""
        place = next((i for i, trial in enumerate(self.model.trials) if trial.number == number), -1)
        if place >= 0:
            index = self.sorted.mapFromSource(self.model.index(place, 0))
            flag = QItemSelectionModel.SelectionFlag
            self.view.selectionModel().select(index, flag.ClearAndSelect | flag.Rows)
            self.view.scrollTo(index)

    def _on_selection(self) -> None:
        trial = self.chosen()
        if self.plot is not None:
            self.plot.choose(trial.number if trial is not None else None)
        self._show_buttons()

    def _use(self) -> None:
        if (trial := self.chosen()) is not None:
            self.values_wanted.emit(trial)

    def _emit(self, signal: object) -> None:
        trial = self.chosen()
        if trial is None or self.sweep is None:
            return
        try:
            signal.emit(self.sweep.run(trial))  # type: ignore[attr-defined]
        except NetwrightError:
            self._messages.say(f"Trial {trial.number + 1} has no run: {trial.reason}", "warning", key=_KEY)

    def say_used(self, trial: Trial) -> None:
        """The document has a trial's values now."""
        self._messages.say(
            f"The document has the {wording.plural(len(trial.values), 'value')} of trial {trial.number + 1}. "
            "Undo takes them back.", "success", key=_KEY,
        )  # fmt: skip
