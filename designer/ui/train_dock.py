"""The Train tab: the form, the run's head and its curves; starts, steers and follows the trainer process."""

from __future__ import annotations

import json
import time
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.train import control
from designer.train.events import EventTail
from designer.train.queue import put_in_queue, queue_of, start_next
from designer.train.ready import ReadyTrainer
from designer.train.remote import send_run, start_fetching
from designer.train.run import RunFolder, is_alive, start_training
from designer.ui.open_document import document_title
from designer.ui.run_bar import RunBar
from designer.ui.run_end import ENDS, end_words
from designer.ui.run_watch import MOST_STEPS, RunWatch, runs_in
from designer.ui.train_form import TrainForm
from designer.ui.widgets import column, row

if TYPE_CHECKING:
    from designer.ui.curves import Curves
    from designer.ui.live_tabs import LiveTabs

FORM_WIDTH = 288
CURVES_AFTER_MS = 300
READY_AFTER_MS = 4000
"""After the tab is shown: the engine, which starts with the window, needs the processor first."""


class TrainDock(QWidget):
    """Signals:
    start_clicked(): Start was pressed; the window checks the document and then calls `start`.
    queue_clicked(): it shall be trained after the run at work; the window calls `enqueue`.
    run_ended(str, str): a run that was seen at work ended, `ended`: its state (`finished`, `stopped`, `failed`, `died`)
        and what to say about it.
    said(str, str, str): the trainer at work has something to tell: the text, `warning` or `info`, and the id of the
        node that it is about, or "".
    folder_changed(Path or None): the runs of another folder are listed.
    statistics_changed(dict): figures of each node by its id, of the run on show; empty when it has none.
    state_changed(str): the state of the run on show.
    """

    start_clicked = Signal()
    queue_clicked = Signal()
    said = Signal(str, str, str)
    statistics_changed = Signal(dict)
    folder_changed = Signal(object)
    run_ended = Signal(str, str)
    state_changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._document: Document | None = None
        self._documents: dict[Path, Document] = {}
        """Of the runs that were started or queued in this window, by their folders."""
        self.ended: RunFolder | None = None
        """The run of the last `run_ended`."""
        self._at_work: set[Path] = set()
        self._root: Path | None = None
        self._process: Popen[bytes] | None = None
        self._ready = ReadyTrainer()
        self._followed = 0.0
        self._sampled: tuple[Path, int] | None = None
        self.form = TrainForm()
        self.form.setFixedWidth(FORM_WIDTH)
        self.bar = RunBar()
        self.watch = RunWatch()
        """Of the run on show."""
        self.aside = RunWatch()
        """Of a run that went on when the user chose to look at another."""
        self.live: LiveTabs | None = None
        self._right: QVBoxLayout = column(self.bar, gap=4)
        divider = QFrame()
        divider.setProperty("look", "vline")
        self.setLayout(row(self.form, divider, self._right, gap=0))
        self.bar.start_clicked.connect(self.start_clicked)
        self.bar.pause_clicked.connect(lambda: self._steer("pause"))
        self.bar.stop_clicked.connect(lambda: self._steer("stop"))
        self.bar.save_clicked.connect(lambda: self._steer("save"))
        self.bar.resume_clicked.connect(self.resume)
        self.bar.queue_clicked.connect(self.queue_clicked)
        self.bar.fetch_clicked.connect(self._fetch)
        self.bar.run_chosen.connect(self._on_run_chosen)
        self.bar.back_clicked.connect(self._show_at_work)
        self.watch.events.connect(self._on_events)
        self.watch.state_changed.connect(self._on_state)
        self.aside.events.connect(self._say_events)
        self.aside.state_changed.connect(self._on_aside_state)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._see_runs()
        # After the frame that shows this tab: the import must not delay it.
        QTimer.singleShot(CURVES_AFTER_MS, self, self.make_curves)
        QTimer.singleShot(READY_AFTER_MS, self, self._prepare)

    def _prepare(self) -> None:
        """Have a trainer wait for Start, while this tab is shown and nothing is trained."""
        if self.isVisible() and not self.busy:
            self._ready.prepare()

    def close_ready(self) -> None:
        """Let the trainer that waits end, as the window does."""
        self._ready.close()

    @property
    def curves(self) -> Curves | None:
        """The curves of the run on show, once they were wanted."""
        return self.live.curves if self.live is not None else None

    def make_curves(self) -> LiveTabs:
        """The views of the run; pyqtgraph is imported when they are first wanted."""
        if self.live is None:
            from designer.ui.live_tabs import LiveTabs

            self.live = LiveTabs()
            self._right.addWidget(self.live, 1)
            run = self.watch.run
            if run is not None:
                self.live.show_events(EventTail(run.events_path, MOST_STEPS).read(), run)
        return self.live

    def set_document(self, document: Document | None, runs: Path | None) -> None:
        """Show this document's settings and the runs of the folder `runs`; a run that is alive there is followed."""
        self._document = document
        self.form.set_document(document)
        self.set_runs_folder(runs)
        self._show_state()

    def set_runs_folder(self, runs: Path | None) -> None:
        """Look for runs in this folder, as after Save as; the run that is being watched stays."""
        if runs == self._root:
            return
        self._root = runs
        self.folder_changed.emit(runs)
        if not self.watch.active:
            found = runs_in(runs) if runs is not None else []
            self._follow(next((run for run in found if is_alive(run)), found[0] if found else None))
        self._list_runs()

    @property
    def busy(self) -> bool:
        """Whether a run is at work, on show or not."""
        return self.watch.active or self.aside.active

    @property
    def at_work(self) -> RunWatch | None:
        """The run at work, on show or not."""
        return next((one for one in (self.watch, self.aside) if one.active), None)

    def document_of(self, run: RunFolder | None) -> Document | None:
        """The document that this window trained in a run."""
        return self._documents.get(run.path) if run is not None else None

    @property
    def whose(self) -> str:
        """The name of the document whose run is on show, where it is not the one in front."""
        document = self.document_of(self.watch.run)
        return document_title(document) if document is not None and document is not self._document else ""

    def _show_state(self) -> None:
        run = self.watch.run
        self.bar.show_state(self.watch.state, self.watch.last, self.whose, elsewhere=self.aside.active)
        self.bar.fetch.setVisible(self.watch.active and run is not None and run.remote_path.is_file())

    def _list_runs(self) -> None:
        found = [run.path for run in runs_in(self._root)] if self._root is not None else []
        current = self.watch.run.path if self.watch.run is not None else None
        if current is not None and current not in found and current.is_dir():
            found.insert(0, current)
        self.bar.show_runs(found, current)

    def _see_runs(self) -> None:
        """List runs that others made or deleted; in the place of a run on show that is gone comes the newest."""
        if not self.isVisible():
            return
        run = self.watch.run
        if run is not None and not self.watch.active and not run.path.is_dir():
            self._follow(next(iter(runs_in(self._root)), None) if self._root is not None else None)
        else:
            self._list_runs()

    def _follow(self, run: RunFolder | None, *, starting: bool = False) -> None:
        if self.live is not None:
            self.live.reset()
        self._followed = time.time()
        if run is not None and self.aside.run is not None and run.path == self.aside.run.path:
            self.aside.follow(None)
        elif self.watch.active and run is not None and run.path != self._shown_path():
            self.aside.follow(self.watch.run)
        self.watch.follow(run, starting=starting)
        self._look_at_statistics()
        self._show_state()
        self._list_runs()

    def _on_run_chosen(self, path: str) -> None:
        if path:
            self.show_run(RunFolder.open(Path(path)))

    # -- starting and steering -------------------------------------------------------------------------------------

    def start(self) -> RunFolder:
        """Freeze the document into a new run folder and start its trainer.

        Raises:
            NetwrightError: when the folder cannot be made.
        """
        if self._document is None or self._root is None:
            raise ValueError("There is no document to train.")
        run = self._new_run(self._root, self._document)
        self._process = self._ready.start(run) or start_training(run)
        self._documents[run.path] = self._document
        self._follow(run, starting=True)
        return run

    def _new_run(self, root: Path, document: Document) -> RunFolder:
        run = RunFolder.create(root, document.data, document.data.name)
        if (host := self.form.run_on.host()) is not None:
            drawn = document.data.data.kind == "shapes"  # there as well as here
            send_run(run, host, send_data=self.form.run_on.send_data.isChecked() and not drawn)
        return run

    def enqueue(self) -> RunFolder:
        """Freeze the document into a new run folder that waits for the run at work.

        Raises:
            NetwrightError: when the folder cannot be made.
        """
        if self._document is None or self._root is None:
            raise ValueError("There is no document to train.")
        working = self.at_work.run if self.at_work is not None else None
        run = self._new_run(working.path.parent if working is not None else self._root, self._document)
        self._documents[run.path] = self._document
        put_in_queue(run)
        self._list_runs()
        return run

    def advance_queue(self) -> None:
        """Start what waits, if nothing is at work, and follow a run that was started elsewhere.

        While the user looks at another run than the one that was at work, the next one does not take its place.
        """
        self._see_runs()
        if self.busy:
            return
        watches = (self.watch, self.aside)
        roots = {root for root in (self._root, *(w.run.path.parent for w in watches if w.run is not None)) if root}
        for root in roots:
            if queue_of(root):
                start_next(root)
                self._list_runs()
        alive = (run for root in roots for run in runs_in(root) if is_alive(run))
        run = next((run for run in alive if not any(watch.is_leaving(run) for watch in watches)), None)
        if run is not None and self.aside.run is not None and run.path != self._shown_path():
            self.aside.follow(run)
        elif run is not None:
            self._follow(run)

    def _shown_path(self) -> Path | None:
        return self.watch.run.path if self.watch.run is not None else None

    def _show_at_work(self) -> None:
        if self.aside.run is not None:
            self._follow(self.aside.run)

    def show_run(self, run: RunFolder) -> None:
        """Show another run: its curves, and what it does if it is at work."""
        if self._shown_path() != run.path:
            self._follow(run)

    def resume(self) -> None:
        """Go on with the run on show: unpause its trainer, or start one from the last checkpoint."""
        run = self.watch.run
        if run is None:
            return
        if self.watch.state == "paused":
            self._steer("resume")
            return
        try:
            self._process = self._ready.start(run, resume=True) or start_training(run, resume=True)
        except NetwrightError as error:
            self.ended = run
            self.run_ended.emit("failed", str(error))
            return
        self._follow(run, starting=True)

    def _fetch(self) -> None:
        if self.watch.run is not None:
            start_fetching(self.watch.run)

    def _steer(self, command: str) -> None:
        if self.watch.run is not None:
            control.write(self.watch.run, command)

    @property
    def trainer_pid(self) -> int | None:
        """The process id of the trainer that this window started last."""
        return self._process.pid if self._process is not None else None

    # -- what the run says -----------------------------------------------------------------------------------------

    def _on_events(self, events: list[dict]) -> None:
        if self.live is not None:
            self.live.show_events(events, self.watch.run)
        self._show_state()
        self._say_events(events)
        self._look_at_statistics(anew=any(event["type"] == "unfrozen" for event in events))

    def _say_events(self, events: list[dict]) -> None:
        for event in events:
            if event["type"] in ("warning", "note") and event["time"] >= self._followed:
                tone = "warning" if event["type"] == "warning" else "info"
                self.said.emit(str(event["message"]), tone, str(event.get("node") or ""))

    def _look_at_statistics(self, *, anew: bool = False) -> None:
        """Tell what is new in the run's newest sample of its nodes; `anew` tells it in any case."""
        path = self.watch.run.statistics_path if self.watch.run is not None else None
        try:
            stamp = (path, path.stat().st_mtime_ns) if path is not None else None
            if stamp == self._sampled and not anew:
                return
            nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"] if path is not None else {}
        except (OSError, ValueError, KeyError):
            stamp, nodes = None, {}
        if anew or stamp is not None or self._sampled is not None:
            self.statistics_changed.emit(nodes)
        self._sampled = stamp

    def _on_state(self, state: str) -> None:
        self._show_state()
        self.state_changed.emit(state)
        self._tell_end(self.watch)

    def _on_aside_state(self, _state: str) -> None:
        self._show_state()
        self.state_changed.emit(self.watch.state)
        self._tell_end(self.aside)

    def _tell_end(self, watch: RunWatch) -> None:
        """Tell that a run ended which was seen at work; one that had ended before is only shown."""
        if watch.run is None:
            return
        if watch.active:
            self._at_work.add(watch.run.path)
        elif watch.state in ENDS and watch.run.path in self._at_work:
            self._at_work.discard(watch.run.path)
            if self._process is not None:
                self._process.poll()  # or it stays as a zombie
            QTimer.singleShot(READY_AFTER_MS, self, self._prepare)
            self.ended = watch.run
            self.run_ended.emit(watch.state, end_words(watch))
