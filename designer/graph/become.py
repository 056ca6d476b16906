"""Makes a document what another one is, as one step of its history."""

from __future__ import annotations

from designer.graph.changes import GroupAdded, GroupRemoved, NodeAdded, NodeChanged, NodeRemoved, WireAdded, WireRemoved
from designer.graph.document import Document
from designer.graph.model import GraphData

FIELDS = ("component", "title", "params", "note", "color", "weights", "frozen", "disabled")


def become(document: Document, data: GraphData, name: str) -> None:
    """Changes what differs, and that alone: nodes, wires and groups by their ids, then the settings.

    Both have the same composites. The name of the document stays; what is new comes last in its list.
    """
    old = document.data
    with document.edit(name):
        wires = {w.id: w for w in data.wires}
        for wire in [w for w in old.wires if wires.get(w.id) != w]:
            document._do(name, [WireRemoved(wire, old.wires.index(wire))])
        for group in [g for g in old.groups if g not in data.groups]:
            document._do(name, [GroupRemoved(group, old.groups.index(group))])
        nodes = {n.id: n for n in data.nodes}
        for node in [n for n in old.nodes if n.id not in nodes]:
            document._do(name, [NodeRemoved(node, old.nodes.index(node))])
        for node in list(old.nodes):
            new = nodes[node.id]
            for field in FIELDS:
                if getattr(node, field) != getattr(new, field):
                    document._do(name, [NodeChanged(node.id, field, getattr(node, field), getattr(new, field))])
            if (node.x, node.y) != (new.x, new.y):
                document.move({node.id: (new.x, new.y)})
        here = {n.id for n in old.nodes}
        for new in data.nodes:
            if new.id not in here:
                document._do(name, [NodeAdded(new.model_copy(deep=True), len(old.nodes))])
        kept = {w.id for w in old.wires}
        for wire in data.wires:
            if wire.id not in kept:
                document._do(name, [WireAdded(wire.model_copy(deep=True), len(old.wires))])
        for group in [g for g in data.groups if g not in old.groups]:
            document._do(name, [GroupAdded(group.model_copy(deep=True), len(old.groups))])
        document.set_training(**data.training.model_dump())
        document.set_data(**data.data.model_dump())
