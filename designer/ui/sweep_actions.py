"""What the Sweep tab wants of the window: a check before a start, a trial's document, curves and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from designer.graph.errors import NetwrightError
from designer.graph.space import apply_values
from designer.train.run import RunFolder
from designer.train.sweep import Trial

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


class SweepActions:
    """`window` is the window whose document in front is swept."""

    def __init__(self, window: MainWindow) -> None:
        self._window, self._panel, self._messages = window, window.sweep, window.messages
        self._panel.start_clicked.connect(self._start)
        self._panel.document_wanted.connect(window.runs.open_document)
        self._panel.curves_wanted.connect(self._show_curves)
        self._panel.values_wanted.connect(self._use)
        window.workspace.opened.connect(self._on_opened)
        window.train.folder_changed.connect(lambda root: self._panel.set_runs_folder(root))
        window.inspector.sweep_wanted.connect(self.sweep_over)
        window.train.form.sweep_wanted.connect(self.sweep_over)

    def _on_opened(self) -> None:
        workspace = self._window.workspace
        self._panel.set_document(workspace.document, workspace.runs_folder)

    def sweep_over(self, name: str) -> None:
        """A parameter was chosen elsewhere in the window."""
        self._window.show_tab(self._panel)
        self._panel.sweep_over(name)

    def _start(self) -> None:
        if self._window.workspace.document is None or not self._window.runs.can_train():
            return
        try:
            self._panel.start()
        except (NetwrightError, OSError) as error:
            self._messages.say(f"The sweep could not be started: {error}", "danger", key="sweep")

    def _show_curves(self, run: RunFolder) -> None:
        self._window.train.show_run(run)
        self._window.show_tab(self._window.train)

    def _use(self, trial: Trial) -> None:
        document = self._window.workspace.document
        if document is None:
            return
        try:
            apply_values(document, trial.values, f"Use the values of trial {trial.number + 1}")
        except NetwrightError as error:
            self._messages.say(f"These values do not fit this document: {error}", "danger", key="sweep")
            return
        self._panel.say_used(trial)
