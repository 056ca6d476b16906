"""Copy and paste of nodes and notes as text, between documents and windows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from designer.graph.changes import NodeChanged
from designer.graph.document import Document
from designer.graph.errors import DocumentError
from designer.graph.grouping import take_drawn
from designer.graph.model import Drawn, GraphData, Group, Node
from designer.graph.reroute import set_points
from designer.graph.storage import dump, parse


def copy_nodes(document: Document, ids: Iterable[str]) -> str:
    """The nodes and notes, the wires between them and the frames around them, as the text of a document."""
    chosen = set(ids)
    part = GraphData(
        name="Clipboard",
        nodes=[n for n in document.data.nodes if n.id in chosen],
        wires=[w for w in document.data.wires if w.source in chosen and w.target in chosen],
        groups=[g for g in document.data.groups if (chosen.issuperset(g.nodes) if g.nodes else g.id in chosen)],
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


def paste_nodes(
    document: Document,
    text: str,
    offset: tuple[float, float] = (40.0, 40.0),
    corner: tuple[float, float] | None = None,
) -> list[str]:
    """Adds copied nodes and notes with new ids and free titles, as one step.

    Args:
        document: where to.
        text: what `copy_nodes` gave.
        offset: added to the copied positions.
        corner: where the upper left one of the copies shall be before `offset` is added.

    Returns:
        Ids of the new nodes and notes.

    Raises:
        DocumentError: when the text holds no nodes; nothing is changed.
    """
    try:
        part = parse(text, "clipboard")
    except (json.JSONDecodeError, ValidationError) as error:
        raise DocumentError(f"The clipboard holds no nodes: {error}.") from None
    ids: dict[str, str] = {}
    notes = [group for group in part.groups if not group.nodes]
    placed: list[Node | Group] = [*part.nodes, *notes]
    if corner is not None and placed:
        left, top = min(p.x for p in placed), min(p.y for p in placed)
        offset = (corner[0] - left + offset[0], corner[1] - top + offset[1])
    with document.edit(_step(part.nodes, notes)):
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
            if inside:
                document.add_group(group.title, inside, color=group.color, folded=group.folded)
        made_notes = [
            document.add_group(
                note.title,
                [],
                color=note.color,
                x=note.x + offset[0],
                y=note.y + offset[1],
                width=note.width,
                height=note.height,
            )
            for note in notes
        ]
    return [*ids.values(), *(note.id for note in made_notes)]


def _step(nodes: Sequence[Node], notes: Sequence[Group]) -> str:
    """What the history calls a paste."""
    if len(nodes) + len(notes) == 1:
        return f"Paste {nodes[0].title}" if nodes else "Paste a note"
    return f"Paste {len(nodes) + len(notes)} {'items' if notes else 'nodes'}"
