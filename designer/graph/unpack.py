"""Replacing a composite node by the nodes that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from designer.graph.document import Document
from designer.graph.errors import EditError
from designer.graph.model import Node

PITCH = 260.0
"""Canvas units from one unpacked node to the next, where nothing arranges them."""


def unpack(document: Document, node: str | Node, inside: Mapping[str, Any]) -> list[str]:
    """Puts a composite's parts in its place, wired as it was, as one step.

    Args:
        document: the document.
        node: the composite.
        inside: what the engine's `expand` answered: `nodes`, `wires`, `outputs` by the parts' names.

    Returns:
        Ids of the new nodes, in the order they run.

    Raises:
        EditError: for a node that is bypassed: its parts would not be.
    """
    found = document.node(node)
    if found.disabled:
        raise EditError(f"{found.title} is bypassed. Enable it before it is unpacked.")
    arriving = {w.target_port: (w.source, w.source_port) for w in document.wires_into(found)}
    leaving = [(w.source_port, w.target, w.target_port) for w in document.wires_from(found)]
    ids: dict[str, str] = {}
    with document.edit(f"Unpack {found.title}"):
        document.remove(found)
        for place, part in enumerate(inside["nodes"]):
            at = (found.x + place * PITCH, found.y)
            made = document.add(part["component"], title=_title(found, part["name"]), at=at, **part["params"])
            if found.frozen:
                document.set_frozen(made, True)
            ids[part["name"]] = made.id

        def end(name: str, port: str) -> tuple[str, str] | None:
            """Where a value comes from: a part, or whatever was wired to the composite's own input."""
            return (ids[name], port) if name else arriving.get(port)

        for wire in inside["wires"]:
            if (start := end(wire["source"], wire["source_port"])) is not None:
                document.connect(start[0], ids[wire["target"]], start[1], wire["target_port"])
        for port, target, target_port in leaving:
            if (start := end(*inside["outputs"][port])) is not None:
                document.connect(start[0], target, start[1], target_port)
    return list(ids.values())


def _title(composite: Node, name: str) -> str:
    """`Backbone stage1` of the part `stage1`."""
    return f"{composite.title} {name.replace('_', ' ')}"
