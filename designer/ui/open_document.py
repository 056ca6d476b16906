"""One open document of a window: its file, its autosave, and what a crash left behind of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QLockFile, QObject, QStandardPaths, QTimer, Signal

from designer.graph.changes import Change
from designer.graph.document import Document
from designer.graph.errors import DocumentError
from designer.graph.model import GraphData
from designer.graph.storage import SUFFIX, autosave_path, dump, find_autosave, read, write_text

if TYPE_CHECKING:
    from designer.ui.canvas.view import Where

AUTOSAVE_MS = 1000


@dataclass(frozen=True)
class Recovery:
    """Work that was never saved, already read: `path` is the document's file, None if it never had one."""

    autosave: Path
    path: Path | None
    data: GraphData
    modified: float


class OpenDocument(QObject):
    """A document with what the window keeps of it while it is open.

    Attributes:
        document: the document.
        view: where the canvas looked when another document came to the front; None before that.
        result: the engine's newest answer about it.

    Signals:
        edited(): the document has changed, once after a batch of changes.
        autosave_failed(str): the unsaved state could not be kept; why.
    """

    edited = Signal()
    autosave_failed = Signal(str)

    def __init__(self, document: Document, recovered_from: Path | None = None) -> None:
        super().__init__()
        self.document = document
        self.view: Where | None = None
        self.result: Mapping[str, Any] = {}
        self._recovered_from = recovered_from
        self._autosaved: Path | None = None
        self._lock: QLockFile | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self.edited)
        self._autosave = QTimer(self)
        self._autosave.setSingleShot(True)
        self._autosave.setInterval(AUTOSAVE_MS)
        self._autosave.timeout.connect(self.autosave_now)
        self._unsubscribe = document.subscribe(self._on_change)
        if recovered_from is not None:
            self._autosave.start()

    @property
    def is_dirty(self) -> bool:
        """Whether closing now would lose work. What was recovered is in no file until it is saved."""
        return self.document.is_dirty or self._recovered_from is not None

    @property
    def title(self) -> str:
        """The document's name as the title bar says it."""
        return document_title(self.document)

    @property
    def runs_folder(self) -> Path:
        """Where runs of this document go: `runs` beside its file; for one without a file, in the user's documents."""
        if self.document.path is not None:
            return self.document.path.absolute().parent / "runs"
        home = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        return Path(home) / "Netwright" / "runs"

    def close(self) -> None:
        """Let go of the document and of its autosave: the user has saved it or does not want it."""
        self._later.stop()
        self._drop_autosave()
        self._unsubscribe()

    def _on_change(self, _change: Change) -> None:
        self._later.start()
        if not self._autosave.isActive():  # edits that follow at once do not put it off
            self._autosave.start()

    # -- saving ----------------------------------------------------------------------------------------------------

    def save(self, path: Path | None = None) -> Path:
        """Write the document to its file, or to `path` from now on.

        Raises:
            DocumentError: the disk does not take it.
            EditError: it has no file yet and no path is given.
        """
        target = path or self.document.path
        if path is not None and self.document.path is None:
            self.document.data.name = path.stem
        written = self.document.save(target)
        self._drop_autosave()
        autosave_path(written).unlink(missing_ok=True)
        if self._recovered_from is not None:
            self._recovered_from.unlink(missing_ok=True)
            self._recovered_from = None
        return written

    def autosave_now(self) -> None:
        """Keep the unsaved state beside the file; drop what was kept once there is nothing unsaved."""
        if not self.is_dirty:
            self._drop_autosave()
            return
        try:
            kept = self._autosave_file()
            write_text(kept, dump(self.document.data))
            self._autosaved = kept
        except (OSError, ValueError) as error:
            self.autosave_failed.emit(str(error))

    def _autosave_file(self) -> Path:
        if self.document.path is not None:
            return autosave_path(self.document.path)
        folder = untitled_folder()
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / f"untitled-{os.getpid()}-{id(self):x}{SUFFIX}.autosave"
        if self._lock is None:
            # Held while this window lives, so that another one can tell work in progress from work left behind.
            self._lock = QLockFile(str(kept) + ".lock")
            self._lock.setStaleLockTime(0)
            self._lock.tryLock(0)
        return kept

    def _drop_autosave(self) -> None:
        """Delete what this window kept, and only that: a crash's leftovers wait for the user's answer."""
        self._autosave.stop()
        if self._autosaved is not None:
            self._autosaved.unlink(missing_ok=True)
            self._autosaved = None
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None


def document_title(document: Document) -> str:
    """The file's name, or the name inside a document that has no file yet."""
    return document.path.stem if document.path else document.data.name


def untitled_folder() -> Path:
    """Where unsaved work without a file is kept."""
    return Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppDataLocation)) / "autosave"


def recovery_of(path: Path) -> Recovery | None:
    """What a crash left behind of this file, if it can be read, is newer than the file and differs from it."""
    kept = find_autosave(path)
    found = _read_recovery(kept, path) if kept is not None else None
    if found is None:
        return None
    with contextlib.suppress(DocumentError):
        if dump(found.data) == dump(read(path)):
            return None
    return found


def untitled_recoveries() -> list[Recovery]:
    """Unsaved work without a file whose window is gone, newest first."""
    found = []
    for kept in untitled_folder().glob(f"untitled-*{SUFFIX}.autosave"):
        lock = QLockFile(str(kept) + ".lock")
        lock.setStaleLockTime(0)
        if lock.tryLock(0):
            lock.unlock()
            recovery = _read_recovery(kept, None)
            found += [recovery] if recovery is not None else []
    return sorted(found, key=lambda r: r.modified, reverse=True)


def _read_recovery(kept: Path, path: Path | None) -> Recovery | None:
    """None for an autosave that is itself broken: there is nothing to offer then."""
    try:
        return Recovery(kept, path, read(kept), kept.stat().st_mtime)
    except (DocumentError, OSError):
        return None
