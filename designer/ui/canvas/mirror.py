"""The canvas as the document's mirror: every change of the document becomes a change of the items, and never back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from PySide6.QtCore import QRectF, QTimer
from PySide6.QtWidgets import QGraphicsItem

from designer.graph.changes import (
    Change,
    CompositeAdded,
    GroupAdded,
    GroupChanged,
    GroupRemoved,
    NodeAdded,
    NodeChanged,
    NodeRemoved,
    WireAdded,
    WireChanged,
    WireRemoved,
)
from designer.graph.document import Document
from designer.graph.model import Group, Node, Wire
from designer.ui.canvas import cards
from designer.ui.canvas.frames import FrameItem
from designer.ui.canvas.heat import figure, heats, value_of
from designer.ui.canvas.items import NodeItem
from designer.ui.canvas.labels import place_labels
from designer.ui.canvas.lod import MANY
from designer.ui.canvas.look import Look
from designer.ui.canvas.viewer import CanvasViewer
from designer.ui.canvas.wires import WireItem
from nodes.sdk.spec import Catalogue, ComponentSpec

SETTLE_MS = 60
"""Shapes find their places on wires again when nothing has moved for so long."""


class Mirror:
    """Holds one item for every node and wire of a document.

    Attributes:
        nodes: items by node id.
        wires: items by wire id; a wire whose ends are not in the document has none.
    """

    def __init__(self, viewer: CanvasViewer, look: Look, catalogue: Catalogue | None) -> None:
        self.viewer, self.look, self.catalogue = viewer, look, catalogue
        self.document: Document | None = None
        self.is_applying = False
        """Whether a change of the document is being drawn: what the scene tells meanwhile comes from no user."""
        self.nodes: dict[str, NodeItem] = {}
        self.wires: dict[str, WireItem] = {}
        self.frames: dict[str, FrameItem] = {}
        self.on_touched: Callable[[], None] = _nothing
        """Called when anything has come, gone, moved or changed its looks; often, so it must be cheap."""
        self.heat = ""
        self._heats: dict[str, float] = {}
        self._result: Mapping[str, Any] = {}
        self._problems: dict[str, list[Mapping[str, Any]]] = {}
        self._faults: dict[tuple[str, str], str] = {}
        self._unsubscribe: Callable[[], None] | None = None
        self._settle = QTimer(viewer)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self.place_labels)
        viewer.band_changed.connect(self._on_band)
        viewer.view_changed.connect(self._on_view)
        self._placed: QRectF | None = None

    # -- a whole document ----------------------------------------------------------------------------------------------

    def show(self, document: Document | None) -> None:
        """Mirrors another document from now on, or none."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.document, self._result, self._problems, self._faults = document, {}, {}, {}
        self.rebuild()
        if document is not None:
            self._unsubscribe = document.subscribe(self._on_change)

    def rebuild(self) -> None:
        """Draws everything anew."""
        self.viewer.cancel()
        self.viewer.forget_all()
        self.viewer.viewport().setUpdatesEnabled(False)
        scene = self.viewer.scene()
        scene.blockSignals(True)
        for old in self.wires.values():
            old.delete()
        for item in self.nodes.values():
            scene.removeItem(item)
        for frame in self.frames.values():
            scene.removeItem(frame)
        self.nodes, self.wires, self.frames = {}, {}, {}
        self.viewer.far.clear()
        if self.document is not None:
            self.viewer.many_come(len(self.document.data.nodes))
            for node in self.document.data.nodes:
                self._draw_node(node)
            for wire in self.document.data.wires:
                self._draw_wire(wire, grow=False)
            for group in self.document.data.groups:
                self._draw_frame(group)
        scene.blockSignals(False)
        self.viewer.count_changed(len(self.nodes))
        self.viewer.viewport().setUpdatesEnabled(True)
        self.on_touched()
        if self._result:
            self.place_labels()

    def set_look(self, look: Look) -> None:
        """Takes over another theme."""
        self.look = look
        self.viewer.set_look(look)
        for item in self.nodes.values():
            item.lines = None
        self.place_labels()
        for frame in self.frames.values():
            frame.follow()
        self.viewer.far.touch_all(self.items())
        self.viewer.scene().update()
        self.on_touched()

    def area(self) -> QRectF:
        """What the nodes take up; empty when there are none."""
        cards = [item.scene_card() for item in self.nodes.values() if not item.is_folded]
        cards += [frame.scene_box() for frame in self.frames.values()]
        cards += [wire.boundingRect() for wire in self.wires.values() if wire.points and wire.isVisible()]
        if not cards:
            return QRectF()
        left, top = min(c.left() for c in cards), min(c.top() for c in cards)
        return QRectF(left, top, max(c.right() for c in cards) - left, max(c.bottom() for c in cards) - top)

    def items(self) -> list[QGraphicsItem]:
        return [*self.nodes.values(), *self.wires.values()]

    # -- the document's changes ----------------------------------------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        self.is_applying = True
        try:
            self._apply(change)
        finally:
            self.is_applying = False

    def _apply(self, change: Change) -> None:
        match change:
            case NodeAdded(node):
                self._draw_node(node)
                self.viewer.count_changed(len(self.nodes))
            case NodeRemoved(node):
                self._remove_node(node)
            case WireAdded(wire):
                self._draw_wire(wire, grow=True)
            case WireRemoved(wire):
                self._remove_wire(wire)
            case WireChanged(wire_id, _, _, points):
                if wire_id in self.wires:
                    self.viewer.lead(self.wires[wire_id], points)
            case CompositeAdded(composite):
                self._redefine(composite.id)
            case GroupAdded(group):
                self._draw_frame(group)
            case GroupRemoved(group):
                self._remove_frame(group)
            case GroupChanged(group_id):
                self._refresh_frame(self.frames[group_id])
            case NodeChanged(node_id, field, _, new):
                item = self.nodes[node_id]
                if field == "position":
                    item.setPos(*new)
                elif field == "component":
                    item.spec = self._spec(new)
                    self._update_ports(node_id)
                    item.refresh()
                else:
                    item.refresh()

    def _redefine(self, component: str) -> None:
        """A composite has another definition: its nodes may have other ports."""
        for item in self.nodes.values():
            if item.node.component == component:
                item.spec = self._spec(component)
                self._update_ports(item.id)
                item.refresh()

    def _spec(self, component: str) -> ComponentSpec | None:
        own = self.document.catalogue if self.document is not None else None  # the document's composites are in it
        found = own.get(component) if own is not None else None
        return found or (self.catalogue.get(component) if self.catalogue is not None else None)

    def _draw_node(self, node: Node) -> None:
        item = NodeItem(node, self._spec(node.component), self)
        self.nodes[node.id] = item
        self._update_ports(node.id)
        if self._result:
            self._show_node(item)
        self.viewer.add_item(item)

    def _draw_wire(self, wire: Wire, *, grow: bool) -> None:
        """`grow` gives nodes the ports that the wire needs; a node that was just drawn has them."""
        if wire.source not in self.nodes or wire.target not in self.nodes:
            return  # a dangling wire, which the problems list names
        if grow:
            self._follow_wires(wire)
        item = WireItem(
            wire,
            self.nodes[wire.source].ports[False, wire.source_port],
            self.nodes[wire.target].ports[True, wire.target_port],
            self,
        )
        self.wires[wire.id] = item
        if self._result:
            self._show_wire(item)
        self.viewer.add_item(item)
        if item.output_port.node.is_folded:
            self._show_inner(item)
        if grow:
            self._redraw_ends(wire)

    def _draw_frame(self, group: Group) -> None:
        frame = FrameItem(group, self)
        self.frames[group.id] = frame
        self._refresh_frame(frame)
        self.viewer.add_item(frame)

    def _refresh_frame(self, frame: FrameItem) -> None:
        before = list(frame.members)
        self._leave_frame(frame)
        # A node that is just being removed may be listed still, as may one of a file that was edited by hand.
        frame.refresh(self.nodes[n] for n in frame.content.nodes if n in self.nodes)
        self._show_folded({*before, *frame.members})

    def _leave_frame(self, frame: FrameItem) -> None:
        for item in frame.members:
            if item.frame is frame:
                item.frame = None

    def _show_folded(self, items: Iterable[NodeItem]) -> None:
        """Nodes of a folded frame are not seen, nor are the wires between them."""
        for item in items:
            item.setVisible(not item.is_folded)
            self.touched(item)
            for port in item.ports.values():
                for wire in port.connected_pipes:
                    self._show_inner(wire)

    def _show_inner(self, wire: WireItem) -> None:
        source, target = wire.output_port.node, wire.input_port.node
        wire.setVisible(not (source.is_folded and source.frame is target.frame))
        wire.follow()

    def _remove_frame(self, group: Group) -> None:
        frame = self.frames.pop(group.id)
        self._leave_frame(frame)
        self._show_folded(item for item in frame.members if item.id in self.nodes)
        self.viewer.forget(frame)
        self.viewer.scene().removeItem(frame)
        self.on_touched()

    def _remove_node(self, node: Node) -> None:
        item = self.nodes.pop(node.id)
        if item.frame is not None:
            item.frame.members.remove(item)
        for port in item.ports.values():
            for wire in list(port.connected_pipes):
                del self.wires[wire.wire_id]
                self.viewer.remove_item(wire)
        self.viewer.remove_item(item)
        self.viewer.count_changed(len(self.nodes))
        self.on_touched()

    def _remove_wire(self, wire: Wire) -> None:
        if (item := self.wires.pop(wire.id, None)) is not None:
            self.viewer.remove_item(item)
            self._follow_wires(wire)
            self._redraw_ends(wire)

    def _follow_wires(self, wire: Wire) -> None:
        """Growing ports follow their wires, and a port that no wire needs any more goes."""
        for node_id, key in ((wire.source, (False, wire.source_port)), (wire.target, (True, wire.target_port))):
            item = self.nodes.get(node_id)
            if item is not None and (key not in item.ports or not _is_fixed(item.spec, key)):
                self._update_ports(node_id)

    def _redraw_ends(self, wire: Wire) -> None:
        """A port that has got or lost its wire looks different."""
        for node_id in (wire.source, wire.target):
            if node_id in self.nodes:
                self.nodes[node_id].update()

    def _update_ports(self, node_id: str) -> None:
        assert self.document is not None
        wired_in = [w.target_port for w in self.document.wires_into(node_id)]
        wired_out = [w.source_port for w in self.document.wires_from(node_id)]
        item = self.nodes[node_id]
        item.set_ports(*cards.ports_of(item.spec, wired_in, wired_out))

    # -- the engine's answer -------------------------------------------------------------------------------------------

    def show_result(self, result: Mapping[str, Any]) -> None:
        """Shows an answer of the engine: shapes on wires, sizes and problems on nodes."""
        self._result, self._problems, self._faults = result, {}, {}
        for problem in result.get("problems", ()):
            node = problem.get("node")
            if node is not None:
                self._problems.setdefault(node, []).append(problem)
                if problem.get("port") and problem["severity"] == "error":
                    self._faults.setdefault((node, problem["port"]), problem["message"])
        self._heats = heats(result, self.heat) if self.heat else {}
        for item in self.nodes.values():
            self._show_node(item)
        for frame in self.frames.values():
            frame.update()  # a folded one shows the worst of its nodes' problems
        stale = [self._show_wire(wire) for wire in self.wires.values()]
        if any(stale):
            self.place_labels()

    @property
    def result(self) -> Mapping[str, Any]:
        """The engine's last answer."""
        return self._result

    def set_heat(self, kind: str) -> None:
        """Colours cards by a kind of cost from `heat.KINDS`, or with "" by category again."""
        self.heat = kind
        self.show_result(self._result)

    def _show_node(self, item: NodeItem) -> None:
        result = self._result.get("nodes", {}).get(item.id, {})
        kind = self.heat or "params"
        value = value_of(result, kind)
        size = figure(kind, value) if value else ""
        heat = self._heats.get(item.id, 0.0) if self.heat else None
        item.show_result(result, self._problems.get(item.id, ()), size, heat)

    def _show_wire(self, wire: WireItem) -> bool:
        source, port = wire.output_port.key
        info = self._result.get("nodes", {}).get(source, {}).get("outputs", {}).get(port)
        return wire.show_result(info, self._faults.get(wire.input_port.key, ""))

    # -- what items report ---------------------------------------------------------------------------------------------

    def touched(self, item: QGraphicsItem) -> None:
        """Called by an item that has moved or looks different."""
        self.viewer.touched(item)
        if not self._settle.isActive():
            self._settle.start()
            self.on_touched()

    def _on_band(self) -> None:
        """Shapes have another size in the scene: at once, unless there are so many that the zoom would stutter."""
        if len(self.wires) > MANY:
            self._settle.start()
        else:
            self.place_labels()

    def place_labels(self) -> None:
        """Finds places for the shapes; put off while something is dragged."""
        if self.viewer.is_dragging:
            self._settle.start()
            return
        if self.viewer.is_far:
            return  # no shape is drawn there; coming nearer changes the band
        self._settle.stop()
        nodes: Iterable[NodeItem] = [item for item in self.nodes.values() if not item.is_folded]
        wires: Iterable[WireItem] = [wire for wire in self.wires.values() if wire.isVisible()]
        self._placed = None
        if len(self.wires) > MANY:
            seen = self.viewer.seen()
            self._placed = seen.adjusted(-seen.width() / 2, -seen.height() / 2, seen.width() / 2, seen.height() / 2)
            near = self.viewer.scene().items(self._placed)
            nodes = [item for item in near if isinstance(item, NodeItem)]
            wires = [item for item in near if isinstance(item, WireItem)]
        place_labels(nodes, wires, self.viewer.band, self.bars())

    def _on_view(self) -> None:
        """In a large document shapes have places only around what is seen: the rest follow when it comes into sight."""
        if self._placed is not None and not self._placed.contains(self.viewer.seen()) and not self._settle.isActive():
            self._settle.start()

    def bars(self) -> list[QRectF]:
        """The title bars of frames, and notes."""
        return [frame.scene_bar() for frame in self.frames.values()]


def _nothing() -> None:
    """Nobody wants to know."""


def _is_fixed(spec: ComponentSpec | None, key: tuple[bool, str]) -> bool:
    """Whether a port is there with or without a wire."""
    if spec is None:
        return False
    is_input, name = key
    port = spec.input(name) if is_input else spec.output(name)
    return port is not None and not port.variadic
