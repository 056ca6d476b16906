"""Where nodes go when they are aligned, spread, snapped to the grid or get a new neighbour: pure geometry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from PySide6.QtCore import QRectF

from designer.graph.document import Document
from designer.graph.layout import GAP_X
from designer.ui.canvas.items import WIDTH

Side = Literal["left", "centre", "right", "top", "middle", "bottom"]
SIDES: tuple[Side, ...] = get_args(Side)
Places = dict[str, tuple[float, float]]
TIGHT = 40.0
"""Nearer neighbours than this are moved away from a node that is put between them."""


def align(cards: Mapping[str, QRectF], side: Side) -> Places:
    """New upper left corners with one side of all cards on a line: that of the outermost, or of all together."""
    whole = QRectF()
    for card in cards.values():
        whole = whole.united(card)
    lines = {
        "left": lambda c: (whole.left(), c.top()),
        "centre": lambda c: (whole.center().x() - c.width() / 2, c.top()),
        "right": lambda c: (whole.right() - c.width(), c.top()),
        "top": lambda c: (c.left(), whole.top()),
        "middle": lambda c: (c.left(), whole.center().y() - c.height() / 2),
        "bottom": lambda c: (c.left(), whole.bottom() - c.height()),
    }
    return {key: _rounded(*lines[side](card)) for key, card in cards.items()}


def spread(cards: Mapping[str, QRectF], across: bool) -> Places:
    """New corners with the same gap between any two neighbours; the outermost stay where they are."""
    order = sorted(cards, key=lambda k: cards[k].left() if across else cards[k].top())
    sizes = [cards[k].width() if across else cards[k].height() for k in order]
    first, last = cards[order[0]], cards[order[-1]]
    start = first.left() if across else first.top()
    room = (last.right() if across else last.bottom()) - start - sum(sizes)
    gap = room / (len(order) - 1) if len(order) > 1 else 0.0
    places: Places = {}
    for key, size in zip(order, sizes, strict=True):
        card = cards[key]
        places[key] = _rounded(start, card.top()) if across else _rounded(card.left(), start)
        start += size + gap
    return places


def make_room(document: Document, node: str, source: QRectF, target: QRectF) -> Places:
    """Moves for a node that was put on a wire, and for all to its right, so that it does not cover its neighbours.

    Args:
        document: the document, with the node in it.
        node: its id.
        source: card of the node that the wire came from.
        target: card of the node that it went to.
    """
    if target.left() < source.right():
        return {}  # a wire that runs back: nothing to its right makes room for it
    found = document.node(node)
    x, places = found.x, Places()
    if x < source.right() + TIGHT:
        x = source.right() + GAP_X
        places[node] = (x, found.y)
    if target.left() < x + WIDTH + TIGHT:
        by = x + WIDTH + GAP_X - target.left()
        moving = [n for n in document.data.nodes if n.id != node and n.x >= target.left()]
        places |= {n.id: (n.x + by, n.y) for n in moving}
    return places


def _rounded(x: float, y: float) -> tuple[float, float]:
    return round(x), round(y)
