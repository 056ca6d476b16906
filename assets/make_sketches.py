"""Draws the small pictures of the templates: `python assets/make_sketches.py`, after make_templates.py.

A picture is the model with its composites unpacked until some thirty nodes can be seen, arranged as the canvas arranges
them, in shares of its width and height. They are kept in a file because unpacking needs torch, and the window that
shows them has none.
"""

from __future__ import annotations

import json
import sys

from designer.engine.expand import expand_node
from designer.engine.propagate import Cache
from designer.graph.document import Document
from designer.graph.layout import layout
from designer.graph.templates import SKETCHES, Template, load_template, templates
from designer.graph.unpack import unpack
from nodes.sdk.builder import Composite
from nodes.sdk.discover import library

ENOUGH, MOST = 24, 64
"""Composites are unpacked until there are so many nodes, and none that would make more of them than can be told."""
SIZE = (100.0, 52.0)


def unpacked(document: Document) -> Document:
    """The document with its largest composites open."""
    cache, left_alone = Cache(), set()
    while len(document.data.nodes) < ENOUGH:
        composites = [
            n for n in document.data.nodes if n.id not in left_alone and isinstance(library()[n.component], Composite)
        ]
        if not composites:
            break
        inside = {n.id: expand_node(document.data, n.id, cache) for n in composites}
        most = max(inside, key=lambda node: len(inside[node]["nodes"]))
        if len(document.data.nodes) + len(inside[most]["nodes"]) > MOST:
            left_alone.add(most)
            continue
        unpack(document, most, inside[most])
    return document


def sketch(template: Template) -> dict[str, list[list[object]]]:
    """`nodes`: x, y and category of each, 0 to 1; `wires`: the places of their ends in that list."""
    data = unpacked(load_template(template.name, library().catalogue)).data
    places = layout(data, {n.id: SIZE for n in data.nodes})
    wide = max(x for x, _ in places.values()) or 1.0
    high = max(y for _, y in places.values()) - min(y for _, y in places.values()) or 1.0
    top = min(y for _, y in places.values())
    number = {n.id: i for i, n in enumerate(data.nodes)}
    return {
        "nodes": [
            [
                round(places[n.id][0] / wide, 3),
                round((places[n.id][1] - top) / high, 3) if high > SIZE[1] else 0.5,
                n.component.partition(".")[0],
            ]
            for n in data.nodes
        ],
        "wires": sorted({(number[w.source], number[w.target]) for w in data.wires}),
    }


def main() -> None:
    lines = []
    for template in sorted(templates(), key=lambda t: t.name):
        print(template.name, file=sys.stderr)
        lines.append(f"{json.dumps(template.name)}: {json.dumps(sketch(template), separators=(',', ':'))}")
    SKETCHES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
