"""Which documents are open and which is in front: open, save, close, recent files, and the last session's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, QSettings, QStandardPaths, Signal

from designer.graph.document import Document
from designer.graph.errors import DocumentError
from designer.graph.model import GraphData
from designer.graph.picture import SUFFIX as PICTURE
from designer.graph.picture import read_picture
from designer.graph.storage import SUFFIX
from designer.graph.templates import load_template
from designer.ui.open_document import OpenDocument, Recovery
from nodes.sdk.spec import Catalogue

RECENT = 10


class Workspace(QObject):
    """Holds the open documents of a window; one of them is in front.

    Attributes:
        documents: the open documents in the order of their tabs.
        current: the one in front, or None.

    Signals:
        leaving(): another document is about to come to the front; `current` is still the old one.
        opened(): another document is in front, or none: see `document`.
        edited(): the document in front has changed, once after a batch of changes.
        tabs_changed(): documents were opened, closed, moved or saved, or have got or lost unsaved changes.
        saved(Path): the document in front was written to its file.
        autosave_failed(str): the unsaved state could not be kept; why.
    """

    leaving = Signal()
    opened = Signal()
    edited = Signal()
    tabs_changed = Signal()
    saved = Signal(Path)
    autosave_failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.documents: list[OpenDocument] = []
        self.current: OpenDocument | None = None
        self._catalogue: Catalogue | None = None
        self._session: QLockFile | None = None

    @property
    def document(self) -> Document | None:
        """The document in front."""
        return self.current.document if self.current is not None else None

    # -- opening ---------------------------------------------------------------------------------------------------

    def set_catalogue(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        for one in self.documents:
            one.document.catalogue = catalogue

    def new(self) -> Document:
        """An empty document with an image input."""
        document = Document.new("Untitled", self._catalogue)
        document.add("io.image_input", title="Image", at=(0, 0))
        document.history.done.clear()
        document.history.mark_saved()
        return self._take(OpenDocument(document))

    def open(self, path: Path) -> Document:
        """Open a file, or go to it if it is open; what is in an exported picture opens as a new document.

        Raises:
            DocumentError: it cannot be read; what was open stays open.
        """
        if path.suffix.lower() == PICTURE:
            return self._take(OpenDocument(Document(read_picture(path), self._catalogue)))
        if (there := self.find(path)) is not None:
            self.go_to(there)
            return there.document
        document = self._take(OpenDocument(Document.load(path, self._catalogue)))
        self._remember(path)
        return document

    def find(self, path: Path) -> OpenDocument | None:
        """The open document of this file."""
        wanted = path.resolve()
        return next((o for o in self.documents if o.document.path and o.document.path.resolve() == wanted), None)

    def open_template(self, name: str) -> Document:
        """A new, unsaved document made from a template. Raises NetwrightError for an unknown name."""
        return self._take(OpenDocument(load_template(name, self._catalogue)))

    def open_data(self, data: GraphData) -> Document:
        """A new, unsaved document with this data, such as that of a run."""
        return self._take(OpenDocument(Document(data.model_copy(deep=True), self._catalogue)))

    def recover(self, recovery: Recovery) -> Document:
        """Open what a crash left behind as a document with unsaved changes, in place of the open one of its file."""
        older = self.find(recovery.path) if recovery.path is not None else None
        document = Document(recovery.data, self._catalogue, recovery.path)
        self._take(OpenDocument(document, recovered_from=recovery.autosave))
        if older is not None:
            self.close(older)
        return document

    def _take(self, one: OpenDocument) -> Document:
        one.edited.connect(lambda: self._on_edited(one))
        one.autosave_failed.connect(self.autosave_failed)
        place = self.documents.index(self.current) + 1 if self.current is not None else len(self.documents)
        self.documents.insert(place, one)
        self.go_to(one)
        self.tabs_changed.emit()
        return one.document

    # -- which is in front -----------------------------------------------------------------------------------------

    def go_to(self, one: OpenDocument | None) -> None:
        """Bring an open document to the front."""
        if one is self.current:
            return
        if self.current is not None:
            self.leaving.emit()
        self.current = one
        self.opened.emit()

    def move(self, before: int, after: int) -> None:
        """A tab was moved from one place to another."""
        self.documents.insert(after, self.documents.pop(before))
        self.tabs_changed.emit()

    def close(self, one: OpenDocument | None = None) -> None:
        """Let go of a document, by default the one in front: the user has saved it or does not want it."""
        one = one or self.current
        if one is None or one not in self.documents:
            return
        at = self.documents.index(one)
        self.documents.remove(one)
        if one is self.current:
            beside = self.documents[at : at + 1] or self.documents[-1:]
            self.go_to(beside[0] if beside else None)
        one.close()
        self.tabs_changed.emit()

    def close_all(self) -> None:
        """Let go of all documents at once."""
        closed, self.documents = self.documents, []
        if closed:
            self.go_to(None)
        for one in closed:
            one.close()
        self.tabs_changed.emit()

    # -- state -----------------------------------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether closing the document in front now would lose work."""
        return self.current is not None and self.current.is_dirty

    @property
    def dirty(self) -> list[OpenDocument]:
        """All documents with unsaved changes."""
        return [one for one in self.documents if one.is_dirty]

    @property
    def title(self) -> str:
        """The name of the document in front as the title bar says it."""
        return self.current.title if self.current is not None else ""

    @property
    def runs_folder(self) -> Path | None:
        """Where runs of the document in front go."""
        return self.current.runs_folder if self.current is not None else None

    def _on_edited(self, one: OpenDocument) -> None:
        if one is self.current:
            self.edited.emit()
        self.tabs_changed.emit()

    # -- saving ----------------------------------------------------------------------------------------------------

    def save(self, path: Path | None = None) -> Path:
        """Write the document in front to its file, or to `path` from now on.

        Raises:
            DocumentError: the disk does not take it, or `path` is open in another tab.
            EditError: it has no file yet and no path is given.
        """
        assert self.current is not None
        if path is not None and path.suffix != SUFFIX:
            path = path.with_name(path.name + SUFFIX)
        if path is not None and self.find(path) not in (None, self.current):
            raise DocumentError(f"{path.name} is open in another tab. Close that tab first, or choose another name.")
        written = self.current.save(path)
        self._remember(written)
        self.saved.emit(written)
        self.edited.emit()
        self.tabs_changed.emit()
        return written

    def autosave_now(self) -> None:
        """Keep the unsaved state of the document in front."""
        if self.current is not None:
            self.current.autosave_now()

    # -- the last session ------------------------------------------------------------------------------------------

    def restore_session(self, attempt: Callable[[Path], object]) -> None:
        """Open the files of the last session, and keep its list from now on; a second window leaves it alone."""
        folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppDataLocation))
        folder.mkdir(parents=True, exist_ok=True)
        lock = QLockFile(str(folder / "session.lock"))
        lock.setStaleLockTime(0)
        if not lock.tryLock(0):
            return
        front = str(QSettings().value("session/front") or "")
        for path in _paths("session/files"):
            attempt(path)
        if front and (there := self.find(Path(front))) is not None:
            self.go_to(there)
        self._session = lock
        self.tabs_changed.connect(self._keep_session)
        self.opened.connect(self._keep_session)

    def end_session(self) -> None:
        """The window goes: what is closed from now on is opened again by the next session."""
        if self._session is not None:
            self.tabs_changed.disconnect(self._keep_session)
            self.opened.disconnect(self._keep_session)
            self._session.unlock()
            self._session = None

    def _keep_session(self) -> None:
        files = [str(o.document.path.absolute()) for o in self.documents if o.document.path is not None]
        front = self.document.path if self.document is not None else None
        QSettings().setValue("session/files", files)
        QSettings().setValue("session/front", str(front.absolute()) if front is not None else "")

    # -- recent files ----------------------------------------------------------------------------------------------

    def _remember(self, path: Path) -> None:
        paths = [path.absolute(), *(p for p in self.recent() if p != path.absolute())]
        QSettings().setValue("files/recent", [str(p) for p in paths[:RECENT]])

    def recent(self) -> list[Path]:
        """Files opened or saved lately that still exist, newest first."""
        return _paths("files/recent")

    def forget_recent(self) -> None:
        QSettings().remove("files/recent")


def _paths(setting: str) -> list[Path]:
    """A list of files in the settings, of which those that still exist."""
    kept = QSettings().value(setting) or []
    paths = [kept] if isinstance(kept, str) else list(kept)
    return [Path(p) for p in paths if Path(p).is_file()]
