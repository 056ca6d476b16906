"""The find bar: nodes of the document by title, component or setting, one result after the other."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QWidget

from designer.ui.canvas import cards
from designer.ui.canvas.items import NodeItem
from designer.ui.canvas.mirror import Mirror
from designer.ui.widgets import label, row, tool


def matches(item: NodeItem, words: str) -> bool:
    """Whether every word is found in a node's title, component, category, note or key settings."""
    spec = item.spec
    about = [item.name, item.node.component, item.node.note, *cards.subtitle(item.node, spec)]
    about += [spec.title, *spec.aliases] if spec is not None else []
    text = " ".join(about).lower()
    return all(word in text for word in words.lower().split())


class FindBar(QFrame):
    """A line over the canvas; Enter goes to the next result, Shift+Enter back, Escape closes."""

    def __init__(self, parent: QWidget, mirror: Mirror, show: Callable[[str], None]) -> None:
        super().__init__(parent)
        self.setProperty("look", "card")
        self._mirror, self._show = mirror, show
        self.found: list[str] = []
        self.current = 0
        self.line = QLineEdit()
        self.line.setPlaceholderText("Find a node")
        self.line.setAccessibleName("Find a node")
        self.line.setFixedWidth(180)
        self.count = label("", "muted")
        self.count.setFixedWidth(64)
        back, on, close = (
            tool("chevron-up", "Previous result (Shift+Enter)"),
            tool("chevron-down", "Next result (Enter)"),
            tool("close", "Close (Escape)"),
        )
        self.setLayout(row(self.line, self.count, back, on, close, margins=(8, 6, 6, 6), gap=6))
        self.line.textChanged.connect(self._on_text)
        back.clicked.connect(lambda: self.step(-1))
        on.clicked.connect(lambda: self.step(1))
        close.clicked.connect(self.close_bar)
        self.hide()

    def open_bar(self) -> None:
        """Opens with the last words selected, so that typing replaces them."""
        self.adjustSize()
        self.show()
        self.raise_()
        self.line.setFocus()
        self.line.selectAll()
        self._search()

    def close_bar(self) -> None:
        self.hide()
        self._mirror.viewer.setFocus()

    def step(self, by: int) -> None:
        """Goes to the next result, or the one before."""
        self._search()
        if self.found:
            self.current = (self.current + by) % len(self.found)
            self._go()

    def _on_text(self, _text: str) -> None:
        self.current = 0
        self._search()
        if self.found:
            self._go()

    def _search(self) -> None:
        """The results in reading order; the document may have changed since the last time."""
        words = self.line.text().strip()
        hits = [item for item in self._mirror.nodes.values() if words and matches(item, words)]
        self.found = [item.id for item in sorted(hits, key=lambda i: (i.x(), i.y()))]
        self.current = min(self.current, max(0, len(self.found) - 1))
        self._count()

    def _go(self) -> None:
        self._count()
        self._show(self.found[self.current])

    def _count(self) -> None:
        if not self.line.text().strip():
            self.count.setText("")
        else:
            self.count.setText(f"{self.current + 1} of {len(self.found)}" if self.found else "None")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.step(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        elif event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
            self.step(1 if event.key() == Qt.Key.Key_Down else -1)
        elif event.key() == Qt.Key.Key_Escape:
            self.close_bar()
        event.accept()  # no key goes on to the canvas under it
