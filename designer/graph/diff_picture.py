"""Two documents as one picture, in SVG: what stayed grey, what came green, what went orange, what changed amber.

The hues are told apart with every common colour blindness (Okabe and Ito 2008, jfly.uni-koeln.de/color); a sign and a
kind of line say the same again, and all text has a contrast of 4.5 and more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import combinations
from typing import Literal

from designer.graph.compare import differences, matched_nodes
from designer.graph.layout import layout
from designer.graph.model import GraphData, Node, Wire

State = Literal["same", "added", "removed", "changed"]
_SIGN: dict[State, str] = {"same": "", "added": "+", "removed": "−", "changed": "~"}
_DASH: dict[State, str] = {"same": "", "added": "", "removed": "6 4", "changed": "12 3"}
_WORDS: dict[State, str] = {"same": "unchanged", "added": "added", "removed": "removed", "changed": "changed"}


@dataclass(frozen=True)
class Shades:
    """Colours of a picture: of each state the fill and the line."""

    ground: str
    text: str
    muted: str
    states: Mapping[State, tuple[str, str]]


LIGHT = Shades("#ffffff", "#1b1f27", "#4a5261", {
    "same": ("#f1f3f6", "#7c8696"), "added": ("#d9f2e8", "#00775a"), "removed": ("#fde4d6", "#b84300"),
    "changed": ("#fff0bf", "#8a6100"),
})  # fmt: skip
DARK = Shades("#14161b", "#e8eaf0", "#b3bac7", {
    "same": ("#232730", "#7d8798"), "added": ("#0f3a2c", "#3ddc97"), "removed": ("#48230f", "#ff9f5a"),
    "changed": ("#3d310b", "#f5c84b"),
})  # fmt: skip

MARGIN, TOP = 40.0, 96.0
NARROWEST, WIDEST = 170.0, 340.0
_HEAD, _LINE, _BOLD, _LETTER = 46.0, 17.0, 8.2, 6.9
"""Heights of a card's head and of a line on it, widths of a letter of the title and of the rest."""


@dataclass
class _Card:
    node: Node
    state: State
    lines: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return self.node.title or self.node.component

    @property
    def size(self) -> tuple[float, float]:
        longest = max(len(self.title) * _BOLD + 24, *(len(t) * _LETTER for t in (self.node.component, *self.lines)))
        return min(max(longest + 28, NARROWEST), WIDEST), _HEAD + len(self.lines) * _LINE + 6 * bool(self.lines)


def diff_picture(a: GraphData, b: GraphData, *, dark: bool = False) -> str:
    """The picture of what has to be done to `a` to make it `b`, as the text of an SVG file.

    Nodes stand where `b` has them, those that are gone where `a` had them; where cards would cover each other, all are
    arranged anew.
    """
    shades = DARK if dark else LIGHT
    cards, wires = _merged(a, b)
    corners = _corners(cards, wires)
    sizes = {key: card.size for key, card in cards.items()}
    left = min((x for x, _ in corners.values()), default=0.0)
    top = min((y for _, y in corners.values()), default=0.0)
    corners = {key: (x - left + MARGIN, y - top + TOP) for key, (x, y) in corners.items()}
    others = [d.text for d in differences(a, b) if d.where not in ("node", "wire")]
    right = max((x + sizes[key][0] for key, (x, _) in corners.items()), default=0.0)
    bottom = max((y + sizes[key][1] for key, (_, y) in corners.items()), default=TOP)
    longest = max((len(text) for text in others), default=0) * _LETTER
    width = max(right, 620.0, longest + MARGIN) + MARGIN
    height = bottom + MARGIN + len(others) * _LINE + (28 if others else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Inter, Noto Sans, DejaVu Sans, sans-serif">',
        f"<title>{escape(a.name)} compared with {escape(b.name)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="{shades.ground}"/>',
        *_legend(a, b, cards, shades),
        *_wires(wires, corners, sizes, shades),
        *(line for key, card in cards.items() for line in _card(card, corners[key], shades)),
    ]
    if others:
        parts.append(_text(MARGIN, bottom + 36, "Settings and composites", shades.text, bold=True))
        parts += [_text(MARGIN, bottom + 56 + i * _LINE, t, shades.muted) for i, t in enumerate(others)]
    return "\n".join([*parts, "</svg>\n"])


def _merged(a: GraphData, b: GraphData) -> tuple[dict[str, _Card], dict[tuple[str, str, str, str], State]]:
    """Cards and wires of both documents, under names that both share."""
    matched = matched_nodes(a, b)
    said: dict[str, list[str]] = {}
    for one in differences(a, b):
        if one.where == "node" and one.field and one.node is not None:
            said.setdefault(one.node, []).append(one.text.partition(": ")[2])
    cards: dict[str, _Card] = {}
    names: dict[str, str] = {}
    for old in a.nodes:
        key = f"a {old.id}"
        new = matched.get(old.id)
        lines = said.get(old.id, [])
        cards[key] = _Card(new or old, "removed" if new is None else "changed" if lines else "same", lines)
        if new is not None:
            names[new.id] = key
    for new in b.nodes:
        if new.id not in names:
            names[new.id] = f"b {new.id}"
            cards[names[new.id]] = _Card(new, "added")
    before = _ends(a.wires, {n.id: f"a {n.id}" for n in a.nodes})
    after = _ends(b.wires, names)
    states: dict[tuple[str, str, str, str], State] = {}
    for ends in dict.fromkeys([*before, *after]):
        states[ends] = "same" if ends in before and ends in after else "added" if ends in after else "removed"
    return cards, states


def _ends(wires: Iterable[Wire], names: Mapping[str, str]) -> dict[tuple[str, str, str, str], None]:
    return {
        (names[w.source], w.source_port, names[w.target], w.target_port): None
        for w in wires
        if w.source in names and w.target in names
    }


def _corners(
    cards: Mapping[str, _Card], wires: Mapping[tuple[str, str, str, str], State]
) -> dict[str, tuple[float, float]]:
    places = {key: (card.node.x, card.node.y) for key, card in cards.items()}
    sizes = {key: card.size for key, card in cards.items()}
    boxes = [(x, y, x + sizes[key][0], y + sizes[key][1]) for key, (x, y) in places.items()]
    for one, other in combinations(boxes, 2):
        if one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]:
            return _arranged(cards, wires)
    return places


def _arranged(
    cards: Mapping[str, _Card], wires: Mapping[tuple[str, str, str, str], State]
) -> dict[str, tuple[float, float]]:
    nodes = [Node(id=key, component="any") for key in cards]
    joined = [
        Wire(id=str(i), source=s, source_port=sp, target=t, target_port=tp) for i, (s, sp, t, tp) in enumerate(wires)
    ]
    return layout(GraphData(nodes=nodes, wires=joined), {key: card.size for key, card in cards.items()})


def _legend(a: GraphData, b: GraphData, cards: Mapping[str, _Card], shades: Shades) -> list[str]:
    named = f"{a.name} → {b.name}" if a.name != b.name else a.name
    parts, x = [_text(MARGIN, 36, named, shades.text, bold=True, size=16)], MARGIN
    for state, words in _WORDS.items():
        fill, line = shades.states[state]
        number = sum(card.state == state for card in cards.values())
        parts += [
            _rect(x, 52, 22, 18, fill, line, _DASH[state]),
            _text(x + 11, 66, _SIGN[state], shades.text, bold=True, middle=True),
            _text(x + 30, 66, f"{words} {number}", shades.text),
        ]
        x += 30 + len(f"{words} {number}") * _LETTER + 24
    return parts


def _wires(
    wires: Mapping[tuple[str, str, str, str], State],
    corners: Mapping[str, tuple[float, float]],
    sizes: Mapping[str, tuple[float, float]],
    shades: Shades,
) -> list[str]:
    """Unchanged ones first, so that what differs lies above them."""
    arriving: dict[str, list[tuple[str, str, str, str]]] = {}
    for ends in wires:
        arriving.setdefault(ends[2], []).append(ends)
    parts = []
    for ends in sorted(wires, key=lambda e: wires[e] != "same"):
        source, target = ends[0], ends[2]
        share = (arriving[target].index(ends) + 1) / (len(arriving[target]) + 1)
        x, y = corners[source][0] + sizes[source][0], corners[source][1] + sizes[source][1] / 2
        to_x, to_y = corners[target][0], corners[target][1] + sizes[target][1] * share
        pull = max(abs(to_x - x) / 2, 30.0)
        state = wires[ends]
        dash = f' stroke-dasharray="{_DASH[state]}"' if _DASH[state] else ""
        parts.append(
            f'<path d="M{x:.1f} {y:.1f}C{x + pull:.1f} {y:.1f} {to_x - pull:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}" '
            f'fill="none" stroke="{shades.states[state][1]}" stroke-width="{1.4 if state == "same" else 2.8}"{dash}/>'
        )
    return parts


def _card(card: _Card, corner: tuple[float, float], shades: Shades) -> list[str]:
    (x, y), (wide, high) = corner, card.size
    fill, line = shades.states[card.state]
    colour = shades.muted if card.state == "same" else shades.text
    room = int((wide - 24) / _LETTER)
    parts = [
        _rect(x, y, wide, high, fill, line, _DASH[card.state], 1.2 if card.state == "same" else 2.2),
        _text(x + 12, y + 20, _cut(card.title, int((wide - 40) / _BOLD)), colour, bold=True),
        _text(x + 12, y + 37, _cut(card.node.component, room), colour, size=11),
    ]
    if _SIGN[card.state]:
        parts.append(_text(x + wide - 15, y + 20, _SIGN[card.state], colour, bold=True, middle=True, size=15))
    for number, text in enumerate(card.lines):
        parts.append(_text(x + 12, y + _HEAD + 12 + number * _LINE, _cut(text, room), colour))
    return parts


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _rect(x: float, y: float, wide: float, high: float, fill: str, line: str, dash: str, thick: float = 1.6) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="7" fill="{fill}" stroke="{line}" '
        f'stroke-width="{thick}"{dashed}/>'
    )


def _text(
    x: float, y: float, text: str, colour: str, *, bold: bool = False, middle: bool = False, size: int = 12
) -> str:
    weight = ' font-weight="600"' if bold else ""
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{weight}{anchor}>{escape(text)}</text>'
