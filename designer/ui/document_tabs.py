"""The tabs above the canvas: one for each document, with a dot while it has unsaved changes, and the side pages."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QTabBar, QToolButton

from designer.ui.open_document import OpenDocument
from designer.ui.side_pages import SidePage, SidePages
from designer.ui.widgets import tool
from designer.ui.workspace import Workspace

WIDEST = 220
"""Pixels of the widest tab; a longer name is cut."""


def told_apart(documents: Sequence[OpenDocument]) -> list[str]:
    """A title for each; those that are called the same say their folders, as far up as these differ."""
    found = []
    for one in documents:
        same = [other for other in documents if other is not one and other.title == one.title]
        path = one.document.path
        if not same:
            found.append(one.title)
        elif path is None:
            found.append(f"{one.title} · in no file")
        else:
            others = [other.document.path.parent.parts for other in same if other.document.path is not None]
            parts, shown = path.parent.parts, 1
            while shown < len(parts) and any(other[-shown:] == parts[-shown:] for other in others):
                shown += 1
            found.append(f"{one.title} · {'/'.join(parts[-shown:])}")
    return found


class DocumentTabs(QTabBar):
    """Signals:
    close_wanted(object): the cross of a document's or a page's tab was pressed, or the tab with the middle button.
    """

    close_wanted = Signal(object)

    def __init__(self, workspace: Workspace, side: SidePages) -> None:
        super().__init__()
        self._workspace, self._side = workspace, side
        self._shown: list[OpenDocument | SidePage] = []
        self.setObjectName("document_tabs")
        self.setAccessibleName("Open documents")
        self.setMovable(True)
        self.setExpanding(False)
        self.setUsesScrollButtons(True)
        self.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.currentChanged.connect(self._on_chosen)
        self.tabMoved.connect(self._on_moved)
        workspace.tabs_changed.connect(self.refresh)
        workspace.opened.connect(self.refresh)
        side.changed.connect(self.refresh)
        self.hide()

    def tabSizeHint(self, index: int) -> QSize:
        hint = super().tabSizeHint(index)
        return QSize(min(hint.width(), WIDEST), hint.height())

    def refresh(self) -> None:
        """Show the open documents as they are; one alone needs no tab."""
        self.blockSignals(True)
        tabs: list[OpenDocument | SidePage] = [*self._workspace.documents, *self._side.pages]
        if self._shown != tabs:
            while self.count():
                self.removeTab(0)
            for index, one in enumerate(tabs):
                self.addTab("")
                self.setTabButton(index, QTabBar.ButtonPosition.RightSide, self._cross(one))
            self._shown = tabs
        titles = [*told_apart(self._workspace.documents), *(page.title for page in self._side.pages)]
        for index, (one, title) in enumerate(zip(tabs, titles, strict=True)):
            is_dirty, tip = False, ""
            if isinstance(one, OpenDocument):
                is_dirty, tip = one.is_dirty, str(one.document.path or "In no file yet")
            text = title.replace("&", "&&") + (" •" if is_dirty else "")
            if self.tabText(index) != text:
                self.setTabText(index, text)
            self.setTabToolTip(index, one.tip if isinstance(one, SidePage) else tip)
        front = self._side.current or self._workspace.current
        if front in tabs:
            self.setCurrentIndex(tabs.index(front))
        self.blockSignals(False)
        self.setVisible(len(tabs) > 1 or bool(self._side.pages))

    def have(self) -> set[str]:
        """What the actions need to know: `tab` where one is in front, `several` where there are more."""
        front = self._side.current or self._workspace.current
        several = len(self._workspace.documents) + len(self._side.pages) > 1
        return ({"tab"} if front is not None else set()) | ({"several"} if several else set())

    def step(self, by: int) -> None:
        """Bring the tab `by` places further to the front, round the end."""
        if self._shown:
            self._bring(self._shown[(self.currentIndex() + by) % len(self._shown)])

    def _cross(self, one: OpenDocument | SidePage) -> QToolButton:
        made = tool("close", "Close this tab")
        made.setIconSize(QSize(14, 14))
        made.setFixedSize(22, 22)
        made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        made.clicked.connect(lambda: self.close_wanted.emit(one))
        return made

    def _on_chosen(self, index: int) -> None:
        if 0 <= index < len(self._shown):
            self._bring(self._shown[index])

    def _bring(self, one: OpenDocument | SidePage) -> None:
        if isinstance(one, SidePage):
            self._side.go_to(one)
        else:
            self._workspace.go_to(one)

    def _on_moved(self, before: int, after: int) -> None:
        """Documents stay before the pages."""
        documents = len(self._workspace.documents)
        self._shown.insert(after, self._shown.pop(before))
        if before < documents and after < documents:
            self._workspace.move(before, after)
        elif before >= documents and after >= documents:
            pages = self._side.pages
            pages.insert(after - documents, pages.pop(before - documents))
        else:
            QTimer.singleShot(0, self, self.refresh)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The middle button closes."""
        at = self.tabAt(event.position().toPoint())
        if event.button() == Qt.MouseButton.MiddleButton and at >= 0:
            self.close_wanted.emit(self._shown[at])
        else:
            super().mouseReleaseEvent(event)
