"""What a drag of several things on the canvas is as one edit of the document."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from designer.graph.document import Document
from designer.graph.reroute import move_along, set_points
from designer.ui.canvas.frames import FrameItem
from designer.ui.canvas.items import NodeItem
from designer.ui.canvas.points import PointItem

Movable = NodeItem | FrameItem | PointItem


def move_dragged(document: Document, moved: Collection[Movable], entered: Mapping[str, FrameItem]) -> None:
    """Takes over where the pointer has put items, as one step.

    Args:
        document: the document.
        moved: the items.
        entered: frames that nodes were let go in, by the nodes' ids.
    """
    places = {i.id: (round(i.x()), round(i.y())) for i in moved if isinstance(i, NodeItem)}
    notes = {i: (round(i.x()), round(i.y())) for i in moved if isinstance(i, FrameItem) and i.is_note}
    folded = [i for i in moved if isinstance(i, FrameItem) and i.is_folded]
    points = {
        i.wire.wire_id: [(round(p.x()), round(p.y())) for p in i.wire.point_items]
        for i in moved
        if isinstance(i, PointItem)
    }
    if not (notes or entered or points or folded):
        document.move(places)  # a step of its own name
        return
    count = len(places) + len(notes) + len(folded) or len(points)
    titles = [item.content.title for item in (*notes, *folded)]
    one = titles[0] if titles else "into a frame" if entered else "a point"
    with document.edit(f"Move {count} items" if count > 1 else f"Move {one}"):
        document.move(places)
        set_points(document, points)
        for frame in folded:
            by = frame.pos() - frame.home
            move_along(document, {m.id: (round(m.node.x + by.x()), round(m.node.y + by.y())) for m in frame.members})
        for note, (x, y) in notes.items():
            document.set_group(note.content, x=x, y=y)
        for frame in set(entered.values()):
            joined = [node for node, into in entered.items() if into is frame]
            document.set_group(frame.content, nodes=[*frame.content.nodes, *joined])
