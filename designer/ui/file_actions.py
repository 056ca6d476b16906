"""What the File menu does: asks for paths, asks about unsaved changes in the message bar, says what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from designer.graph.errors import NetwrightError
from designer.graph.storage import SUFFIX
from designer.ui.message_bar import Choice, MessageBar
from designer.ui.workspace import Recovery, Workspace, recovery_of, untitled_recoveries

FILTER = f"Netwright documents (*{SUFFIX})"


class FileActions:
    """`window` is the parent of the file dialogs."""

    def __init__(self, window: QWidget, workspace: Workspace, messages: MessageBar) -> None:
        self._window, self._workspace, self._messages = window, workspace, messages
        workspace.autosave_failed.connect(self._on_autosave_failed)

    # -- opening ---------------------------------------------------------------------------------------------------

    def new(self) -> None:
        self.when_safe("start a new document", lambda: self._attempt(self._workspace.new))

    def ask_open(self) -> None:
        """Let the user pick a file."""
        path, _ = QFileDialog.getOpenFileName(self._window, "Open a document", self._folder(), FILTER)
        if path:
            self.open(Path(path))

    def open(self, path: Path) -> None:
        """Open a file; offer what a crash left of it. A file that cannot be read is explained and nothing changes."""
        self.when_safe(f"open {path.name}", lambda: self._open(path))

    def open_template(self, name: str) -> None:
        self.when_safe("start from a template", lambda: self._attempt(lambda: self._workspace.open_template(name)))

    def close(self) -> None:
        self.when_safe("close this document", self._workspace.close)

    def _open(self, path: Path) -> None:
        recovery = recovery_of(path)
        self._attempt(lambda: self._workspace.open(path))
        if recovery is not None:
            self._offer(recovery)

    def offer_untitled(self) -> None:
        """Offer work without a file that an earlier window left behind."""
        for recovery in untitled_recoveries()[:1]:
            self._offer(recovery)

    def _offer(self, recovery: Recovery) -> None:
        when = time.strftime("%d %b, %H:%M", time.localtime(recovery.modified))
        name = f"“{recovery.path.stem}”" if recovery.path else "A document that was never saved"
        self._messages.say(
            f"{name} has unsaved work from {when}, kept when Netwright ended unexpectedly.",
            "warning",
            Choice("Restore it", lambda: self._restore(recovery), primary=True),
            Choice("Discard it", lambda: recovery.autosave.unlink(missing_ok=True)),
            key="recovery",
        )

    def _restore(self, recovery: Recovery) -> None:
        self.when_safe("restore the other work", lambda: self._workspace.recover(recovery))

    # -- saving ----------------------------------------------------------------------------------------------------

    def save(self) -> bool:
        """Save to the document's file, asking for one if it has none; whether it is saved now."""
        document = self._workspace.document
        if document is None:
            return False
        if document.path is None:
            return self.save_as()
        return self._attempt(self._workspace.save)

    def save_as(self) -> bool:
        document = self._workspace.document
        if document is None:
            return False
        start = str(Path(self._folder()) / f"{self._workspace.title}{SUFFIX}")
        path, _ = QFileDialog.getSaveFileName(self._window, "Save the document", start, FILTER)
        return bool(path) and self._attempt(lambda: self._workspace.save(Path(path)))

    def when_safe(self, what: str, then: Callable[[], object]) -> None:
        """Do `then` now, or after the user has said what becomes of unsaved changes."""
        if not self._workspace.is_dirty:
            then()
            return

        def save_first() -> None:
            if self.save():
                then()

        def discard() -> None:
            self._workspace.close()
            then()

        self._messages.say(
            f"“{self._workspace.title}” has unsaved changes. Save them before you {what}?",
            "warning",
            Choice("Save", save_first, primary=True),
            Choice("Discard changes", discard),
            key="unsaved",
        )

    def _attempt(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except NetwrightError as error:
            self._messages.say(str(error), "danger", key="file")
            return False
        self._messages.withdraw("file")
        self._messages.withdraw("unsaved")
        return True

    def _folder(self) -> str:
        document = self._workspace.document
        if document is not None and document.path is not None:
            return str(document.path.parent)
        recent = self._workspace.recent()
        return str(recent[0].parent if recent else Path.home())

    def _on_autosave_failed(self, reason: str) -> None:
        self._messages.say(
            f"Unsaved changes could not be kept aside: {reason}. Save the document.", "warning", key="autosave"
        )
