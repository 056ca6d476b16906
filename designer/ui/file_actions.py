"""What the File menu does: asks for paths, asks about unsaved changes in the message bar, says what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from designer.graph.errors import NetwrightError
from designer.graph.model_suffixes import SUFFIXES
from designer.graph.storage import SUFFIX
from designer.ui.message_bar import Choice, MessageBar
from designer.ui.open_document import OpenDocument, Recovery, recovery_of, untitled_recoveries
from designer.ui.workspace import Workspace

FILTER = f"Netwright documents (*{SUFFIX})"
_MODELS = " ".join(f"*{suffix}" for suffix in SUFFIXES)
OPENED = f"Documents and model files (*{SUFFIX} {_MODELS});;{FILTER};;Model files ({_MODELS})"
OFFERED = 5
"""Documents without a file that are offered after a crash, the newest."""


class FileActions:
    """`window` is the parent of the file dialogs, `view` shows a model file that is no document."""

    def __init__(
        self, window: QWidget, workspace: Workspace, messages: MessageBar, view: Callable[[Path], object]
    ) -> None:
        self._window, self._workspace, self._messages, self._view = window, workspace, messages, view
        workspace.autosave_failed.connect(self._on_autosave_failed)

    # -- opening ---------------------------------------------------------------------------------------------------

    def new(self) -> None:
        self._attempt(self._workspace.new)

    def ask_open(self) -> None:
        """Let the user pick a file."""
        path, _ = QFileDialog.getOpenFileName(self._window, "Open a document", self._folder(), OPENED)
        if path:
            self.open(Path(path))

    def open(self, path: Path) -> None:
        """Open a file in a tab; offer what a crash left of it. A file that cannot be read is explained."""
        if path.suffix.lower() in SUFFIXES:
            self._view(path)
            return
        known = self._workspace.find(path) is not None
        recovery = recovery_of(path) if not known else None
        self._attempt(lambda: self._workspace.open(path))
        if recovery is not None:
            self._offer(recovery)

    def open_template(self, name: str) -> None:
        self._attempt(lambda: self._workspace.open_template(name))

    def close(self, one: OpenDocument | None = None) -> None:
        """Close a document, by default the one in front, after asking what becomes of unsaved changes."""
        one = one or self._workspace.current
        self._when_safe(one, "close this document", lambda: self._workspace.close(one))

    def offer_untitled(self) -> None:
        """Offer work without a file that an earlier window left behind."""
        for recovery in untitled_recoveries()[:OFFERED]:
            self._offer(recovery)

    def _offer(self, recovery: Recovery) -> None:
        when = time.strftime("%d %b, %H:%M", time.localtime(recovery.modified))
        name = f"“{recovery.path.stem}”" if recovery.path else "A document that was never saved"
        self._messages.say(
            f"{name} has unsaved work from {when}, kept when Netwright ended unexpectedly.",
            "warning",
            Choice("Restore it", lambda: self._restore(recovery), primary=True),
            Choice("Discard it", lambda: recovery.autosave.unlink(missing_ok=True)),
            key=f"recovery {recovery.autosave}",
        )

    def _restore(self, recovery: Recovery) -> None:
        there = self._workspace.find(recovery.path) if recovery.path is not None else None
        self._when_safe(there, "restore the other work", lambda: self._workspace.recover(recovery))

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

    def when_all_safe(self, then: Callable[[], object]) -> None:
        """Do `then`, which ends the window, now or after the user has said what becomes of all unsaved changes."""
        dirty = self._workspace.dirty
        if not dirty:
            then()
            return
        if len(dirty) == 1:
            self._workspace.go_to(dirty[0])

        def save_first() -> None:
            if all(self._save_one(one) for one in dirty):
                then()

        def discard() -> None:
            self._workspace.end_session()
            self._workspace.close_all()
            then()

        names = ", ".join(f"“{one.title}”" for one in dirty)
        it = f"{names} has unsaved changes. Save them" if len(dirty) == 1 else f"{names} have unsaved changes. Save all"
        self._messages.say(
            f"{it} before you close the window?",
            "warning",
            Choice("Save" if len(dirty) == 1 else "Save all", save_first, primary=True),
            Choice("Discard changes", discard),
            key="unsaved",
        )

    def _when_safe(self, one: OpenDocument | None, what: str, then: Callable[[], object]) -> None:
        """Do `then` now, or after the user has said what becomes of this document's unsaved changes."""
        if one is None or not one.is_dirty:
            then()
            return
        self._workspace.go_to(one)

        def save_first() -> None:
            if self._save_one(one):
                then()

        self._messages.say(
            f"“{one.title}” has unsaved changes. Save them before you {what}?",
            "warning",
            Choice("Save", save_first, primary=True),
            Choice("Discard changes", then),
            key="unsaved",
        )

    def _save_one(self, one: OpenDocument) -> bool:
        """Whether a document has nothing unsaved now; the question may be answered long after it was asked."""
        if one not in self._workspace.documents or not one.is_dirty:
            return True
        self._workspace.go_to(one)
        return self.save()

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
