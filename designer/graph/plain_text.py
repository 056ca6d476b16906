"""A document as lines of words, for `git diff`: what each node is and is fed with, without places and ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from designer.graph.model import GraphData
from designer.graph.view import topological


def plain_text(data: GraphData) -> str:
    """Nodes in the order that they run, a line for each setting and each input; composites; then the sections."""
    lines = [data.name, *_graph(data)]
    for made in data.composites:
        lines += ["", f"Composite {made.title or made.id}"]
        lines += [f"    {line}" for line in _graph(GraphData(nodes=made.nodes, wires=made.wires))]
    for section in ("training", "data"):
        lines += ["", section, *_values(getattr(data, section).model_dump())]
    return "\n".join(lines) + "\n"


def _graph(data: GraphData) -> list[str]:
    titles = {node.id: node.title or node.id for node in data.nodes}
    nodes = {node.id: node for node in data.nodes}
    lines: list[str] = []
    for key in topological(data):
        node = nodes[key]
        state = "".join(f", {word}" for word in ("frozen", "disabled") if getattr(node, word))
        lines += ["", f"{titles[key]} ({node.component}{state})"]
        lines += [f"    weights: {node.weights}"] if node.weights else []
        lines += _values(node.params)
        lines += [f"    {line}" for line in node.note.splitlines()]
        for port, wire in data.inputs_of(key).items():
            lines.append(f"    {port} <- {titles.get(wire.source, wire.source)}.{wire.source_port}")
    return lines


def _values(values: Mapping[str, Any]) -> list[str]:
    return [f"    {name}: {value}" for name, value in values.items()]
