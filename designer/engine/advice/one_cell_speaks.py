"""The strongest cell standing for the whole map."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Problem

STRONGEST, MEAN = "pooling.global_max_pool", "pooling.global_avg_pool"


def _find(design: Design) -> Iterator[Problem]:
    fed = {w.target: (w.source, w.source_port) for w in design.data.wires}
    averaged = {fed.get(node.id) for node, _, _ in design.nodes() if node.component == MEAN}
    for node, _, _ in design.nodes():
        if node.component == STRONGEST and fed.get(node.id) not in averaged:
            text = f"{node.title}: of each channel the strongest cell alone is passed on."
            yield Problem("advice", text, node.id)


RULE = Rule(
    "one_cell_speaks",
    "One cell that speaks for the whole map",
    "Max pooling keeps strong activations, so one odd cell decides and only one cell learns; average pooling keeps the "
    "global context. Average instead, or take both and add them.",
    _find,
)
