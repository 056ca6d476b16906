"""Edits that keep a chain whole: a node put on a wire, nodes taken out with their ends joined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from designer.graph.connect import choose_ports
from designer.graph.errors import CannotConnect
from designer.graph.model import Node, Wire
from designer.graph.reroute import set_points
from designer.graph.view import bypass

if TYPE_CHECKING:
    from designer.graph.document import Document


def insert_on(document: Document, wire: str | Wire, node: str | Node) -> None:
    """Puts a node that is in the document on a wire, by its first ports that fit, as one step.

    Raises:
        CannotConnect: when the node cannot stand there; nothing is changed.
    """
    old, found = document.wire(wire), document.node(node)
    if found.id in (old.source, old.target):
        raise CannotConnect(f"{found.title} is at an end of this wire already.")
    source, target = document.node(old.source), document.node(old.target)
    entered = choose_ports(document, source, found, old.source_port, "")
    left = choose_ports(document, found, target, "", old.target_port)
    for one, ports, other in ((source, entered, found), (found, left, target)):
        if reason := document.why_not(one, ports[0], other, ports[1]):
            raise CannotConnect(reason)
    with document.edit(f"Insert {found.title}"):
        before = _points_before(old, source, found, target)
        points = old.points
        document.disconnect(old)
        first = document.connect(source, found, *entered)
        second = document.connect(found, target, left[0], old.target_port)
        set_points(document, {first.id: points[:before], second.id: points[before:]})


def _points_before(wire: Wire, source: Node, node: Node, target: Node) -> int:
    """How many of a wire's points a node that is put on it comes after: where it makes the least of a detour."""
    stops = [(source.x, source.y), *wire.points, (target.x, target.y)]
    at = node.x, node.y
    detours = [math.dist(a, at) + math.dist(at, b) - math.dist(a, b) for a, b in pairwise(stops)]
    return detours.index(min(detours))


def remove_and_join(document: Document, nodes: Sequence[str | Node]) -> int:
    """Removes nodes; what came in at the first input that fits goes on in their place, as one step.

    Returns:
        How many wires were joined.
    """
    found = [document.node(n) for n in nodes]
    ids = {n.id for n in found}
    known = {w.id for w in document.data.wires if w.source in ids}
    marked = document.data.model_copy(
        update={"nodes": [n.model_copy(update={"disabled": n.id in ids}) for n in document.data.nodes]}
    )
    joined = [w for w in bypass(marked, document.catalogue).wires if w.id in known]
    with document.edit(f"Take out {found[0].title}" if len(found) == 1 else f"Take out {len(found)} nodes"):
        document.remove(*found)
        for wire in joined:
            document.connect(wire.source, wire.target, wire.source_port, wire.target_port)
    return len(joined)


def downstream(document: Document, node: str | Node) -> set[str]:
    """Ids of a node and of all that it leads to."""
    seen: set[str] = set()
    waiting = [document.node(node).id]
    while waiting:
        at = waiting.pop()
        if at not in seen:
            seen.add(at)
            waiting += [w.target for w in document.wires_from(at)]
    return seen
