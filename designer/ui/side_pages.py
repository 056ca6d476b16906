"""Pages that have a tab beside those of the documents: model files that are looked at, documents that are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from designer.graph.model_suffixes import SUFFIXES

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

FILTER = f"Model files ({' '.join(f'*{suffix}' for suffix in SUFFIXES)})"


class SidePage(QWidget):
    """One page. `title` is on its tab, `tip` is the tab's tooltip, `key` says what it shows."""

    title = tip = key = ""

    def fit(self) -> None:
        """Show all of it."""

    def zoom_100(self) -> None:
        """Show it at its own size."""

    def start_search(self) -> None:
        """Put the cursor where it is searched from."""


class SidePages(QObject):
    """Holds the pages of a window. While one is in front, no document is.

    Signals:
        changed(): pages were opened or closed, or another tab is in front.
    """

    changed = Signal()

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.pages: list[SidePage] = []
        self.current: SidePage | None = None
        self._early: list[Path] = []
        window.workspace.opened.connect(self._on_opened)

    # -- which is in front -----------------------------------------------------------------------------------------

    def add(self, page: SidePage) -> None:
        """Open a page, in place of one that shows the same."""
        if (older := self.find(page.key)) is not None:
            self.close(older)
        self.pages.append(page)
        self._window.pages.addWidget(page)
        self.go_to(page)

    def find(self, key: str) -> SidePage | None:
        return next((page for page in self.pages if page.key == key), None)

    def go_to(self, page: SidePage) -> None:
        """Bring a page to the front; the document there goes behind."""
        self.current = page
        self._window.workspace.go_to(None)
        self._window.pages.setCurrentWidget(page)
        page.setFocus()
        self.changed.emit()

    def _on_opened(self) -> None:
        """A document has come to the front, or none: a page that was there is behind it."""
        if self._window.workspace.current is not None:
            self.current = None

    def close(self, page: SidePage | None = None) -> None:
        """Close a page, by default the one in front; its neighbour, or a document, comes to the front."""
        page = page or self.current
        if page is None or page not in self.pages:
            return
        at = self.pages.index(page)
        self.pages.remove(page)
        was_front = page is self.current
        if was_front:
            self.current = None
            documents = self._window.workspace.documents
            if beside := self.pages[at : at + 1] or self.pages[-1:]:
                self.go_to(beside[0])
            elif documents:
                self._window.workspace.go_to(documents[-1])
            else:
                self._window.workspace.opened.emit()
        self._window.pages.removeWidget(page)
        page.deleteLater()
        self.changed.emit()

    # -- commands --------------------------------------------------------------------------------------------------

    def commands(self, table: Mapping[str, Callable[[], object]]) -> dict[str, Callable[[], object]]:
        """What the window's actions do, the page in front coming before the canvas and the document."""

        def either(of_page: Callable[[SidePage], object], other: Callable[[], object]) -> object:
            return of_page(self.current) if self.current is not None else other()

        ways: dict[str, Callable[[SidePage], object]] = {
            "fit": lambda page: page.fit(),
            "zoom_100": lambda page: page.zoom_100(),
            "find_node": lambda page: page.start_search(),
            "close": self.close,
        }
        return {name: partial(either, way, table[name]) for name, way in ways.items()}

    # -- model files -----------------------------------------------------------------------------------------------

    def ask_model(self) -> None:
        """Let the user pick a model file."""
        path, _ = QFileDialog.getOpenFileName(self._window, "View a model file", str(Path.home()), FILTER)
        if path:
            self.open_model(Path(path))

    def open_model(self, path: Path) -> None:
        """Show a model file, when the engine has read it; it takes the place of the same file's page."""
        window = self._window
        if not window.engine.is_started:
            self._early.append(path)
            return
        window.messages.say(f"Reading {path.name}…", key="view", stays=True)

        def done(shown: Mapping[str, Any]) -> None:
            from designer.ui.model_view.page import ModelPage

            page = ModelPage(path, shown, window.engine.ask, window.engine.cancel)
            page.offer_import(window)
            self.add(page)
            window.messages.withdraw("view")
            for note in shown["summary"].get("notes", ())[:1]:
                window.messages.say(f"{path.name}: {note}", "warning", key="view", stays=True)

        def refused(error: Mapping[str, Any]) -> None:
            window.messages.say(str(error.get("message", "")), "danger", key="view")

        window.engine.ask("view_model", {"path": str(path)}, done, refused)

    def begin(self) -> None:
        """The engine has been started: files that were asked for before are read."""
        early, self._early = self._early, []
        for path in early:
            self.open_model(path)
