"""Making one node of several: the parts move into a composite of the document, the wires at its border become ports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from designer.graph.changes import CompositeAdded
from designer.graph.drawn import CATEGORY
from designer.graph.errors import EditError
from designer.graph.model import Drawn, Entry, Exposed, Node, Wire
from nodes.sdk.spec import base_port

if TYPE_CHECKING:
    from designer.graph.document import Document

End = tuple[str, str]
"""A node's id and a port."""


def group_nodes(
    document: Document,
    nodes: Iterable[str | Node],
    title: str = "Composite",
    exposed: Mapping[tuple[str, str], str] | None = None,
) -> Node:
    """Replaces nodes by one that stands for them, as one step. Wires and figures stay as they were.

    Args:
        document: the document; the new composite is kept in it and can be added again.
        nodes: what becomes its parts.
        title: of the composite and of its node.
        exposed: names of the parameters that the node shows, by part's id and parameter.

    Returns:
        The node.

    Raises:
        EditError: when a part cannot live inside a composite, or a path leads out of the nodes and back; nothing is
            changed.
    """
    parts = [document.node(n) for n in nodes]
    if not parts:
        raise EditError("Nothing is selected. Select the nodes that shall become one.")
    inside = {n.id for n in parts}
    for part in parts:
        _check_part(document, part)
    _check_closed(document, inside)
    entering, arriving = _inputs(document, inside)
    leaving, feeding = _outputs(document, inside)
    shown = [Exposed(name=name, node=node, param=param) for (node, param), name in (exposed or {}).items()]
    if wrong := [e for e in shown if e.node not in inside] or _doubles([e.name for e in shown]):
        raise EditError(f"The parameters to show do not fit: {wrong}. Name parts of the composite, each name once.")
    composite = Drawn(
        id=_free_id(document, title),
        title=title,
        nodes=[n.model_copy(deep=True) for n in document.data.nodes if n.id in inside],
        wires=[w.model_copy() for w in document.data.wires if w.source in inside and w.target in inside],
        inputs=entering,
        outputs=leaving,
        params=shown,
    )
    middle = sum(n.x for n in parts) / len(parts), sum(n.y for n in parts) / len(parts)
    around = [g for g in document.data.groups if inside & set(g.nodes)]
    with document.edit(f"Group {len(parts)} nodes" if len(parts) > 1 else f"Group {parts[0].title}"):
        add_drawn(document, composite)
        made = document.add(composite.id, title=title, at=middle)
        for frame in around:  # a frame is left only when all of it went into the composite
            document.set_group(frame, nodes=[*frame.nodes, made.id])
        document.remove(*parts)
        for name, (source, port) in arriving.items():
            document.connect(source, made, port, name)
        for name, target, port in feeding:
            document.connect(made, target, name, port)
    return made


def title_for(document: Document, nodes: Iterable[str | Node]) -> str:
    """What a composite of these nodes may be called: their frame's title, or their first and last node's."""
    ids = {document.node(n).id for n in nodes}
    frame = next((g for g in document.data.groups if g.title and set(g.nodes) == ids), None)
    if frame is not None:
        return frame.title
    titles = [document.node(i).title for i in document.order() if i in ids]
    return titles[0] if len(titles) == 1 else f"{titles[0]} to {titles[-1]}"


def add_drawn(document: Document, composite: Drawn, before: str = "") -> None:
    """Adds a composite to those of a document, behind the ones that it may be made of; `before` is made of it."""
    place = _place(document, before)
    document._do(f"Add {composite.title}", [CompositeAdded(composite, place)])


def _place(document: Document, before: str) -> int:
    ids = [c.id for c in document.data.composites]
    return ids.index(before) if before in ids else len(ids)


def take_drawn(document: Document, composites: Iterable[Drawn], before: str = "") -> dict[str, str]:
    """Adds composites of another document; one whose id is taken by a different one gets a free id.

    Args:
        document: where to.
        composites: each after those that it is made of.
        before: id of a composite that shall be made of them; "" adds them behind all.

    Returns:
        What each is called here, by its id there.
    """
    names: dict[str, str] = {}
    for other in composites:
        nodes = [n.model_copy(update={"component": names.get(n.component, n.component)}) for n in other.nodes]
        taken = other.model_copy(update={"nodes": nodes}, deep=True)
        there = document.data.composites[: _place(document, before)]
        same = [c for c in there if c.model_dump(exclude={"id"}) == taken.model_dump(exclude={"id"})]
        if not same:
            if document.catalogue is not None and taken.id in document.catalogue:
                taken.id = _free_id(document, taken.title)
            add_drawn(document, taken, before)
        names[other.id] = same[0].id if same else taken.id
    return names


def _check_part(document: Document, part: Node) -> None:
    spec = document.spec(part)
    if spec is None:
        raise EditError(f"{part.title}: its component is not known here, so its ports are not. Group without it.")
    if spec.role != "layer":
        raise EditError(f"{part.title} cannot be inside a composite: inputs, heads and what follows stay outside.")
    for flag, word in (
        (part.disabled, "bypassed"),
        (part.frozen, "frozen"),
        (part.weights, "given weights of its own"),
    ):
        if flag:
            raise EditError(f"{part.title} is {word}, which a part of a composite cannot be. Undo that first.")


def _check_closed(document: Document, inside: set[str]) -> None:
    """Raises EditError when a wire leaves the nodes and leads back in: one node would feed itself."""
    stack = [w.target for w in document.data.wires if w.source in inside and w.target not in inside]
    seen: set[str] = set()
    while stack:
        at = stack.pop()
        if at in inside:
            title = document.node(at).title
            raise EditError(f"A path leaves the selected nodes and comes back at {title}. Select what lies on it too.")
        if at not in seen:
            seen.add(at)
            stack += [w.target for w in document.wires_from(at)]


def _inputs(document: Document, inside: set[str]) -> tuple[list[Entry], dict[str, End]]:
    """Ports for what comes from outside, one for each source, and for inputs that are not wired; what feeds them."""
    entries: list[Entry] = []
    names: dict[End, str] = {}
    for wire in (w for w in document.data.wires if w.target in inside and w.source not in inside):
        start = (wire.source, wire.source_port)
        if start not in names:
            names[start] = _free_name(base_port(wire.target_port), [e.name for e in entries])
        entries.append(_entry(document, names[start], wire.target, wire.target_port))
    for node in (n for n in document.data.nodes if n.id in inside):
        spec = document.spec(node)
        wired = {base_port(w.target_port) for w in document.wires_into(node)}
        for port in (p for p in spec.inputs if p.name not in wired) if spec is not None else ():
            name = _free_name(port.name, [e.name for e in entries])
            entries.append(_entry(document, name, node.id, port.names()[0]))
    return entries, {name: start for start, name in names.items()}


def _outputs(document: Document, inside: set[str]) -> tuple[list[Entry], list[tuple[str, str, str]]]:
    """Ports for what goes outside, and of parts that feed nothing; the wires that leave: name, target, its port."""
    entries: list[Entry] = []
    names: dict[End, str] = {}

    def named(node: str, port: str) -> str:
        if (node, port) not in names:
            names[node, port] = _free_name(port, [e.name for e in entries])
            entries.append(_entry(document, names[node, port], node, port, is_input=False))
        return names[node, port]

    leaving: list[Wire] = [w for w in document.data.wires if w.source in inside and w.target not in inside]
    feeding = [(named(w.source, w.source_port), w.target, w.target_port) for w in leaving]
    for node in (n for n in document.data.nodes if n.id in inside and not document.wires_from(n)):
        spec = document.spec(node)
        for port in spec.outputs if spec is not None else ():
            named(node.id, port.name)
    return entries, feeding


def _entry(document: Document, name: str, node: str, port: str, is_input: bool = True) -> Entry:
    spec = document.spec(node)
    found = (spec.input(port) if is_input else spec.output(port)) if spec is not None else None
    return Entry(name=name, kind=found.kind if found is not None else "any", node=node, port=port)


def _free_name(base: str, taken: Iterable[str]) -> str:
    """`x`, `x2`, `x3`, ..."""
    used, name, number = set(taken), base, 2
    while name in used:
        name, number = f"{base}{number}", number + 1
    return name


def _free_id(document: Document, title: str) -> str:
    slug = re.sub(r"\W+", "_", title.lower(), flags=re.ASCII).strip("_") or "composite"
    slug = slug if slug[0].isalpha() else f"composite_{slug}"
    taken = {c.id for c in document.data.composites} | set(document.catalogue or ())
    return _free_name(f"{CATEGORY}.{slug}", taken)


def _doubles(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
