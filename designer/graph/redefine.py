"""Changing the definition of a drawn composite: what it shows, how its ports are called; all nodes of it follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from designer.graph.apply import ABSENT
from designer.graph.changes import (
    Change,
    CompositeAdded,
    CompositeRemoved,
    NodeChanged,
    WireAdded,
    WireRemoved,
)
from designer.graph.errors import EditError
from designer.graph.model import Drawn, Entry, Exposed, Node, Wire
from nodes.sdk.spec import base_port

if TYPE_CHECKING:
    from designer.graph.document import Document

Names = Mapping[str, str]


def drawn(document: Document, composite: str) -> Drawn:
    """The definition of this id. Raises EditError when the document has none."""
    found = next((c for c in document.data.composites if c.id == composite), None)
    if found is None:
        raise EditError(f"This document has no composite {composite!r}.")
    return found


def show_param(document: Document, composite: str, node: str, param: str, name: str = "") -> str:
    """Shows a parameter of a part on the composite's nodes, as one step.

    Args:
        document: the document.
        composite: id of the definition.
        node: id of the part.
        param: name of its parameter.
        name: what it is called outside; "" takes the parameter's own, with the part's title where that is taken.

    Returns:
        What it is called.

    Raises:
        EditError: the name is taken, or the part has no such parameter to set.
    """
    old = drawn(document, composite)
    part = next((n for n in old.nodes if n.id == node), None)
    spec = document.catalogue.get(part.component) if part is not None and document.catalogue is not None else None
    if part is None or spec is None or param not in {p.name for p in spec.settings}:
        raise EditError(f"{old.title} has no part {node!r} with a parameter {param!r} to set.")
    taken = {e.name for e in old.params}
    if name in taken:
        raise EditError(f"{old.title} shows another parameter as {name!r} already. Choose another name.")
    if not name:
        title = "_".join(part.title.lower().split()) or part.id
        tried = [param, f"{title}_{param}", *(f"{title}_{param}_{i}" for i in range(2, len(taken) + 3))]
        name = next(t for t in tried if t not in taken)
    new = old.model_copy(update={"params": [*old.params, Exposed(name=name, node=node, param=param)]})
    redefine(document, new, f"Show {name} of {old.title}")
    return name


def hide_param(document: Document, composite: str, name: str) -> None:
    """Shows a parameter no longer, as one step: every node of the composite has the part's own value again."""
    old = drawn(document, composite)
    new = old.model_copy(update={"params": [e for e in old.params if e.name != name]})
    redefine(document, new, f"Hide {name} of {old.title}")


def rename_port(document: Document, composite: str, name: str, wanted: str, *, is_input: bool) -> None:
    """Calls a port of a composite otherwise, as one step; wires stay where they are.

    Raises:
        EditError: the name is no name for a port, or is taken.
    """
    old, side = drawn(document, composite), "inputs" if is_input else "outputs"
    entries: list[Entry] = getattr(old, side)
    if wanted == name:
        return
    if not wanted.isidentifier():
        raise EditError(f"{wanted!r} cannot be the name of a port. Use letters, digits and _, and begin with a letter.")
    if any(e.name == wanted for e in entries):
        raise EditError(f"{old.title} has a port {wanted!r} on this side already. Choose another name.")
    renamed = [e.model_copy(update={"name": wanted}) if e.name == name else e for e in entries]
    names = {name: wanted}
    new = old.model_copy(update={side: renamed})
    title = f"Rename port {name} of {old.title}"
    redefine(document, new, title, inputs=names if is_input else None, outputs=None if is_input else names)


def rename_composite(document: Document, composite: str, title: str, node: str = "") -> None:
    """Calls a composite otherwise, in the palette and the library too, as one step.

    Args:
        document: the document.
        composite: id of the definition.
        title: its new name; the old one stays where this is empty.
        node: a node that gets the same title.
    """
    old, title = drawn(document, composite), title.strip()
    with document.edit(f"Rename {old.title}"):
        if title and title != old.title:
            redefine(document, old.model_copy(update={"title": title}), f"Rename {old.title}")
        if node:
            document.rename(node, title)


def redefine(
    document: Document, new: Drawn, name: str, inputs: Names | None = None, outputs: Names | None = None
) -> None:
    """Gives a composite another definition, as one step; its nodes, and the composites made of it, follow.

    Args:
        document: the document.
        new: takes the place of the definition of its id.
        name: of the step.
        inputs: ports that are called otherwise now: old name to new.
        outputs: the same for outputs. Wires at ports that are there no longer are removed.
    """
    old = drawn(document, new.id)
    inputs, outputs = inputs or {}, outputs or {}
    ins, outs = {e.name for e in new.inputs}, {e.name for e in new.outputs}
    moved: list[tuple[Wire, Wire | None]] = []
    for wire in document.data.wires:
        followed = _follow_wire(wire, _of(document.data.nodes, new.id), inputs, outputs, ins, outs)
        if followed is not wire:
            moved.append((wire, followed))
    places = {w.id: i for i, w in enumerate(document.data.wires)}
    removed: list[Change] = [WireRemoved(w, places[w.id]) for w, _ in sorted(moved, key=lambda m: -places[m[0].id])]
    gone = {e.name for e in old.params} - {e.name for e in new.params}
    lost: list[Change] = [
        NodeChanged(node.id, f"params.{param}", node.params[param], ABSENT)
        for node in document.data.nodes
        if node.component == new.id
        for param in sorted(gone & node.params.keys())
    ]
    added: list[Change] = []
    kept = len(document.data.wires) - len(moved)
    for _, followed in moved:
        if followed is not None:
            added.append(WireAdded(followed, kept))
            kept += 1
    with document.edit(name):
        document._do(name, removed + lost)
        _replace(document, old, new)
        for other in list(document.data.composites):
            following = _follow_drawn(other, new.id, inputs, outputs, ins, outs, gone)
            if following is not other:
                _replace(document, other, following)
        document._do(name, added)


def _replace(document: Document, old: Drawn, new: Drawn) -> None:
    at = document.data.composites.index(old)
    document._do(f"Change {new.title}", [CompositeRemoved(old, at), CompositeAdded(new, at)])


def _of(nodes: list[Node], component: str) -> set[str]:
    return {n.id for n in nodes if n.component == component}


def _follow_wire(
    wire: Wire, nodes: set[str], inputs: Names, outputs: Names, ins: set[str], outs: set[str]
) -> Wire | None:
    """The wire at the ports' new names; itself where nothing changes; None where its port is gone."""
    found: dict[str, str] = {}
    if wire.source in nodes:
        port = outputs.get(wire.source_port, wire.source_port)
        if port not in outs:
            return None
        found |= {"source_port": port} if port != wire.source_port else {}
    if wire.target in nodes:
        port = inputs.get(wire.target_port, wire.target_port)
        if base_port(port) not in ins:
            return None
        found |= {"target_port": port} if port != wire.target_port else {}
    return wire.model_copy(update=found) if found else wire


def _follow_drawn(
    other: Drawn, component: str, inputs: Names, outputs: Names, ins: set[str], outs: set[str], gone: set[str]
) -> Drawn:
    """A composite that has nodes of one that was redefined; itself where nothing changes."""
    nodes = _of(other.nodes, component)
    if not nodes:
        return other
    wires = [_follow_wire(w, nodes, inputs, outputs, ins, outs) for w in other.wires]
    parts = [
        n.model_copy(update={"params": {k: v for k, v in n.params.items() if k not in gone}}) if n.id in nodes else n
        for n in other.nodes
    ]
    new = other.model_copy(
        update={
            "nodes": parts,
            "wires": [w for w in wires if w is not None],
            "inputs": _entries(other.inputs, nodes, inputs, ins),
            "outputs": _entries(other.outputs, nodes, outputs, outs),
            "params": [e for e in other.params if e.node not in nodes or e.param not in gone],
        }
    )
    return other if new == other else new


def _entries(entries: list[Entry], nodes: set[str], names: Names, there: set[str]) -> list[Entry]:
    found = []
    for entry in entries:
        port = names.get(entry.port, entry.port) if entry.node in nodes else entry.port
        if entry.node not in nodes or port in there:
            found.append(entry.model_copy(update={"port": port}) if port != entry.port else entry)
    return found
