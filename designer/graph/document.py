"""A document that is being worked on: its data, the one way to change it, its history and who watches it.

Every change goes through `_do`, which applies primitive changes, records them and tells the observers. A canvas, a
notebook and the command line use the same methods.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designer.graph import apply as primitives
from designer.graph.changes import (
    Change,
    CompositeAdded,
    CompositeRemoved,
    GroupAdded,
    GroupChanged,
    GroupRemoved,
    NodeAdded,
    NodeChanged,
    NodeRemoved,
    SettingsChanged,
    WireAdded,
    WireRemoved,
)
from designer.graph.connect import choose_ports, refusal
from designer.graph.drawn import with_drawn
from designer.graph.errors import CannotConnect, EditError, UnknownNode
from designer.graph.history import History, Step
from designer.graph.model import GraphData, Group, Node, Wire
from designer.graph.view import to_networkx, topological

if TYPE_CHECKING:
    import networkx as nx

    from designer.graph.problems import Problem
    from nodes.sdk.spec import Catalogue, ComponentSpec

Observer = Callable[[Change], None]


class Document:
    """See the module's docstring. `catalogue` may be None: then the structure alone is checked.

    Attributes:
        data: what is saved; read it freely, change it through the methods.
        path: the file it was loaded from or saved to.
        catalogue: component specs, with those of its own composites; may be set once the engine has answered.
    """

    def __init__(
        self, data: GraphData | None = None, catalogue: Catalogue | None = None, path: Path | None = None
    ) -> None:
        self.data = data or GraphData()
        self.catalogue = catalogue
        self.path = path
        self.history = History()
        self._index = primitives.Index(self.data)
        self._observers: list[Observer] = []
        self._open: list[Change] | None = None

    @property
    def catalogue(self) -> Catalogue | None:
        return self._catalogue

    @catalogue.setter
    def catalogue(self, library: Catalogue | None) -> None:
        self._library = library
        self._catalogue = with_drawn(library, self.data)

    # -- files ---------------------------------------------------------------------------------------------------

    @classmethod
    def new(cls, name: str = "Untitled", catalogue: Catalogue | None = None) -> Document:
        return cls(GraphData(name=name), catalogue)

    @classmethod
    def load(cls, path: str | Path, catalogue: Catalogue | None = None) -> Document:
        """Reads a file. Raises DocumentError with line and reason; the file is never touched."""
        from designer.graph.storage import read

        return cls(read(Path(path)), catalogue, Path(path))

    def save(self, path: str | Path | None = None) -> Path:
        """Writes the file, whole or not at all, and marks this state as saved."""
        from designer.graph.storage import write

        target = Path(path) if path is not None else self.path
        if target is None:
            raise EditError("This document has no file yet. Save it with a path.")
        write(self.data, target)
        self.path = target
        self.history.mark_saved()
        return target

    # -- looking -------------------------------------------------------------------------------------------------

    def node(self, node: str | Node) -> Node:
        """The node of an id. Raises UnknownNode."""
        node_id = node if isinstance(node, str) else node.id
        found = self._index.nodes.get(node_id)
        if found is None:
            raise UnknownNode(f"There is no node {node_id!r} in {self.data.name!r}.")
        return found

    def wire(self, wire: str | Wire) -> Wire:
        wire_id = wire if isinstance(wire, str) else wire.id
        found = self._index.wires.get(wire_id)
        if found is None:
            raise UnknownNode(f"There is no wire {wire_id!r} in {self.data.name!r}.")
        return found

    def spec(self, node: str | Node) -> ComponentSpec | None:
        """The component of a node; None without a catalogue or for an unknown component."""
        return self.catalogue.get(self.node(node).component) if self.catalogue is not None else None

    def wires_into(self, node: str | Node) -> list[Wire]:
        return list(self._index.incoming[self.node(node).id].values())

    def wires_from(self, node: str | Node) -> list[Wire]:
        return list(self._index.outgoing[self.node(node).id].values())

    def graph(self) -> nx.MultiDiGraph:
        return to_networkx(self.data)

    def order(self) -> list[str]:
        """Node ids in the order they run."""
        return topological(self.data)

    def problems(self) -> list[Problem]:
        """What can be said without torch: cycles, missing inputs, kinds, parameters, unknown components."""
        from designer.graph.validate import validate

        return validate(self.data, self.catalogue)

    def why_not(self, source: str | Node, source_port: str, target: str | Node, target_port: str) -> str | None:
        """Why two ports cannot be wired, in words; None when they can."""
        return refusal(self, self.node(source), source_port, self.node(target), target_port)

    # -- editing -------------------------------------------------------------------------------------------------

    def add(
        self, component: str, *, title: str = "", at: tuple[float, float] | None = None, id: str = "", **params: Any
    ) -> Node:
        """Adds a node with the component's default parameters, overridden by `params`.

        Args:
            component: id of the component; an unknown one makes a placeholder.
            title: unique; made from the component's name when left out or taken.
            at: canvas position; to the right of the last node by default.
            id: keep this id, as paste and expand do; must be free.
        """
        spec = self.catalogue.get(component) if self.catalogue is not None else None
        base = title or (spec.title if spec else component.rpartition(".")[2])
        x, y = at if at is not None else self._next_place()
        if id and id in self._index.nodes:
            raise EditError(f"The id {id!r} is taken.")
        node = Node(
            id=id or self._index.new_id("n"),
            component=spec.id if spec else component,
            title=self._index.free_title(base),
            params={**(spec.defaults() if spec else {}), **params},
            x=x,
            y=y,
        )
        self._do(f"Add {node.title}", [NodeAdded(node, len(self.data.nodes))])
        return node

    def remove(self, *nodes: str | Node) -> None:
        """Removes nodes with their wires, as one step."""
        found = [self.node(n) for n in nodes]
        ids = {n.id for n in found}
        with self.edit(f"Delete {found[0].title}" if len(found) == 1 else f"Delete {len(found)} nodes"):
            for wire in [w for w in self.data.wires if w.source in ids or w.target in ids]:
                self.disconnect(wire)
            for group in list(self.data.groups):
                if left := [n for n in group.nodes if n not in ids]:
                    self.set_group(group, nodes=left)
                elif group.nodes:
                    self.remove_group(group)
            for node in found:
                self._do("Delete", [NodeRemoved(node, primitives.place_of(node, self.data.nodes))])

    def connect(self, source: str | Node, target: str | Node, source_port: str = "", target_port: str = "") -> Wire:
        """Wires two ports, replacing the wire on an occupied single input.

        Args:
            source: node the wire starts at.
            target: node it ends at.
            source_port: by default the first output that fits.
            target_port: by default the first free input that fits, else the next of a variadic one.

        Raises:
            CannotConnect: a cycle, kinds that differ, no such port.
        """
        start, end = self.node(source), self.node(target)
        source_port, target_port = choose_ports(self, start, end, source_port, target_port)
        if reason := refusal(self, start, source_port, end, target_port):
            raise CannotConnect(reason)
        occupied = next((w for w in self.wires_into(end) if w.target_port == target_port), None)
        if occupied is not None and occupied.ends[:2] == (start.id, source_port):
            return occupied
        wire = Wire(
            id=self._index.new_id("w"), source=start.id, source_port=source_port, target=end.id, target_port=target_port
        )
        with self.edit(f"Connect {start.title} to {end.title}"):
            if occupied is not None:
                self.disconnect(occupied)
            self._do("Connect", [WireAdded(wire, len(self.data.wires))])
        return wire

    def disconnect(self, wire: str | Wire) -> None:
        found = self.wire(wire)
        name = f"Disconnect {self.node(found.target).title}" if found.target in self._index.nodes else "Delete wire"
        self._do(name, [WireRemoved(found, primitives.place_of(found, self.data.wires))])

    def set_param(self, node: str | Node, name: str, value: Any) -> None:
        """Sets a parameter. A value out of range is kept and reported as a problem, so that typing is never refused."""
        found = self.node(node)
        old = found.params.get(name, primitives.ABSENT)
        if old is primitives.ABSENT or old != value or type(old) is not type(value):
            self._do(f"Set {name} of {found.title}", [NodeChanged(found.id, f"params.{name}", old, value)])

    def reset_param(self, node: str | Node, name: str) -> None:
        """Puts back the component's default, or takes out a parameter that the component does not have."""
        found, spec = self.node(node), self.spec(node)
        if spec is not None and spec.param(name) is not None:
            self.set_param(found, name, spec.defaults().get(name))
        elif name in found.params:
            change = NodeChanged(found.id, f"params.{name}", found.params[name], primitives.ABSENT)
            self._do(f"Remove {name} of {found.title}", [change])

    def move(self, positions: Mapping[str, tuple[float, float]]) -> None:
        """Moves nodes to new canvas positions, as one step."""
        changes: list[Change] = []
        for node_id, (x, y) in positions.items():
            node = self.node(node_id)
            if (node.x, node.y) != (x, y):
                changes.append(NodeChanged(node.id, "position", (node.x, node.y), (float(x), float(y))))
        if changes:
            title = self.node(next(iter(positions))).title
            self._do(f"Move {title}" if len(changes) == 1 else f"Move {len(changes)} nodes", changes)

    def rename(self, node: str | Node, title: str) -> None:
        """Gives a node a title; a number is added when it is taken."""
        found = self.node(node)
        if title.strip() and title.strip() != found.title:
            free = self._index.free_title(title.strip())
            self._do(f"Rename {found.title}", [NodeChanged(found.id, "title", found.title, free)])

    def set_frozen(self, node: str | Node, frozen: bool) -> None:
        self._set_field(node, "frozen", frozen, "Freeze" if frozen else "Unfreeze")

    def set_disabled(self, node: str | Node, disabled: bool) -> None:
        self._set_field(node, "disabled", disabled, "Bypass" if disabled else "Enable")

    def set_weights(self, node: str | Node, source: str) -> None:
        """Sets where a node's weights come from before training; empty draws them at random."""
        self._set_field(node, "weights", source, "Weights of")

    def set_note(self, node: str | Node, note: str) -> None:
        self._set_field(node, "note", note, "Note on")

    def set_color(self, node: str | Node, color: str) -> None:
        self._set_field(node, "color", color, "Colour")

    def _set_field(self, node: str | Node, field: str, value: Any, verb: str) -> None:
        found = self.node(node)
        if getattr(found, field) != value:
            self._do(f"{verb} {found.title}", [NodeChanged(found.id, field, getattr(found, field), value)])

    def add_group(self, title: str, nodes: Iterable[str | Node], **fields: Any) -> Group:
        group = Group(id=self._index.new_id("g"), title=title, nodes=[self.node(n).id for n in nodes], **fields)
        self._do(f"Group {title}", [GroupAdded(group, len(self.data.groups))])
        return group

    def remove_group(self, group: Group) -> None:
        self._do(f"Ungroup {group.title}", [GroupRemoved(group, primitives.place_of(group, self.data.groups))])

    def set_group(self, group: Group, **fields: Any) -> None:
        changes: list[Change] = [
            GroupChanged(group.id, k, getattr(group, k), v) for k, v in fields.items() if getattr(group, k) != v
        ]
        if changes:
            self._do(f"Change {group.title}", changes)

    def set_training(self, **fields: Any) -> None:
        """Sets fields of the training section. Raises EditError for a value that is not allowed."""
        self._set_section("training", fields)

    def set_data(self, **fields: Any) -> None:
        """Sets fields of the data section. Raises EditError for a value that is not allowed."""
        self._set_section("data", fields)

    def set_advice(self, **fields: Any) -> None:
        """Sets fields of the advice section, `muted` above all."""
        self._set_section("advice", fields)

    def _set_section(self, section: Any, fields: dict[str, Any]) -> None:
        model = getattr(self.data, section)
        primitives.check_section(model, fields)
        old = {k: getattr(model, k, primitives.ABSENT) for k, v in fields.items() if getattr(model, k, None) != v}
        if old:
            name = f"Set {', '.join(old)}"
            self._do(name, [SettingsChanged(section, old, {k: fields[k] for k in old})])

    def apply(self, edits: Iterable[Mapping[str, Any]], name: str) -> None:
        """Applies edit dicts (a quick fix) as one step; on failure nothing changes."""
        from designer.graph.edits import apply_edit

        with self.edit(name):
            for edit in edits:
                apply_edit(self, edit)

    # -- history -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def edit(self, name: str) -> Iterator[None]:
        """Makes everything inside one undo step. An exception takes all of it back."""
        if self._open is not None:
            yield  # the outer step collects
            return
        self._open = []
        try:
            yield
        except BaseException:
            made, self._open = self._open, None
            self._play([c.inverse() for c in reversed(made)])
            raise
        made, self._open = self._open, None
        if made:
            self.history.add(Step(name, made))

    def _do(self, name: str, changes: list[Change]) -> None:
        self._play(changes)
        if self._open is not None:
            self._open += changes
        else:
            self.history.add(Step(name, changes))

    def _play(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._index.apply(change)
            if isinstance(change, (CompositeAdded, CompositeRemoved)):
                self.catalogue = self._library
            for observer in list(self._observers):
                observer(change)

    def undo(self) -> None:
        """Takes back the last step; nothing happens when there is none."""
        if self.can_undo:
            self._play([c.inverse() for c in reversed(self.history.take_undo().changes)])

    def redo(self) -> None:
        if self.can_redo:
            self._play(self.history.take_redo().changes)

    def seal(self) -> None:
        """Ends merging: a slider was let go, the next change is a step of its own."""
        self.history.seal()

    @property
    def can_undo(self) -> bool:
        return bool(self.history.done)

    @property
    def can_redo(self) -> bool:
        return bool(self.history.undone)

    @property
    def undo_name(self) -> str:
        return self.history.done[-1].name if self.history.done else ""

    @property
    def redo_name(self) -> str:
        return self.history.undone[-1].name if self.history.undone else ""

    @property
    def is_dirty(self) -> bool:
        """Whether there is something that the file does not have."""
        return self.history.is_dirty

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Calls `observer` with each change as it is applied, also by undo and redo. Returns a function to end it."""
        self._observers.append(observer)

        def unsubscribe() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return unsubscribe

    def _next_place(self) -> tuple[float, float]:
        if not self.data.nodes:
            return 0.0, 0.0
        last = self.data.nodes[-1]
        return last.x + 260.0, last.y
