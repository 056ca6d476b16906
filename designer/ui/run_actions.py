"""Starting a run from the window, and what is said and offered while it works and when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from designer.graph.errors import NetwrightError
from designer.ui.message_bar import Choice
from designer.ui.open_document import document_title

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


class RunActions:
    """`window` is the window whose document in front is trained."""

    def __init__(self, window: MainWindow) -> None:
        self._window, self._train, self._messages = window, window.train, window.messages
        self._train.start_clicked.connect(self.start)
        self._train.said.connect(lambda text, tone: self._messages.say(text, tone, key="run_warning"))
        self._train.run_ended.connect(self._on_ended)
        self._train.state_changed.connect(self._on_state)

    def start(self) -> None:
        """Start a run of the document as it is now, unless it has errors: those are shown instead."""
        window, document = self._window, self._window.workspace.document
        if document is None or self._train.watch.active:
            window.show_tab(self._train)
            if self._train.watch.active and self._train.whose:
                text = f"“{self._train.whose}” is being trained. Stop that run first, or wait for its end."
                self._messages.say(text, key="train")
            return
        errors = [p for p in window.shown_problems if p.severity == "error"]
        if errors:
            window.show_tab(window.problems)
            text = f"This model cannot be trained yet: {errors[0].message}"
            self._messages.say(text, "danger", key="train")
            return
        window.show_tab(self._train)
        self._messages.withdraw("train")
        try:
            self._train.start()
        except (NetwrightError, OSError) as error:
            self._messages.say(f"The run could not be started: {error}", "danger", key="train")

    def _on_state(self, state: str) -> None:
        working = self._train.watch.active
        self._window.train_button.setText("Training…" if working else "Train")
        tabs = self._window.tabs
        tabs.setTabText(tabs.indexOf(self._train), "Train  ●" if working else "Train")
        if state == "running":
            self._messages.withdraw("train")

    def _on_ended(self, state: str, text: str) -> None:
        resume = Choice("Resume", self._resume, primary=True)
        if state in ("failed", "died"):
            self._messages.say(text, "danger", resume, key="train")
        elif state == "stopped":
            self._messages.say(text, "info", resume, key="train")
        else:
            self._messages.say(text, "success", Choice("Export ONNX…", self._export, primary=True), key="train")

    def _resume(self) -> None:
        self._window.show_tab(self._train)
        self._train.resume()

    def _export(self) -> None:
        """What was trained is exported, whichever tab is in front by now."""
        workspace, trained = self._window.workspace, self._train.trained
        there = next((one for one in workspace.documents if one.document is trained), None)
        if there is None and trained is not None:
            text = f"“{document_title(trained)}” is closed. Open it again to export it with the run's weights."
            self._messages.say(text, "warning", key="train")
            return
        if there is not None:
            workspace.go_to(there)
        self._window.open_export("onnx")
