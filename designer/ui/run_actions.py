"""Starting a run from the window, and what is said and offered while it works and when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer

from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.train.queue import put_in_queue, remove_from_queue
from designer.train.run import RunFolder
from designer.ui.advisor_panel import AdvisorPanel
from designer.ui.finetune_panel import FineTunePanel
from designer.ui.message_bar import Choice
from designer.ui.open_document import document_title
from designer.ui.rate_panel import RatePanel
from designer.ui.run_bar import run_title

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


ADVANCE_MS = 2000
"""Between two looks at the queue."""


class RunActions:
    """`window` is the window whose document in front is trained."""

    def __init__(self, window: MainWindow) -> None:
        self._window, self._train, self._messages = window, window.train, window.messages
        self._train.start_clicked.connect(self.start)
        self._train.queue_clicked.connect(self.enqueue)
        self._train.form.rate_wanted.connect(self.find_rate)
        self._train.said.connect(self._on_said)
        self._train.run_ended.connect(self._on_ended)
        self._train.state_changed.connect(self._on_state)
        panel = window.runs_panel
        self._train.folder_changed.connect(lambda root: panel.set_folder(root))
        self._train.folder_changed.connect(lambda root: window.predict.set_folder(root))
        panel.predict_wanted.connect(self._predict)
        panel.curves_wanted.connect(self._show_run)
        panel.document_wanted.connect(self.open_document)
        panel.resume_wanted.connect(self._resume_run)
        panel.finetune_wanted.connect(lambda run: FineTunePanel(window, run).show())
        self._train.bar.finetune_clicked.connect(lambda: FineTunePanel(window).show())
        self._advance = QTimer(window)
        self._advance.setInterval(ADVANCE_MS)
        self._advance.timeout.connect(self._train.advance_queue)
        self._advance.start()

    def start(self) -> None:
        """Start a run of the document as it is now, unless it has errors: those are shown instead."""
        window, document = self._window, self._window.workspace.document
        if document is None or self._train.busy:
            window.show_tab(self._train)
            working = self._train.at_work
            trained = self._train.document_of(working.run) if working is not None else None
            if working is not None and working.run is not None and (working is self._train.aside or self._train.whose):
                name = document_title(trained) if trained is not None else run_title(working.run.path.name)
                text = f"“{name}” is being trained. Stop that run first, or let this one wait for its end."
                self._messages.say(text, "info", Choice("Put it in the queue", self.enqueue), key="train")
            return
        if not self.can_train():
            return
        window.show_tab(self._train)
        self._messages.withdraw("train")
        try:
            self._train.start()
        except (NetwrightError, OSError) as error:
            self._messages.say(f"The run could not be started: {error}", "danger", key="train")

    def enqueue(self) -> None:
        """Let the document as it is now be trained after the run at work."""
        if self._window.workspace.document is None or not self.can_train():
            return
        try:
            run = self._train.enqueue()
        except (NetwrightError, OSError) as error:
            self._messages.say(f"The run could not be queued: {error}", "danger", key="train")
            return
        text = f"{run_title(run.path.name)} waits in the queue; it starts when the run at work has ended."
        self._messages.say(text, "info", Choice("Show the runs", self._show_runs), key="queue")

    def advise(self) -> None:
        """Open the advice on training of the document in front."""
        if (document := self._window.workspace.document) is not None:
            AdvisorPanel(document, self._window).show()

    def find_rate(self) -> None:
        """Sweep the learning rate of the document in front, unless it has errors."""
        document = self._window.workspace.document
        if document is not None and self.can_train():
            RatePanel(document, self._window).show()

    def _show_runs(self) -> None:
        self._window.show_tab(self._window.runs_panel)

    def _show_run(self, run: RunFolder) -> None:
        self._train.show_run(run)
        self._window.show_tab(self._train)

    def _predict(self, run: RunFolder) -> None:
        self._window.show_tab(self._window.predict)
        self._window.predict.list_runs(run)

    def open_document(self, run: RunFolder) -> None:
        """Open the document of a run as a new one."""
        try:
            self._window.workspace.open_data(run.document())
        except NetwrightError as error:
            self._messages.say(str(error), "danger", key="runs")

    def _resume_run(self, run: RunFolder) -> None:
        watch = self._train.at_work
        if watch is not None and watch.run is not None and watch.run.path != run.path:
            put_in_queue(run)
            doing = "is paused" if watch.state == "paused" else "is at work"
            text = (
                f"{run_title(watch.run.path.name)} {doing}. {run_title(run.path.name)} waits in the queue for its end."
            )
            self._messages.say(text, key="queue")
            return
        remove_from_queue(run.path.parent, run.path.name)
        self._train.show_run(run)
        self._resume()

    def can_train(self) -> bool:
        """Whether the document has no error; the first is said."""
        errors = [p for p in self._window.shown_problems if p.severity == "error"]
        if errors:
            self._window.show_tab(self._window.problems)
            text = f"This model cannot be trained yet: {errors[0].message}"
            self._messages.say(text, "danger", key="train")
        return not errors

    def _on_said(self, text: str, tone: str, node: str) -> None:
        document = self._window.workspace.document
        there = document is not None and any(n.id == node for n in document.data.nodes)
        choices = (Choice("Show the node", lambda: self._window.show_node(node)),) if there else ()
        self._messages.say(text, "warning" if tone == "warning" else "info", *choices, key="run_warning")

    def _on_state(self, state: str) -> None:
        working = self._train.at_work
        paused = working is not None and working.state == "paused"
        self._window.train_button.setText("Paused" if paused else "Training…" if working else "Train")
        tabs = self._window.tabs
        tabs.setTabText(tabs.indexOf(self._train), "Train  ●" if working else "Train")
        if state == "running":
            self._messages.withdraw("train")

    def _on_ended(self, state: str, text: str) -> None:
        run = self._train.ended
        assert run is not None
        resume = Choice("Resume", lambda: self._resume_run(run), primary=True)
        if state in ("failed", "died"):
            self._messages.say(text, "danger", resume, key="train")
        elif state == "stopped":
            self._messages.say(text, "info", resume, key="train")
        elif (trained := self._train.document_of(run)) is not None:
            export = Choice("Export ONNX…", lambda: self._export(trained), primary=True)
            self._messages.say(text, "success", export, key="train")
        else:  # it was started elsewhere, of a document that may be another than those that are open
            show = Choice("Show the run", lambda: self._show_run(run), primary=True)
            self._messages.say(text, "success", show, key="train")

    def _resume(self) -> None:
        self._window.show_tab(self._train)
        self._train.resume()

    def _export(self, trained: Document) -> None:
        """What was trained is exported, whichever tab is in front by now."""
        workspace = self._window.workspace
        there = next((one for one in workspace.documents if one.document is trained), None)
        if there is None:
            text = f"“{document_title(trained)}” is closed. Open it again to export it with the run's weights."
            self._messages.say(text, "warning", key="train")
            return
        workspace.go_to(there)
        self._window.open_export("onnx")
