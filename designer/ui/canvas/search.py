"""The search that opens on the canvas: a few letters, Enter, and the component is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QWidget

from designer.graph.connect import fits
from designer.ui import glyphs, wording
from designer.ui.canvas.items import CanvasPort
from designer.ui.palette import search
from designer.ui.widgets import column
from nodes.sdk.spec import Catalogue, ComponentSpec, Port

SHOWN = 10
_ROW = 30


def best(catalogue: Catalogue, words: str) -> list[ComponentSpec]:
    """The components that answer a search, best first: the palette's answer, then names with the letters in order."""
    found = search(catalogue, words)
    letters = words.lower().replace(" ", "")
    listed = {spec.id for spec in found}
    rest = [s for s in catalogue.values() if s.id not in listed and _in_order(letters, s.name.lower())]
    return found + sorted(rest, key=lambda s: (len(s.name), s.name))


def _in_order(letters: str, text: str) -> bool:
    rest = iter(text)
    return all(letter in rest for letter in letters)


def takes(spec: ComponentSpec, start: CanvasPort) -> bool:
    """Whether a component has a port that a wire from `start` fits."""
    ports = spec.outputs if start.is_input else spec.inputs
    return any(fits(Port(p.name, start.kind), p) for p in ports)


class SearchPopup(QFrame):
    """A line and a list under it; Enter or a click chooses, Escape closes."""

    def __init__(self, parent: QWidget, chosen: Callable[[str, QPointF], None]) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setObjectName("canvas_search")
        self.setProperty("look", "card")
        self.setFixedWidth(320)
        self._chosen, self._at = chosen, QPointF()
        self._catalogue = Catalogue()
        self.line = QLineEdit()
        self.line.setAccessibleName("Search components")
        self.list = QListWidget()
        self.list.setAccessibleName("Components found")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setIconSize(QSize(16, 16))
        self.setLayout(column(self.line, self.list, margins=(8, 8, 8, 8), gap=6))
        self.line.textChanged.connect(self._fill)
        self.line.returnPressed.connect(self._take)
        self.list.itemClicked.connect(lambda _item: self._take())
        self.line.installEventFilter(self)

    def open_at(self, where: QPoint, scene: QPointF, catalogue: Catalogue, start: CanvasPort | None = None) -> None:
        """Opens at a global point; what is chosen is added at a scene point. `start` leaves only what fits it."""
        fitting: Iterable[ComponentSpec] = catalogue.values()
        if start is not None:
            fitting = [spec for spec in fitting if takes(spec, start)]
        self._at, self._catalogue = scene, Catalogue(fitting)
        self.line.setPlaceholderText("Add a component…" if start is None else f"Add what takes {start.kind}…")
        if start is not None and start.is_input:
            self.line.setPlaceholderText(f"Add what gives {start.kind}…")
        self.line.clear()
        self._fill("")
        self.move(where)
        self.show()
        self.line.setFocus()

    def _fill(self, words: str) -> None:
        self.list.clear()
        for spec in best(self._catalogue, words)[:SHOWN]:
            item = QListWidgetItem(glyphs.category_icon(spec.category), spec.title)
            item.setToolTip(f"{wording.category_title(spec.category)}: {spec.summary}")
            item.setData(Qt.ItemDataRole.UserRole, spec.id)
            item.setSizeHint(QSize(0, _ROW))
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self.list.setFixedHeight(max(1, self.list.count()) * _ROW + 4)
        self.adjustSize()

    def _take(self) -> None:
        item = self.list.currentItem()
        self.close()
        if item is not None:
            self._chosen(item.data(Qt.ItemDataRole.UserRole), self._at)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The arrow keys move in the list while the line has the focus."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down)
        ):
            step = 1 if event.key() == Qt.Key.Key_Down else -1
            self.list.setCurrentRow((self.list.currentRow() + step) % max(1, self.list.count()))
            return True
        return super().eventFilter(watched, event)
