"""Copy and paste of nodes as text, between documents and windows."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pydantic import ValidationError

from designer.graph.changes import NodeChanged
from designer.graph.document import Document
from designer.graph.errors import DocumentError
from designer.graph.grouping import take_drawn
from designer.graph.model import Drawn, GraphData
from designer.graph.reroute import set_points
from designer.graph.storage import dump, parse


def copy_nodes(document: Document, ids: Iterable[str]) -> str:
    """The nodes, the wires between them and the frames around them, as the text of a document."""
    chosen = set(ids)
    part = GraphData(
        name="Clipboard",
        nodes=[n for n in document.data.nodes if n.id in chosen],
        wires=[w for w in document.data.wires if w.source in chosen and w.target in chosen],
        groups=[g for g in document.data.groups if g.nodes and chosen.issuperset(g.nodes)],
        composites=_used(document, chosen),
    )
    return dump(part)


def _used(document: Document, chosen: set[str]) -> list[Drawn]:
    """The document's composites that some nodes are of, and those that these are made of, in the document's order."""
    wanted = {n.component for n in document.data.nodes if n.id in chosen}
    found: list[Drawn] = []
    for composite in reversed(document.data.composites):
        if composite.id in wanted:
            found.insert(0, composite)
            wanted |= {n.component for n in composite.nodes}
    return found


def can_paste(text: str) -> bool:
    """Whether some text holds nodes. Cheap: it looks at the beginning only."""
    return text.lstrip().startswith("{") and '"version"' in text[:200]


def paste_nodes(document: Document, text: str, offset: tuple[float, float] = (40.0, 40.0)) -> list[str]:
    """Adds copied nodes with new ids and free titles, as one step.

    Args:
        document: where to.
        text: what `copy_nodes` gave.
        offset: added to the copied positions.

    Returns:
        The new nodes' ids.

    Raises:
        DocumentError: when the text holds no nodes; nothing is changed.
    """
    try:
        part = parse(text, "clipboard")
    except (json.JSONDecodeError, ValidationError) as error:
        raise DocumentError(f"The clipboard holds no nodes: {error}.") from None
    ids: dict[str, str] = {}
    with document.edit(f"Paste {len(part.nodes)} nodes" if len(part.nodes) != 1 else f"Paste {part.nodes[0].title}"):
        own = take_drawn(document, part.composites)
        for node in part.nodes:
            at = (node.x + offset[0], node.y + offset[1])
            made = document.add(own.get(node.component, node.component), title=node.title, at=at)
            ids[node.id] = made.id
            for field in ("params", "color", "note", "weights", "frozen", "disabled"):
                old, new = getattr(made, field), getattr(node, field)
                if old != new:
                    document._do("Paste", [NodeChanged(made.id, field, old, new)])
        for wire in part.wires:
            if wire.source in ids and wire.target in ids:
                put = document.connect(ids[wire.source], ids[wire.target], wire.source_port, wire.target_port)
                if wire.points:
                    set_points(document, {put.id: [(x + offset[0], y + offset[1]) for x, y in wire.points]})
        for group in part.groups:
            inside = [ids[n] for n in group.nodes if n in ids]
            document.add_group(group.title, inside, color=group.color, folded=group.folded)
    return list(ids.values())
