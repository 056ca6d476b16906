"""The user's own composites in the window: follows the library's folder, saves to it, tells what cannot be read."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from designer.graph.composite_library import CompositeLibrary, fingerprint
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.redefine import drawn
from designer.ui.message_bar import Choice, MessageBar

SETTLE_MS = 200
"""A file is replaced in several steps; they are looked at once."""


class MyComposites(QObject):
    """Signals:
    changed(): the library has other composites now.
    """

    changed = Signal()

    def __init__(self, messages: MessageBar, parent: QObject) -> None:
        super().__init__(parent)
        self._messages = messages
        self.library = CompositeLibrary()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE_MS)
        self._later.timeout.connect(self.refresh)
        self._watch = QFileSystemWatcher(self)
        self._watch.directoryChanged.connect(lambda _path: self._later.start())
        self._watch.fileChanged.connect(lambda _path: self._later.start())
        self.refresh()

    def refresh(self) -> None:
        """Looks at the folder again."""
        if self.library.refresh():
            self._tell_broken()
            self.changed.emit()
        place = self.library.place
        wanted = {str(place), *(str(p) for p in place.glob("*"))} if place.is_dir() else {_nearest(place)}
        watched = set(self._watch.directories() + self._watch.files())
        if missing := sorted(wanted - watched):
            self._watch.addPaths(missing)
        if done := sorted(watched - wanted):
            self._watch.removePaths(done)

    def save(self, document: Document, composite: str) -> None:
        """Saves a composite; where the library has another of its name, the user says whether that is replaced."""
        found = drawn(document, composite)
        name = self.library.name_for(found)
        there = self.library.entries.get(name)
        same = fingerprint(found, document.data.composites)
        if there is None or there.fingerprint in (found.library_hash, same):
            self._save(document, composite, name)
            return
        fresh = self.library.name_for(found, fresh=True)
        self._messages.say(
            f"Your library has another version of “{there.title}”. Documents that use it will be offered this one.",
            "warning",
            Choice("Replace it", lambda: self._save(document, composite, name), primary=True),
            Choice("Keep both", lambda: self._save(document, composite, fresh)),
            key="library",
        )

    def _save(self, document: Document, composite: str, name: str) -> None:
        try:
            entry = self.library.save(document, composite, name)
        except NetwrightError as error:
            self._messages.say(str(error), "danger", key="library")
            return
        folder = QUrl.fromLocalFile(str(self.library.place))
        self._messages.say(
            f"“{entry.title}” is in your library, and in the palette of every document.",
            "success",
            Choice("Show the folder", lambda: QDesktopServices.openUrl(folder)),
            key="library",
            stays=False,
        )
        self.refresh()
        self.changed.emit()

    def _tell_broken(self) -> None:
        if self.library.broken:
            first = next(iter(self.library.broken.values()))
            more = f" And {len(self.library.broken) - 1} more." if len(self.library.broken) > 1 else ""
            self._messages.say(f"A composite of your library cannot be used. {first}{more}", "warning", key="library")


def _nearest(place: Path) -> str:
    """The folder that will tell when one that is not there yet, or one above it, is made by another window."""
    return str(next(folder for folder in place.absolute().parents if folder.is_dir()))
