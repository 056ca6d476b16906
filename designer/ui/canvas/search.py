"""The search that opens on the canvas: a few letters, Enter, and the component is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from nodes.sdk.spec import Catalogue, ComponentSpec

SHOWN = 12


def score(spec: ComponentSpec, words: str) -> float:
    """How well a component answers a search: 0 not at all; names count more than aliases and summaries."""
    wanted = words.lower().split()
    if not wanted:
        return 1.0
    total = 0.0
    name = spec.name.lower()
    others = " ".join((*spec.aliases, spec.category, spec.id)).lower()
    for word in wanted:
        if name.startswith(word):
            total += 8 - len(name) / 100
        elif word in name:
            total += 5
        elif word in others:
            total += 3
        elif word in spec.summary.lower():
            total += 1
        elif _in_order(word, name):
            total += 0.5
        else:
            return 0.0
    return total


def _in_order(letters: str, text: str) -> bool:
    rest = iter(text)
    return all(letter in rest for letter in letters)


def best(catalogue: Catalogue, words: str) -> list[ComponentSpec]:
    """The components that answer a search, best first."""
    found = [(score(s, words), s) for s in catalogue.values()]
    return [s for value, s in sorted(found, key=lambda f: (-f[0], f[1].name)) if value > 0]


class SearchPopup(QFrame):
    """A line and a list under it; Enter or a click chooses, Escape closes."""

    def __init__(self, parent: QWidget, chosen: Callable[[str, QPointF], None]) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("searchPopup")
        self.setFixedWidth(320)
        self._chosen, self._at = chosen, QPointF()
        self._catalogue: Catalogue | None = None
        self.line = QLineEdit()
        self.line.setPlaceholderText("Add a component…")
        self.line.setAccessibleName("Search components")
        self.list = QListWidget()
        self.list.setAccessibleName("Components found")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.line)
        layout.addWidget(self.list)
        self.line.textChanged.connect(self._fill)
        self.line.returnPressed.connect(self._take)
        self.list.itemClicked.connect(lambda _item: self._take())
        self.line.installEventFilter(self)

    def open_at(self, where: QPoint, scene: QPointF, catalogue: Catalogue) -> None:
        """Opens below a global point; what is chosen is added at a scene point."""
        self._at, self._catalogue = scene, catalogue
        self.line.clear()
        self._fill("")
        self.move(where)
        self.show()
        self.line.setFocus()

    def _fill(self, words: str) -> None:
        self.list.clear()
        found: Iterable[ComponentSpec] = best(self._catalogue, words)[:SHOWN] if self._catalogue else ()
        for spec in found:
            item = QListWidgetItem(f"{spec.name}   {spec.category}")
            item.setToolTip(spec.summary)
            item.setData(Qt.ItemDataRole.UserRole, spec.id)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self.list.setFixedHeight(max(1, self.list.count()) * 28 + 6)
        self.adjustSize()

    def _take(self) -> None:
        item = self.list.currentItem()
        self.close()
        if item is not None:
            self._chosen(item.data(Qt.ItemDataRole.UserRole), self._at)

    def eventFilter(self, watched: object, event: object) -> bool:
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QKeyEvent.Type.KeyPress
            and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down)
        ):
            step = 1 if event.key() == Qt.Key.Key_Down else -1
            self.list.setCurrentRow((self.list.currentRow() + step) % max(1, self.list.count()))
            return True
        return super().eventFilter(watched, event)  # type: ignore[arg-type]
