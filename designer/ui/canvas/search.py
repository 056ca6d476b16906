"""The search that opens on the canvas: a few letters, a look at what it is, Enter, and the component is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QGuiApplication, QIcon, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QListWidget, QListWidgetItem, QWidget

from designer.graph.connect import fits
from designer.graph.problems import kind_words
from designer.ui import glyphs, wording
from designer.ui.canvas import favourites
from designer.ui.canvas.items import CanvasPort
from designer.ui.palette import search
from designer.ui.widgets import column, label, row, tool
from nodes.sdk.spec import Catalogue, ComponentSpec, Port

SHOWN = 10
_ROW = 30
_LIST, _PREVIEW = 250, 260
"""Widths."""


def best(catalogue: Catalogue, words: str) -> list[ComponentSpec]:
    """The components that answer a search, best first: the palette's answer, then names with the letters in order.

    Before a word is typed, favourites and what was added last come first.
    """
    if not words.strip():
        head = favourites.first(catalogue)
        listed = {spec.id for spec in head}
        return head + [spec for spec in search(catalogue, "") if spec.id not in listed]
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


class Preview(QFrame):
    """What a component is: its sentence, what goes in and comes out, its settings, the paper."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedWidth(_PREVIEW)
        self.name = label("", "title")
        self.kind = label("", "muted")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setLayout(column(self.name, self.kind, self.text, 1, margins=(6, 4, 6, 4), gap=4))

    def say(self, title: str, words: str) -> None:
        """Shows a sentence in place of a component."""
        self.name.setText(title)
        self.text.setText(escape(words))

    def show_spec(self, spec: ComponentSpec | None) -> None:
        """Shows a component, or nothing."""
        self.name.setText(spec.title if spec is not None else "")
        self.kind.setText(wording.category_title(spec.category) if spec is not None else "")
        self.text.setText(_about(spec) if spec is not None else "")


def _about(spec: ComponentSpec) -> str:
    """The preview's text."""
    lines = [f"<p>{escape(spec.summary)}</p>"]
    for side, ports in (("Takes", spec.inputs), ("Gives", spec.outputs)):
        named = ", ".join(
            f"{p.name} <b>[{escape(p.dims)}]</b>" if p.dims.strip(".") else f"{p.name}: {p.kind}" for p in ports
        )
        lines.append(f"<p>{side} {named or 'nothing'}</p>")
    settings = [f"{wording.title(p.name).lower()} {escape(str(p.default))}" for p in spec.settings[:5]]
    if settings:
        lines.append(f"<p>Settings: {', '.join(settings)}{', …' if len(spec.settings) > 5 else ''}</p>")
    if spec.paper:
        lines.append(f"<p><i>{escape(spec.paper)}</i></p>")
    return "".join(lines)


class SearchPopup(QFrame):
    """A line, a list under it and a preview beside.

    Enter or a click chooses, Escape closes, Ctrl+D marks a favourite.
    """

    def __init__(self, parent: QWidget, chosen: Callable[[str, QPointF], None]) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setObjectName("canvas_search")
        self.setProperty("look", "card")
        self._chosen, self._at, self._fitting = chosen, QPointF(), ""
        self._catalogue = Catalogue()
        self.line = QLineEdit()
        self.line.setAccessibleName("Search components")
        self.list = QListWidget()
        self.list.setAccessibleName("Components found")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setIconSize(QSize(16, 16))
        self.list.setFixedSize(_LIST, SHOWN * _ROW + 4)
        self.preview = Preview()
        self.mark = tool("star-outline", "Mark as favourite: it comes first from then on (Ctrl+D)")
        self.mark.clicked.connect(self._toggle_mark)
        left = column(self.line, self.list, 1, gap=6)
        right = row(self.preview, column(self.mark, 1), gap=0)
        self.setLayout(row(left, right, margins=(8, 8, 8, 8), gap=8))
        self.list.currentRowChanged.connect(lambda _row: self._show_current())
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
        self.line.setPlaceholderText(
            "Add a component…" if start is None else f"Add what takes {kind_words(start.kind)}…"
        )
        if start is not None and start.is_input:
            self.line.setPlaceholderText(f"Add what gives {kind_words(start.kind)}…")
        self._fitting = "that fits the wire " if start is not None else ""
        self.line.clear()
        self._fill("")
        self.adjustSize()
        self.move(_on_screen(where, self.size()))
        self.show()
        self.line.setFocus()

    def _fill(self, words: str) -> None:
        self.list.clear()
        liked = set(favourites.marked())
        for spec in best(self._catalogue, words):
            item = QListWidgetItem(_icon(spec, liked), spec.title)
            item.setToolTip(f"{wording.category_title(spec.category)}: {spec.summary}")
            item.setData(Qt.ItemDataRole.UserRole, spec.id)
            item.setSizeHint(QSize(0, _ROW))
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self._show_current()
        if not self.list.count():
            self.preview.say("Nothing found", f"No component {self._fitting}is called “{words.strip()}”.")

    def _spec(self) -> ComponentSpec | None:
        """The component that is chosen in the list."""
        item = self.list.currentItem()
        return self._catalogue.get(item.data(Qt.ItemDataRole.UserRole)) if item is not None else None

    def _show_current(self) -> None:
        spec = self._spec()
        self.preview.show_spec(spec)
        self.mark.setVisible(spec is not None)
        glyphs.keep_icon(self.mark, "star" if spec is not None and spec.id in favourites.marked() else "star-outline")

    def _toggle_mark(self) -> None:
        """The chosen component becomes a favourite, or is none any more; the order changes at the next opening."""
        spec, item = self._spec(), self.list.currentItem()
        if spec is not None and item is not None:
            favourites.toggle(spec.id)
            item.setIcon(_icon(spec, set(favourites.marked())))
            self._show_current()

    def _take(self) -> None:
        item = self.list.currentItem()
        self.close()
        if item is not None:
            favourites.remember(item.data(Qt.ItemDataRole.UserRole))
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
        if isinstance(event, QKeyEvent) and QKeySequence(event.keyCombination()) == QKeySequence("Ctrl+D"):
            if event.type() == QEvent.Type.KeyPress:
                self._toggle_mark()
            event.accept()
            return True
        return super().eventFilter(watched, event)


def _icon(spec: ComponentSpec, liked: set[str]) -> QIcon:
    return glyphs.icon("star", "warning") if spec.id in liked else glyphs.category_icon(spec.category)


def _on_screen(where: QPoint, size: QSize) -> QPoint:
    """A place near a global point where all of the popup can be seen."""
    screen = QGuiApplication.screenAt(where) or QGuiApplication.primaryScreen()
    area = screen.availableGeometry()
    x = max(area.left(), min(where.x(), area.right() - size.width()))
    return QPoint(x, max(area.top(), min(where.y(), area.bottom() - size.height())))
