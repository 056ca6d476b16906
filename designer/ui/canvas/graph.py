"""NodeGraphQt's controller with its slots turned into edits of the document; its model and undo stay empty.

NodeGraphQt wires the viewer's signals to the `_on_*` slots below. Its own versions change its own model and undo
stack; ours ask the document, and the mirror draws what the document then says. So there is one truth and one history.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import metadata
from typing import Any

from PySide6.QtCore import QMimeData, QPoint, QPointF, Signal
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QToolTip

from designer.graph.composite_library import CompositeLibrary
from designer.graph.connect import fits
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.reroute import add_point, move_along
from designer.graph.rewire import insert_on
from designer.ui.canvas.frames import FrameItem
from designer.ui.canvas.items import HEADER, WIDTH, CanvasPort, NodeItem
from designer.ui.canvas.mirror import Mirror
from designer.ui.canvas.moving import Movable, move_dragged
from designer.ui.canvas.node_graph import AbstractNodeItem, NodeGraph, NodeViewer, PipeItem
from designer.ui.canvas.placing import make_room
from designer.ui.canvas.points import nearest_part
from designer.ui.canvas.viewer import CanvasViewer
from designer.ui.canvas.wires import WireItem
from designer.ui.palette import MIME
from nodes.sdk.spec import Port

TRIED_VERSION = "0.6.44"
_Pairs = list[tuple[CanvasPort, CanvasPort]]

# What our subclasses rely on that NodeGraphQt does not promise: names that its constructors set or its classes have.
_SET_BY_INIT: dict[type, tuple[str, ...]] = {
    AbstractNodeItem: ("_properties", "_width", "_height"),
    PipeItem: ("_input_port", "_output_port"),
    NodeViewer: ("_scene_range", "_update_scene", "_cursor_text", "_SLICER_PIPE", "_LIVE_PIPE", "setScene"),
    NodeGraph: ("_viewer", "_undo_stack", "_wire_signals"),
}
_SLOTS = (
    "_on_nodes_moved",
    "_on_connection_changed",
    "_on_connection_sliced",
    "_on_node_data_dropped",
    "_on_node_double_clicked",
    "_on_search_triggered",
    "_on_insert_node",
    "_on_node_name_changed",
    "_on_node_selected",
    "_on_node_selection_changed",
    "_on_node_backdrop_updated",
)


class UnknownNodeGraphQt(NetwrightError):
    """The installed NodeGraphQt is not built the way the canvas relies on."""


def check_names(set_by_init: Mapping[type, tuple[str, ...]] = _SET_BY_INIT, slots: tuple[str, ...] = _SLOTS) -> None:
    """Checks at start-up that NodeGraphQt still has every private name that the canvas uses.

    Raises:
        UnknownNodeGraphQt: names what is missing and which version to install.
    """
    missing = [
        f"{owner.__name__}.{name}"
        for owner, names in set_by_init.items()
        for name in names
        if name not in owner.__init__.__code__.co_names  # type: ignore[misc]
    ]
    missing += [f"NodeGraph.{name}" for name in slots if not hasattr(NodeGraph, name)]
    if missing:
        raise UnknownNodeGraphQt(
            f"NodeGraphQt {metadata.version('NodeGraphQt')} has no {', '.join(missing)}, which the canvas needs. "
            f"Install the version it was made for: pip install NodeGraphQt=={TRIED_VERSION}"
        )


class CanvasGraph(NodeGraph):
    """Turns gestures into edits.

    Signals:
        said(str): something to tell in passing, such as why a wire was refused.
        opened(str): a node was double-clicked.
        search_wanted(port or None, QPointF): a component is looked for, to be put there and wired to the port.
        added(str): a gesture made this node.
    """

    said = Signal(str)
    opened = Signal(str)
    search_wanted = Signal(object, QPointF)
    added = Signal(str)

    def __init__(self, viewer: CanvasViewer, mirror: Mirror) -> None:
        check_names()
        super().__init__(viewer=viewer)
        self.mirror = mirror
        self.looks_into = ""
        """Title of the composite whose inside is shown: it is not edited."""
        self.library: CompositeLibrary | None = None
        """The user's composites: one that is added is copied into the document."""
        self._refused = False
        viewer.wiring_started.connect(self._light_ports)
        viewer.wiring_over.connect(self._say_why_not)
        viewer.wiring_ended.connect(self._unlight_ports)
        viewer.wire_on_node.connect(self._on_wire_on_node)
        viewer.node_on_wire.connect(self._on_node_on_wire)
        viewer.wire_double_clicked.connect(self._on_wire_double_clicked)
        viewer.wire_on_canvas.connect(lambda port, at: self.search_wanted.emit(port, at))
        viewer.canvas_double_clicked.connect(lambda at: self.search_wanted.emit(None, at))

    def edit(self, action: Callable[[Document], Any]) -> Any:
        """Runs an edit of the document; a refusal is told, and None is given back."""
        document = self.mirror.document
        if document is None:
            return None
        if self.looks_into:
            self.said.emit(f"This is a look inside {self.looks_into}. Unpack it to change its parts.")
            return None
        document.seal()
        try:
            return action(document)
        except NetwrightError as error:
            self.said.emit(str(error))
            return None
        finally:
            document.seal()

    # -- NodeGraphQt's slots -------------------------------------------------------------------------------------------

    def _on_nodes_moved(self, moved: Collection[Movable]) -> None:
        """Nodes, notes, folded frames and points of wires were dragged.

        A node let go in a frame belongs to it then.
        """
        entered = {i.id: f for i in moved if isinstance(i, NodeItem) and (f := self._frame_under(i)) is not None}
        self.edit(lambda document: move_dragged(document, moved, entered))

    def _frame_under(self, item: NodeItem) -> FrameItem | None:
        """The frame that a node without one was let go in."""
        if item.frame is not None:
            return None
        middle = item.scene_card().center()
        open_ones = (f for f in self.mirror.frames.values() if not f.is_note and not f.is_folded)
        frames = (f for f in open_ones if f.scene_box().contains(middle))
        return next(frames, None)

    def _on_connection_changed(self, disconnected: _Pairs, connected: _Pairs) -> None:
        """A wire was drawn, put elsewhere or pulled off."""

        def rewire(document: Document) -> None:
            lifted = [w for a, b in disconnected if (w := self._wire_between(a, b)) is not None]
            if not connected:
                for wire in lifted:
                    document.disconnect(wire.wire_id)
                return
            source, target = _in_order(*connected[0])
            if any(document.wire(w.wire_id).ends == _ends(source, target) for w in lifted):
                return
            with document.edit(f"Connect {source.node.name} to {target.node.name}"):
                for wire in lifted:
                    document.disconnect(wire.wire_id)
                document.connect(source.key[0], target.key[0], source.key[1], target.key[1])

        self.edit(rewire)

    def _on_connection_sliced(self, ports: _Pairs) -> None:
        wires = [w.wire_id for a, b in ports if (w := self._wire_between(a, b)) is not None]

        def cut(document: Document) -> None:
            with document.edit("Cut 1 wire" if len(wires) == 1 else f"Cut {len(wires)} wires"):
                for wire in wires:
                    document.disconnect(wire)

        if wires:
            self.edit(cut)

    def _on_node_data_dropped(self, mimedata: QMimeData, pos: QPoint) -> None:
        """A component came from the palette."""
        component = bytes(mimedata.data(MIME).data()).decode("utf-8", "replace")
        wire = self.viewer().wire_at(QPointF(pos))
        if component and wire is not None:
            self.add_on_wire(component, QPointF(pos), wire)
        elif component:
            self._on_search_triggered(component, (pos.x(), pos.y()))

    def _on_search_triggered(self, node_type: str, pos: tuple[float, float]) -> None:
        """A component is wanted with its middle at a scene point."""
        self.add(node_type, QPointF(*pos))

    def _on_node_double_clicked(self, node_id: str) -> None:
        self.opened.emit(node_id)

    # These have no part here: the scene's own selection is used, titles are changed in the inspector.
    def _ignored(self, *_arguments: object) -> None:
        """Nothing."""

    _on_insert_node = _on_node_name_changed = _on_node_selected = _ignored
    _on_node_selection_changed = _on_node_backdrop_updated = _ignored

    # -- more gestures -------------------------------------------------------------------------------------------------

    def _known(self, document: Document, component: str) -> str:
        return self.library.take(document, component) if self.library is not None else component

    def _name_of(self, document: Document, component: str) -> str:
        entries = self.library.entries.values() if self.library is not None else ()
        own = next((entry.title for entry in entries if entry.id == component), None)
        spec = document.catalogue.get(component) if document.catalogue is not None else None
        return own or (spec.title if spec is not None else component)

    def add(self, component: str, middle: QPointF, start: CanvasPort | None = None) -> str | None:
        """Adds a component with its card's head around a scene point, wired to a port if one is given.

        Returns:
            The new node's id; None when there is no document.
        """
        corner = (round(middle.x() - WIDTH / 2), round(middle.y() - HEADER / 2))

        def act(document: Document) -> str:
            with document.edit(f"Add {self._name_of(document, component)}"):
                node = document.add(self._known(document, component), at=corner)
                if start is not None:
                    try:
                        _connect_to(document, start, node.id)
                    except NetwrightError as error:  # the node is wanted all the same
                        self.said.emit(str(error))
            return node.id

        made: str | None = self.edit(act)
        if made is not None:
            self.added.emit(made)
        return made

    def add_on_wire(self, component: str, middle: QPointF, wire: WireItem) -> str | None:
        """Adds a component in the middle of a wire, and makes room for it. One that does not fit stands beside it."""

        def act(document: Document) -> str:
            with document.edit(f"Insert {self._name_of(document, component)}"):
                corner = (round(middle.x() - WIDTH / 2), round(middle.y() - HEADER / 2))
                node = document.add(self._known(document, component), at=corner)
                self._put_on_wire(document, node.id, wire)
            return node.id

        made: str | None = self.edit(act)
        if made is not None:
            self.added.emit(made)
        return made

    def _on_node_on_wire(self, item: NodeItem, wire: WireItem) -> None:
        """A node without wires was dragged onto a wire."""

        def act(document: Document) -> None:
            with document.edit(f"Insert {item.name}"):
                document.move({item.id: (round(item.x()), round(item.y()))})
                self._put_on_wire(document, item.id, wire)

        self.edit(act)

    def _put_on_wire(self, document: Document, node: str, wire: WireItem) -> None:
        source, target = wire.output_port.node, wire.input_port.node
        try:
            insert_on(document, wire.wire_id, node)
        except NetwrightError as error:  # the node is wanted all the same
            self.said.emit(str(error))
            return
        move_along(document, make_room(document, node, source.scene_card(), target.scene_card()))

    def _on_wire_double_clicked(self, wire: WireItem, at: QPointF) -> None:
        """A point is put there, which can be dragged at once."""
        place, index = (round(at.x()), round(at.y())), nearest_part(wire.path(), at)
        self.edit(lambda document: add_point(document, wire.wire_id, index, place))
        if index < len(wire.point_items):
            self.viewer().scene().clearSelection()
            wire.point_items[index].setSelected(True)

    def _on_wire_on_node(self, start: CanvasPort, item: NodeItem, lifted: Any) -> None:
        """A wire was dropped on a card: it takes the first free port that fits."""

        def act(document: Document) -> None:
            with document.edit(f"Connect {start.node.name} to {item.name}"):
                if lifted is not None:
                    document.disconnect(lifted.wire_id)
                _connect_to(document, start, item.id)

        self.edit(act)

    # -- while a wire is dragged ---------------------------------------------------------------------------------------

    def _light_ports(self, start: CanvasPort) -> None:
        """Ports that the wire fits light up and the others fade.

        The document's `why_not` has the last word at the drop; asking it for every port would search the graph once a
        port, so the nodes that would close a loop are collected once.
        """
        looped = self._reachable(start)
        for item in self.mirror.nodes.values():
            for port in item.ports.values():
                port.lit = (
                    port.is_input != start.is_input
                    and item.id not in looped
                    and fits(Port(port.name, start.kind), Port(port.name, port.kind))
                )
            item.update()
        start.lit = None

    def _reachable(self, start: CanvasPort) -> set[str]:
        """The start's node, and those upstream of an output or downstream of an input."""
        document = self.mirror.document
        seen: set[str] = set()
        waiting = [start.node.id]
        while waiting and document is not None:
            node = waiting.pop()
            if node in seen or node not in self.mirror.nodes:
                continue
            seen.add(node)
            wires = document.wires_from(node) if start.is_input else document.wires_into(node)
            waiting += [w.target if start.is_input else w.source for w in wires]
        return seen

    def _unlight_ports(self) -> None:
        QToolTip.hideText()
        for item in self.mirror.nodes.values():
            for port in item.ports.values():
                port.lit = None
            item.update()

    def _say_why_not(self, start: CanvasPort, over: Any) -> None:
        """The wire is held over a port: what speaks against it is told at the pointer."""
        document = self.mirror.document
        reason = None
        if over is not None and document is not None:
            try:
                source, target = _in_order(start, over)
                reason = document.why_not(source.key[0], source.key[1], target.key[0], target.key[1])
            except NetwrightError as error:
                reason = str(error)
        if reason:
            self.said.emit(reason)
            QToolTip.showText(QCursor.pos(), reason, self.viewer())
        elif self._refused:  # what was said of a port that is left behind would be taken for the next one's
            self.said.emit("")
            QToolTip.hideText()
        self._refused = bool(reason)

    def _wire_between(self, one: CanvasPort, other: CanvasPort) -> WireItem | None:
        return next((w for w in one.connected_pipes if other in (w.input_port, w.output_port)), None)


def _in_order(one: CanvasPort, other: CanvasPort) -> tuple[CanvasPort, CanvasPort]:
    """Output and input of two ports. Raises NetwrightError when both are on the same side."""
    if one.is_input == other.is_input:
        raise NetwrightError("A wire goes from an output, on the right of a node, to an input, on the left of another.")
    return (other, one) if one.is_input else (one, other)


def _ends(source: CanvasPort, target: CanvasPort) -> tuple[str, str, str, str]:
    return (*source.key, *target.key)


def _connect_to(document: Document, start: CanvasPort, node: str) -> None:
    """Wires a port to the first port of a node that fits."""
    if start.is_input:
        document.connect(node, start.key[0], "", start.key[1])
    else:
        document.connect(start.key[0], node, start.key[1])
