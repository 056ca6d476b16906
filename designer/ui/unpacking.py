"""Unpacking composites in the window: the engine says what is inside, the parts are laid out in its place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from designer.graph.document import Document
from designer.graph.layout import layout
from designer.graph.reroute import move_along
from designer.graph.unpack import unpack
from designer.ui.canvas import CanvasView

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


def unpack_selected(window: MainWindow) -> None:
    """Asks the engine what is inside the selected composites, and puts that in their place."""
    document = window.workspace.document
    if document is None:
        return
    specs = {i: document.spec(i) for i in window.canvas.selected_ids()}
    composites = [i for i, spec in specs.items() if spec is not None and spec.composite]
    if not composites:
        window.messages.say("Select a composite, such as a backbone: only those are made of parts.", key="unpack")

    def refused(error: Mapping[str, Any]) -> None:
        window.messages.say(str(error.get("message", "")), "danger", key="unpack")

    for node_id in composites:
        question = {"document": document.data.model_dump(), "node": node_id}
        window.engine.ask("expand", question, partial(_on_inside, window, document, node_id), refused)


def _on_inside(window: MainWindow, document: Document, node_id: str, inside: Mapping[str, Any]) -> None:
    """The answer may come after the document was closed, or the node deleted."""
    if document is window.workspace.document and any(n.id == node_id for n in document.data.nodes):
        window.edit(lambda open_one: window.canvas.select(unpack_on(window.canvas, open_one, node_id, inside)))


def unpack_on(canvas: CanvasView, document: Document, node_id: str, inside: Mapping[str, Any]) -> list[str]:
    """Unpacks a node, lays its parts out in its place, and moves what stood to its right out of their way.

    Returns:
        Ids of the parts. All of it is one step of the history.
    """
    node, item = document.node(node_id), canvas.nodes[node_id]
    left, top, width, height = node.x, node.y, item.width, item.height
    with document.edit(f"Unpack {node.title}"):
        parts = unpack(document, node, inside)
        chosen = set(parts)
        data = document.data.model_copy(
            update={
                "nodes": [n for n in document.data.nodes if n.id in chosen],
                "wires": [w for w in document.data.wires if w.source in chosen and w.target in chosen],
            }
        )
        sizes = {i: (canvas.nodes[i].width, canvas.nodes[i].height) for i in parts}
        places = layout(data, sizes)
        first, upper = min(x for x, _ in places.values()), min(y for _, y in places.values())
        wide = max(places[i][0] + sizes[i][0] for i in parts) - first
        tall = max(places[i][1] + sizes[i][1] for i in parts) - upper
        down = top + (height - tall) / 2
        moved = {i: (x - first + left, y - upper + down) for i, (x, y) in places.items()}
        for other in document.data.nodes:
            if other.id not in chosen and other.x > left + width / 2:
                moved[other.id] = (other.x + max(0.0, wide - width), other.y)
        move_along(document, moved)
    return parts
