"""The canvas widget: what the window knows of the canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QContextMenuEvent, QCursor, QGuiApplication, QKeyEvent, QKeySequence, QShowEvent
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget
from shiboken6 import isValid

from designer.graph.clipboard import can_paste, copy_nodes, paste_nodes
from designer.graph.document import Document
from designer.ui import theme as themes
from designer.ui.canvas.graph import CanvasGraph
from designer.ui.canvas.items import HEADER, WIDTH, CanvasPort, NodeItem
from designer.ui.canvas.layout import layout
from designer.ui.canvas.look import Look
from designer.ui.canvas.mirror import Mirror
from designer.ui.canvas.search import SearchPopup
from designer.ui.canvas.viewer import CanvasViewer
from designer.ui.canvas.wires import WireItem
from nodes.sdk.spec import Catalogue

SHIFT = 32.0
"""How far a pasted copy lies from its original."""
READABLE, OPENED = 0.4, 0.5
"""A document that would be smaller than the first when it is shown whole opens at its beginning, at the second."""
NUDGE = 8.0
"""How far an arrow key moves nodes; ten times that with Shift."""
_Keys = QKeySequence.StandardKey
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class CanvasView(QWidget):
    """Shows a document and edits it.

    Signals:
        selection_changed(list): ids of the selected nodes.
        status(str): something to tell in passing, such as why a wire was refused.
        node_activated(str): a node was double-clicked.
        zoom_changed(float): percent.
    """

    selection_changed = Signal(list)
    status = Signal(str)
    node_activated = Signal(str)
    zoom_changed = Signal(float)

    def __init__(
        self, document: Document | None, catalogue: Catalogue | None, theme: themes.Theme | None = None
    ) -> None:
        super().__init__()
        look = Look(theme or themes.current())
        self.viewer = CanvasViewer(look)
        self.mirror = Mirror(self.viewer, look, catalogue)
        self.graph = CanvasGraph(self.viewer, self.mirror)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.viewer)
        self.setFocusProxy(self.viewer)
        self._pasted = 0
        self._fit_when_shown = True
        self._search_start: CanvasPort | None = None
        self._reselected = QTimer(self)
        self._reselected.setSingleShot(True)
        self._reselected.setInterval(0)
        self._reselected.timeout.connect(self._on_selection)
        self.search = SearchPopup(self, self._on_found)
        self._connect()
        self.set_document(document)

    def _connect(self) -> None:
        self.viewer.scene().selectionChanged.connect(self._on_selection)
        self.viewer.zoom_changed.connect(lambda scale: self.zoom_changed.emit(scale * 100))
        self.graph.said.connect(self.status)
        self.graph.opened.connect(self.node_activated)
        self.graph.added.connect(self._on_added)
        self.graph.search_wanted.connect(self.open_search)

    @property
    def document(self) -> Document | None:
        return self.mirror.document

    @property
    def nodes(self) -> dict[str, NodeItem]:
        """The node items by id."""
        return self.mirror.nodes

    @property
    def wires(self) -> dict[str, WireItem]:
        """The wire items by id."""
        return self.mirror.wires

    # -- what is shown -------------------------------------------------------------------------------------------------

    def set_document(self, document: Document | None) -> None:
        """Shows another document, or none."""
        self.search.close()
        self.mirror.show(document)
        self.selection_changed.emit([])
        self._fit_when_shown = not self.isVisible()
        self.show_start()

    def set_catalogue(self, catalogue: Catalogue | None) -> None:
        """Takes over the components; ports may appear on nodes that were drawn without."""
        chosen = self.selected_ids()
        self.mirror.catalogue = catalogue
        self.mirror.rebuild()
        self.select(chosen)

    def set_theme(self, theme: themes.Theme) -> None:
        self.mirror.set_look(Look(theme))

    def show_propagation(self, result: Mapping[str, Any]) -> None:
        """Shows the engine's answer: shapes on wires, sizes and problems on nodes."""
        self.mirror.show_result(result)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._fit_when_shown:
            self._fit_when_shown = False
            self.show_start()

    # -- selection and view --------------------------------------------------------------------------------------------

    def selected_ids(self) -> list[str]:
        return [node_id for node_id, item in self.nodes.items() if item.isSelected()]

    def selected_wires(self) -> list[str]:
        return [wire_id for wire_id, item in self.wires.items() if item.isSelected()]

    def select(self, ids: Iterable[str]) -> None:
        """Selects these nodes and nothing else."""
        wanted = set(ids)
        scene = self.viewer.scene()
        scene.blockSignals(True)
        scene.clearSelection()
        for node_id in wanted & self.nodes.keys():
            self.nodes[node_id].setSelected(True)
        scene.blockSignals(False)
        self.selection_changed.emit(self.selected_ids())

    def select_all(self) -> None:
        self.select(list(self.nodes))

    def centre_on(self, node_id: str) -> None:
        """Brings a node to the middle, near enough to be read."""
        if (item := self.nodes.get(node_id)) is not None:
            self.viewer.look_at(item.scene_card().center(), max(self.viewer.zoom, 0.7))

    def fit(self) -> None:
        """Shows the whole document."""
        if self.nodes:
            self.viewer.show_rect(self._area())
        else:
            self.viewer.look_at(QPointF(0, 0), 1.0)

    def show_start(self) -> None:
        """Shows the whole document where it can then be read, else its beginning, large enough for the shapes."""
        self.fit()
        if self.viewer.zoom >= READABLE or not self.nodes:
            return
        area = self._area()
        first = min((item.scene_card() for item in self.nodes.values()), key=lambda card: card.left())
        wide, high = self.viewer.viewport().width() / OPENED, self.viewer.viewport().height() / OPENED
        down = area.center().y() if area.height() < high else first.center().y()
        self.viewer.look_at(QPointF(area.left() + wide / 2 - 24 / OPENED, down), OPENED)

    def _area(self) -> QRectF:
        """What the nodes take up."""
        cards = [item.scene_card() for item in self.nodes.values()]
        left, top = min(c.left() for c in cards), min(c.top() for c in cards)
        right, bottom = max(c.right() for c in cards), max(c.bottom() for c in cards)
        return QRectF(left, top, right - left, bottom - top)

    def zoom_100(self) -> None:
        self.viewer.look_at(self.viewer.middle, 1.0)

    def _on_selection(self) -> None:
        if self.mirror.is_applying:
            self._reselected.start()  # a thousand nodes that are removed are told as one
        elif isValid(self) and all(isValid(item) for item in self.nodes.values()):  # not while the window is torn down
            self.selection_changed.emit(self.selected_ids())

    # -- adding --------------------------------------------------------------------------------------------------------

    def open_search(self, start: CanvasPort | None = None, at: QPointF | None = None) -> None:
        """Opens the search for a component to put at a scene point, wired to a port if one is given."""
        catalogue = self.mirror.catalogue
        if self.document is None or catalogue is None:
            return
        self._search_start = start
        self.search.open_at(QCursor.pos(), at if at is not None else self.viewer.middle, catalogue, start)

    def _on_found(self, component: str, at: QPointF) -> None:
        start, self._search_start = self._search_start, None
        if start is not None:
            # The pointer let go of the wire where the new node's port shall be.
            at = at + QPointF((-WIDTH if start.is_input else WIDTH) / 2, 0)
        self.graph.add(component, at, start)

    def _on_added(self, node_id: str) -> None:
        self.select([node_id])
        self.viewer.setFocus()

    def add_at_centre(self, component: str) -> str | None:
        """Adds a component in the middle of what is seen, moved aside while something is there. Returns its id."""
        at = self.viewer.middle
        while any(item.scene_card().adjusted(-8, -8, 8, 8).contains(at) for item in self.nodes.values()):
            at += QPointF(0, HEADER + 24)
        return self.graph.add(component, at)

    # -- editing -------------------------------------------------------------------------------------------------------

    def delete_selected(self) -> None:
        """Deletes the selected nodes and wires as one step."""
        ids, wires = self.selected_ids(), self.selected_wires()
        if not ids and not wires:
            return

        def delete(document: Document) -> None:
            count = len(ids) + len(wires)
            one = document.node(ids[0]).title if ids else "wire"
            with document.edit(f"Delete {one}" if count == 1 else f"Delete {count} {'items' if wires else 'nodes'}"):
                for wire in wires:
                    document.disconnect(wire)
                if ids:
                    document.remove(*ids)

        self.graph.edit(delete)

    def copy(self) -> None:
        """Puts the selected nodes on the clipboard, as the text of a document."""
        if self.document is not None and (ids := self.selected_ids()):
            QGuiApplication.clipboard().setText(copy_nodes(self.document, ids))
            self._pasted = 0

    def cut(self) -> None:
        if self.selected_ids():
            self.copy()
            self.delete_selected()

    def paste(self) -> None:
        """Adds the nodes of the clipboard, each time a little further from their originals."""
        text = QGuiApplication.clipboard().text()
        if not can_paste(text):
            self.status.emit("The clipboard holds no nodes. Copy nodes on a canvas first.")
            return
        self._pasted += 1
        self._paste(text, SHIFT * self._pasted)

    def duplicate(self) -> None:
        if self.document is not None and (ids := self.selected_ids()):
            self._paste(copy_nodes(self.document, ids), SHIFT)

    def _paste(self, text: str, shift: float) -> None:
        made = self.graph.edit(lambda document: paste_nodes(document, text, (shift, shift)))
        if made:
            self.select(made)

    def toggle_bypass(self) -> None:
        """Takes the selected nodes out of the model's run, or back in."""
        self._toggle("disabled", Document.set_disabled, "Bypass", "Enable")

    def toggle_freeze(self) -> None:
        """Holds the weights of the selected nodes, or lets them learn again."""
        self._toggle("frozen", Document.set_frozen, "Freeze", "Unfreeze")

    def _toggle(self, field: str, setter: Callable[[Document, str, bool], None], on_name: str, off_name: str) -> None:
        ids = self.selected_ids()

        def toggle(document: Document) -> None:
            on = not all(getattr(document.node(i), field) for i in ids)
            what = f"{len(ids)} nodes" if len(ids) > 1 else document.node(ids[0]).title
            with document.edit(f"{on_name if on else off_name} {what}"):
                for node_id in ids:
                    setter(document, node_id, on)

        if ids:
            self.graph.edit(toggle)

    def undo(self) -> None:
        self.graph.edit(Document.undo)

    def redo(self) -> None:
        self.graph.edit(Document.redo)

    def arrange(self) -> None:
        """Places all nodes left to right, as one step."""
        if not self.nodes:
            return
        sizes = {node_id: (item.width, item.height) for node_id, item in self.nodes.items()}
        self.graph.edit(lambda document: document.move(layout(document.data, sizes)))
        self.mirror.place_labels()
        self.fit()

    def _nudge(self, dx: float, dy: float) -> None:
        """Moves the selected nodes; a run of key presses is one step."""
        if self.document is not None and (ids := self.selected_ids()):
            places = {i: (self.nodes[i].x() + dx, self.nodes[i].y() + dy) for i in ids}
            self.document.move(places)
        else:
            self.viewer.pan_by(QPointF(dx, dy) * 4)

    # -- keys and menu -------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys work without a window's menu too; there, its actions take them first."""
        for _, action, keys, _ in self._entries():
            if keys is not None and _matches(event, keys):
                action()
                event.accept()
                return
        if event.key() in _ARROWS:
            x, y = _ARROWS[Qt.Key(event.key())]
            step = NUDGE * (10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
            self._nudge(x * step, y * step)
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        item = self.viewer.item_at(self.viewer.viewport().mapFromGlobal(event.globalPos()))
        if item is not None and not item.isSelected():
            self.viewer.scene().clearSelection()
            item.setSelected(True)
        self.menu().exec(event.globalPos())

    def menu(self) -> QMenu:
        """The context menu for what is selected."""
        menu = QMenu(self)
        for text, action, keys, enabled in self._entries():
            if not text:
                menu.addSeparator()
                continue
            entry = menu.addAction(text)
            entry.triggered.connect(lambda _checked=False, run=action: run())
            entry.setEnabled(enabled)
            if keys is not None:
                # Shown only: as a shortcut it would compete with the window's own action for the key.
                shown = QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
                entry.setText(f"{text}\t{shown}")
        return menu

    def _entries(self) -> list[tuple[str, Callable[[], Any], Any, bool]]:
        """Text, action, key and whether it can be done now; an empty text is a line in the menu."""
        document, some = self.document, bool(self.selected_ids())
        line: tuple[str, Callable[[], Any], Any, bool] = ("", lambda: None, None, True)
        return [
            ("Add component…", self.open_search, None, document is not None and self.mirror.catalogue is not None),
            line,
            ("Undo", self.undo, _Keys.Undo, document is not None and document.can_undo),
            ("Redo", self.redo, _Keys.Redo, document is not None and document.can_redo),
            line,
            ("Cut", self.cut, _Keys.Cut, some),
            ("Copy", self.copy, _Keys.Copy, some),
            ("Paste", self.paste, _Keys.Paste, can_paste(QGuiApplication.clipboard().text())),
            ("Duplicate", self.duplicate, "Ctrl+D", some),
            ("Delete", self.delete_selected, _Keys.Delete, some or bool(self.selected_wires())),
            line,
            ("Bypass", self.toggle_bypass, None, some),
            ("Freeze", self.toggle_freeze, None, some),
            line,
            ("Arrange all", self.arrange, None, bool(self.nodes)),
            ("Select all", self.select_all, _Keys.SelectAll, bool(self.nodes)),
            ("Zoom to fit", self.fit, "F", bool(self.nodes)),
            ("Zoom to 100 %", self.zoom_100, "Ctrl+0", bool(self.nodes)),
        ]


def _matches(event: QKeyEvent, keys: QKeySequence.StandardKey | str) -> bool:
    if isinstance(keys, str):
        return QKeySequence(event.keyCombination()) == QKeySequence(keys)
    return event.matches(keys) or (keys == _Keys.Delete and event.key() == Qt.Key.Key_Backspace)
