"""Which document is open and where it is kept: open, save, recent files, autosave, and what a crash left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, QSettings, QStandardPaths, QTimer, Signal

from designer.graph.changes import Change
from designer.graph.document import Document
from designer.graph.errors import DocumentError
from designer.graph.model import GraphData
from designer.graph.picture import SUFFIX as PICTURE
from designer.graph.picture import read_picture
from designer.graph.storage import SUFFIX, autosave_path, dump, find_autosave, read, write_text
from designer.graph.templates import load_template
from nodes.sdk.spec import Catalogue

AUTOSAVE_MS = 1000
RECENT = 10


@dataclass(frozen=True)
class Recovery:
    """Work that was never saved, already read: `path` is the document's file, None if it never had one."""

    autosave: Path
    path: Path | None
    data: GraphData
    modified: float


class Workspace(QObject):
    """Holds the one open document of a window.

    Signals:
        opened(): another document is open, or none: see `document`.
        edited(): the document has changed, once after a batch of changes.
        saved(Path): it was written to its file.
        autosave_failed(str): the unsaved state could not be kept; why.
    """

    opened = Signal()
    edited = Signal()
    saved = Signal(Path)
    autosave_failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.document: Document | None = None
        self._catalogue: Catalogue | None = None
        self._recovered_from: Path | None = None
        self._autosaved: Path | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._lock: QLockFile | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self.edited)
        self._autosave = QTimer(self)
        self._autosave.setSingleShot(True)
        self._autosave.setInterval(AUTOSAVE_MS)
        self._autosave.timeout.connect(self.autosave_now)

    # -- opening ---------------------------------------------------------------------------------------------------

    def set_catalogue(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        if self.document is not None:
            self.document.catalogue = catalogue

    def new(self) -> Document:
        """An empty document with an image input."""
        document = Document.new("Untitled", self._catalogue)
        document.add("io.image_input", title="Image", at=(0, 0))
        document.history.done.clear()
        document.history.mark_saved()
        return self._take(document)

    def open(self, path: Path) -> Document:
        """Open a file; what is in an exported picture opens as a new document.

        Raises:
            DocumentError: it cannot be read; what was open stays open.
        """
        if path.suffix.lower() == PICTURE:
            return self._take(Document(read_picture(path), self._catalogue))
        document = self._take(Document.load(path, self._catalogue))
        self._remember(path)
        return document

    def open_template(self, name: str) -> Document:
        """A new, unsaved document made from a template. Raises NetwrightError for an unknown name."""
        return self._take(load_template(name, self._catalogue))

    def recover(self, recovery: Recovery) -> Document:
        """Open what a crash left behind as the document with unsaved changes."""
        document = self._take(Document(recovery.data, self._catalogue, recovery.path))
        # Recovered work is in no file yet: the next save, and only that, makes the document clean.
        self._recovered_from = recovery.autosave
        self._autosave.start()
        self.edited.emit()
        return document

    def close(self) -> None:
        """Let go of the document and of its autosave: the user has saved it or does not want it."""
        self._put(None)

    def _take(self, document: Document) -> Document:
        self._put(document)
        return document

    def _put(self, document: Document | None) -> None:
        self._drop_autosave()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.document, self._recovered_from = document, None
        if document is not None:
            self._unsubscribe = document.subscribe(self._on_change)
        self.opened.emit()

    # -- state -----------------------------------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether closing now would lose work."""
        return self.document is not None and (self.document.is_dirty or self._recovered_from is not None)

    @property
    def title(self) -> str:
        """The document's name as the title bar says it."""
        if self.document is None:
            return ""
        return document_title(self.document)

    @property
    def runs_folder(self) -> Path | None:
        """Where runs of this document go: `runs` beside its file; for one without a file, in the user's documents."""
        if self.document is None:
            return None
        if self.document.path is not None:
            return self.document.path.absolute().parent / "runs"
        home = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        return Path(home) / "Netwright" / "runs"

    def _on_change(self, _change: Change) -> None:
        self._later.start()
        self._autosave.start()

    # -- saving ----------------------------------------------------------------------------------------------------

    def save(self, path: Path | None = None) -> Path:
        """Write the document to its file, or to `path` from now on.

        Raises:
            DocumentError: the disk does not take it.
            EditError: it has no file yet and no path is given.
        """
        assert self.document is not None
        if path is not None and path.suffix != SUFFIX:
            path = path.with_name(path.name + SUFFIX)
        target = path or self.document.path
        if path is not None and self.document.path is None:
            self.document.data.name = path.stem
        written = self.document.save(target)
        self._drop_autosave()
        autosave_path(written).unlink(missing_ok=True)
        if self._recovered_from is not None:
            self._recovered_from.unlink(missing_ok=True)
            self._recovered_from = None
        self._remember(written)
        self.saved.emit(written)
        self.edited.emit()
        return written

    def autosave_now(self) -> None:
        """Keep the unsaved state beside the file; drop what was kept once there is nothing unsaved."""
        if self.document is None:
            return
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
        assert self.document is not None
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

    # -- what is there ---------------------------------------------------------------------------------------------

    def _remember(self, path: Path) -> None:
        paths = [path.absolute(), *(p for p in self.recent() if p != path.absolute())]
        QSettings().setValue("files/recent", [str(p) for p in paths[:RECENT]])

    def recent(self) -> list[Path]:
        """Files opened or saved lately that still exist, newest first."""
        kept = QSettings().value("files/recent") or []
        paths = [kept] if isinstance(kept, str) else list(kept)
        return [Path(p) for p in paths if Path(p).is_file()]

    def forget_recent(self) -> None:
        QSettings().remove("files/recent")


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
