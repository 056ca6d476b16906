"""The tabs above the canvas: one for each open document, with a dot while it has unsaved changes."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QTabBar, QToolButton

from designer.ui.open_document import OpenDocument
from designer.ui.widgets import tool
from designer.ui.workspace import Workspace

WIDEST = 220
"""Pixels of the widest tab; a longer name is cut."""


class DocumentTabs(QTabBar):
    """Signals:
    close_wanted(OpenDocument): the cross of a tab was pressed, or the tab with the middle button.
    """

    close_wanted = Signal(OpenDocument)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._shown: list[OpenDocument] = []
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
        self.hide()

    def tabSizeHint(self, index: int) -> QSize:
        hint = super().tabSizeHint(index)
        return QSize(min(hint.width(), WIDEST), hint.height())

    def refresh(self) -> None:
        """Show the open documents as they are; one alone needs no tab."""
        self.blockSignals(True)
        documents = self._workspace.documents
        if self._shown != documents:
            while self.count():
                self.removeTab(0)
            for index, one in enumerate(documents):
                self.addTab("")
                self.setTabButton(index, QTabBar.ButtonPosition.RightSide, self._cross(one))
            self._shown = list(documents)
        for index, one in enumerate(documents):
            text = one.title.replace("&", "&&") + (" •" if one.is_dirty else "")
            if self.tabText(index) != text:
                self.setTabText(index, text)
            self.setTabToolTip(index, str(one.document.path or "In no file yet"))
        if self._workspace.current in documents:
            self.setCurrentIndex(documents.index(self._workspace.current))
        self.blockSignals(False)
        self.setVisible(len(documents) > 1)

    def _cross(self, one: OpenDocument) -> QToolButton:
        made = tool("close", "Close this document")
        made.setIconSize(QSize(14, 14))
        made.setFixedSize(22, 22)
        made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        made.clicked.connect(lambda: self.close_wanted.emit(one))
        return made

    def _on_chosen(self, index: int) -> None:
        if 0 <= index < len(self._shown):
            self._workspace.go_to(self._shown[index])

    def _on_moved(self, before: int, after: int) -> None:
        self._shown.insert(after, self._shown.pop(before))
        self._workspace.move(before, after)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The middle button closes."""
        at = self.tabAt(event.position().toPoint())
        if event.button() == Qt.MouseButton.MiddleButton and at >= 0:
            self.close_wanted.emit(self._shown[at])
        else:
            super().mouseReleaseEvent(event)
