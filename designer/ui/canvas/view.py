"""The canvas widget: draws a document's changes and turns gestures into edits of the document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Signal
from PySide6.QtGui import QContextMenuEvent, QCursor, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget
from shiboken6 import isValid

from designer.graph.changes import Change, NodeAdded, NodeChanged, NodeRemoved, WireAdded, WireRemoved
from designer.graph.clipboard import can_paste, copy_nodes, paste_nodes
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.ui import theme as themes
from designer.ui import wording
from designer.ui.canvas.items import NodeItem, WireItem, port_tuples, wire_text
from designer.ui.canvas.layout import layout
from designer.ui.canvas.look import Look
from designer.ui.canvas.search import SearchPopup
from designer.ui.canvas.viewer import CanvasViewer
from nodes.sdk.spec import Catalogue


class CanvasView(QWidget):
    """Signals:
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
        self.look = Look(theme or themes.current())
        self.viewer = CanvasViewer(self.look)
        self.viewer.setAccessibleName("Canvas")
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.viewer)
        self.setFocusProxy(self.viewer)
        self.document: Document | None = None
        self.catalogue = catalogue
        self.nodes: dict[str, NodeItem] = {}
        self.wires: dict[str, WireItem] = {}
        self._result: Mapping[str, Any] = {}
        self._unsubscribe: Callable[[], None] | None = None
        self._pasted = 0
        self.search = SearchPopup(self, self._add_at)
        self._connect()
        self.set_document(document)

    def _connect(self) -> None:
        viewer = self.viewer
        viewer.scene().selectionChanged.connect(self._on_selection)
        viewer.nodes_moved.connect(self._on_moved)
        viewer.wire_dropped.connect(self._on_wire)
        viewer.drag_started.connect(self._light_ports)
        viewer.drag_ended.connect(self._unlight_ports)
        viewer.component_dropped.connect(self._add_at)
        viewer.empty_activated.connect(self._open_search)
        viewer.node_opened.connect(self.node_activated)
        viewer.zoom_changed.connect(lambda scale: self.zoom_changed.emit(scale * 100))

    # -- what is shown -----------------------------------------------------------------------------------------------

    def set_document(self, document: Document | None) -> None:
        """Shows another document, or none."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.document, self._result = document, {}
        self._rebuild()
        if document is not None:
            self._unsubscribe = document.subscribe(self._on_change)
            self.fit()

    def set_catalogue(self, catalogue: Catalogue | None) -> None:
        """Takes over the components; ports may appear on nodes that were drawn without."""
        self.catalogue = catalogue
        self._rebuild()
        self.show_propagation(self._result)

    def set_theme(self, theme: themes.Theme) -> None:
        self.look = Look(theme)
        self.viewer.set_look(self.look)
        self.viewer.scene().update()

    def show_propagation(self, result: Mapping[str, Any]) -> None:
        """Shows the engine's answer: shapes on wires, sizes and problems on nodes."""
        self._result = result
        found = result.get("nodes", {})
        problems: dict[str, list[Mapping[str, Any]]] = {}
        for problem in result.get("problems", ()):
            problems.setdefault(problem["node"] or "", []).append(problem)
        for node_id, item in self.nodes.items():
            node = found.get(node_id, {})
            mine = problems.get(node_id, [])
            severities = {p["severity"] for p in mine}
            item.severity = "error" if "error" in severities else "warning" if "warning" in severities else ""
            item.waiting = node.get("status") == "waiting"
            item.size_text = wording.count(node["params"]) if node.get("params") else ""
            item.setToolTip("\n".join(p["message"] for p in mine) or self._tip(item, node))
            item.update()
        for wire in self.wires.values():
            source, port = wire.output_port.key
            target, entered = wire.input_port.key
            info = found.get(source, {}).get("outputs", {}).get(port)
            at_fault = [p for p in problems.get(target, ()) if p.get("port") == entered and p["severity"] == "error"]
            wire.label = wire_text(info)
            wire.reason = at_fault[0]["message"] if at_fault else ""
            wire.setToolTip(wire.reason or _wire_tip(info))
            wire.update()

    def _tip(self, item: NodeItem, node: Mapping[str, Any]) -> str:
        parts = [item.spec.summary if item.spec else item.subtitle]
        for name, info in node.get("outputs", {}).items():
            parts.append(f"{name}: {_wire_tip(info)}")
        return "\n".join(parts)

    def _rebuild(self) -> None:
        self.viewer.viewport().setUpdatesEnabled(False)
        scene = self.viewer.scene()
        scene.blockSignals(True)
        for wire in list(self.wires.values()):
            wire.delete()
        for item in self.nodes.values():
            scene.removeItem(item)
        self.nodes, self.wires = {}, {}
        if self.document is not None:
            for node in self.document.data.nodes:
                self._draw_node(node)
            for made in self.document.data.wires:
                self._draw_wire(made)
        scene.blockSignals(False)
        self.viewer.viewport().setUpdatesEnabled(True)
        self.selection_changed.emit([])

    # -- the document's changes --------------------------------------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        match change:
            case NodeAdded(node):
                self._draw_node(node)
            case NodeRemoved(node):
                self.viewer.scene().removeItem(self.nodes.pop(node.id))
            case WireAdded(wire):
                self._draw_wire(wire)
            case WireRemoved(wire):
                if (gone := self.wires.pop(wire.id, None)) is not None:
                    gone.delete()
                    self._update_ports(wire.source, wire.target)
            case NodeChanged(node_id, field, _, new):
                item = self.nodes[node_id]
                if field == "position":
                    item.setPos(*new)
                elif field == "component":
                    item.spec = self._spec(new)
                    item.refresh()
                    self._update_ports(node_id)
                else:
                    item.refresh()

    def _spec(self, component: str) -> Any:
        return self.catalogue.get(component) if self.catalogue is not None else None

    def _draw_node(self, node: Any) -> None:
        item = NodeItem(node, self._spec(node.component), lambda: self.look)
        self.nodes[node.id] = item
        item.set_ports(*port_tuples(item.spec, [], []))
        self.viewer.scene().addItem(item)

    def _draw_wire(self, wire: Any) -> None:
        if wire.source not in self.nodes or wire.target not in self.nodes:
            return  # a dangling wire, which the problems list names
        self._update_ports(wire.source, wire.target)
        source = self.nodes[wire.source].ports.get((False, wire.source_port))
        target = self.nodes[wire.target].ports.get((True, wire.target_port))
        if source is not None and target is not None:
            item = WireItem(wire, source, target, lambda: self.look)
            self.wires[wire.id] = item
            self.viewer.scene().addItem(item)

    def _update_ports(self, *node_ids: str) -> None:
        """Growing ports follow their wires: one spare is always there."""
        assert self.document is not None
        for node_id in node_ids:
            if (item := self.nodes.get(node_id)) is not None:
                wires = self.document.wires_into(node_id), self.document.wires_from(node_id)
                names = [w.target_port for w in wires[0]], [w.source_port for w in wires[1]]
                item.set_ports(*port_tuples(item.spec, *names))

    # -- gestures ----------------------------------------------------------------------------------------------------

    def _edit(self, action: Callable[[Document], Any]) -> Any:
        """Runs an edit; a refusal is told in the status line."""
        if self.document is None:
            return None
        try:
            return action(self.document)
        except NetwrightError as error:
            self.status.emit(str(error))
            return None

    def _on_selection(self) -> None:
        if isValid(self) and all(isValid(item) for item in self.nodes.values()):  # not while the window is torn down
            self.selection_changed.emit(self.selected_ids())

    def _on_moved(self) -> None:
        if self.document is None:
            return
        moved = {}
        for node_id in self.selected_ids():
            place = self.nodes[node_id].pos()
            node = self.document.node(node_id)
            if (node.x, node.y) != (place.x(), place.y()):
                moved[node_id] = (round(place.x()), round(place.y()))
        if moved:
            self.document.seal()
            self.document.move(moved)
            self.document.seal()

    def _on_wire(self, start: Any, over: Any, picked_up: str) -> None:
        def rewire(document: Document) -> None:
            if over is None:
                if picked_up:
                    document.disconnect(picked_up)
                return
            source, target = (over, start) if start.is_input else (start, over)
            if source.is_input or not target.is_input:
                self.status.emit("A wire goes from an output, on the right of a node, to an input on the left.")
                return
            if picked_up and document.wire(picked_up).ends == (*source.key, *target.key):
                return
            with document.edit(f"Connect {source.node.name} to {target.node.name}"):
                if picked_up:
                    document.disconnect(picked_up)
                document.connect(source.key[0], target.key[0], source.key[1], target.key[1])

        self._edit(rewire)

    def _light_ports(self, start: Any) -> None:
        """While a wire is dragged, ports that it fits light up and the others fade."""
        if self.document is None:
            return
        for item in self.nodes.values():
            for port in item.ports.values():
                if port is start:
                    continue
                fits = port.is_input != start.is_input
                if fits:
                    source, target = (port, start) if start.is_input else (start, port)
                    fits = self.document.why_not(source.key[0], source.key[1], target.key[0], target.key[1]) is None
                port.lit = fits
            item.update()

    def _unlight_ports(self) -> None:
        for item in self.nodes.values():
            for port in item.ports.values():
                port.lit = None
            item.update()

    def _open_search(self, at: QPointF) -> None:
        if self.document is not None and self.catalogue is not None:
            self.search.open_at(QCursor.pos(), at, self.catalogue)

    def _add_at(self, component: str, at: QPointF) -> None:
        corner = (round(at.x() - 94), round(at.y() - 23))
        node = self._edit(lambda document: document.add(component, at=corner))
        if node is not None:
            self.select([node.id])
            self.viewer.setFocus()

    def add_at_centre(self, component: str) -> None:
        """Adds a component in the middle of what is seen, moved aside while something is there already."""
        at = self.viewer.mapToScene(self.viewer.viewport().rect().center())
        while any(abs(i.x() + 94 - at.x()) < 20 and abs(i.y() + 23 - at.y()) < 20 for i in self.nodes.values()):
            at += QPointF(24, 60)
        self._add_at(component, at)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        item = self.viewer.item_at(self.viewer.viewport().mapFromGlobal(event.globalPos()))
        if isinstance(item, (NodeItem, WireItem)) and not item.isSelected():
            self.viewer.scene().clearSelection()
            item.setSelected(True)
        self.menu().exec(event.globalPos())

    def menu(self) -> QMenu:
        """The context menu for what is selected."""
        menu = QMenu(self)
        keys = QKeySequence.StandardKey
        some = bool(self.selected_ids())
        entries: list[tuple[str, Callable[[], Any], Any, bool]] = [
            ("Cut", self.cut, keys.Cut, some),
            ("Copy", self.copy, keys.Copy, some),
            ("Paste", self.paste, keys.Paste, can_paste(QGuiApplication.clipboard().text())),
            ("Duplicate", self.duplicate, "Ctrl+D", some),
            ("Delete", self.delete_selected, keys.Delete, some or bool(self._selected_wires())),
            ("", lambda: None, None, True),
            ("Bypass", self.toggle_bypass, None, some),
            ("Freeze", self.toggle_freeze, None, some),
            ("", lambda: None, None, True),
            ("Arrange all", self.arrange, None, bool(self.nodes)),
            ("Select all", self.select_all, keys.SelectAll, bool(self.nodes)),
            ("Zoom to fit", self.fit, None, bool(self.nodes)),
        ]
        for text, action, shortcut, enabled in entries:
            if not text:
                menu.addSeparator()
                continue
            entry = menu.addAction(text)
            entry.triggered.connect(action)
            entry.setEnabled(enabled)
            if shortcut is not None:
                # Shown only: the window's own actions carry the shortcut.
                entry.setText(f"{text}\t{QKeySequence(shortcut).toString(QKeySequence.SequenceFormat.NativeText)}")
        return menu

    # -- selection and view ------------------------------------------------------------------------------------------

    def selected_ids(self) -> list[str]:
        return [node_id for node_id, item in self.nodes.items() if item.isSelected()]

    def _selected_wires(self) -> list[str]:
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
            self.viewer.look_at(item.sceneBoundingRect().center(), max(self.viewer.zoom, 0.7))

    def fit(self) -> None:
        """Shows the whole document."""
        area = QRectF()
        for item in self.nodes.values():
            area = area.united(item.sceneBoundingRect())
        self.viewer.show_rect(area if not area.isEmpty() else QRectF(0, 0, 800, 500))

    def zoom_100(self) -> None:
        self.viewer.look_at(self.viewer._scene_range.center(), 1.0)

    # -- actions -----------------------------------------------------------------------------------------------------

    def delete_selected(self) -> None:
        ids, wires = self.selected_ids(), self._selected_wires()

        def delete(document: Document) -> None:
            count = len(ids) + len(wires)
            name = f"Delete {document.node(ids[0]).title}" if len(ids) == 1 and count == 1 else f"Delete {count} items"
            with document.edit(name):
                for wire in wires:
                    document.disconnect(wire)
                if ids:
                    document.remove(*ids)

        if ids or wires:
            self._edit(delete)

    def copy(self) -> None:
        if self.document is not None and (ids := self.selected_ids()):
            QGuiApplication.clipboard().setText(copy_nodes(self.document, ids))
            self._pasted = 0

    def cut(self) -> None:
        self.copy()
        self.delete_selected()

    def paste(self) -> None:
        text = QGuiApplication.clipboard().text()
        if not can_paste(text):
            self.status.emit("The clipboard holds no nodes.")
            return
        self._pasted += 1
        shift = 32.0 * self._pasted
        made = self._edit(lambda document: paste_nodes(document, text, (shift, shift)))
        if made:
            self.select(made)

    def duplicate(self) -> None:
        if self.document is not None and (ids := self.selected_ids()):
            text = copy_nodes(self.document, ids)
            made = self._edit(lambda document: paste_nodes(document, text, (32.0, 32.0)))
            self.select(made or [])

    def toggle_bypass(self) -> None:
        self._toggle("disabled", Document.set_disabled, "Bypass")

    def toggle_freeze(self) -> None:
        self._toggle("frozen", Document.set_frozen, "Freeze")

    def _toggle(self, field: str, setter: Callable[[Document, str, bool], None], name: str) -> None:
        ids = self.selected_ids()

        def toggle(document: Document) -> None:
            on = not all(getattr(document.node(i), field) for i in ids)
            with document.edit(f"{name} " + (f"{len(ids)} nodes" if len(ids) > 1 else document.node(ids[0]).title)):
                for node_id in ids:
                    setter(document, node_id, on)

        if ids:
            self._edit(toggle)

    def arrange(self) -> None:
        """Places all nodes left to right, as one step."""
        if self.document is None or not self.nodes:
            return
        sizes = {node_id: (item.width, item.height) for node_id, item in self.nodes.items()}
        self.document.move(layout(self.document.data, sizes))
        self.document.seal()
        self.fit()


def _wire_tip(info: Mapping[str, Any] | None) -> str:
    if not info:
        return ""
    if "shape" in info:
        return f"{wording.shape(info['shape'])}  {info.get('dtype', '')}".strip()
    return ", ".join(f"{name} {wording.shape(sizes)}" for name, sizes in info.get("fields", {}).items())
