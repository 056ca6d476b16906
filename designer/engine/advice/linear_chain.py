"""Two convolutions in a row with nothing between them that is not linear."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem


def _find(design: Design) -> Iterator[Problem]:
    convs = {node.id: node for node, _, _ in design.nodes() if node.component == "conv.conv"}
    for node in convs.values():
        wires = [w for w in design.data.wires if w.source == node.id]
        if len(wires) != 1 or wires[0].target not in convs:
            continue
        after = convs[wires[0].target]
        before = next((w for w in design.data.wires if w.target == node.id), None)
        given = design.results[before.source].outputs.get(before.source_port) if before is not None else None
        between, last = (design.results[n.id].outputs["out"].shape[1] for n in (node, after))
        if given is not None and between < min(given.shape[1], last):
            continue  # fewer channels between than around: a factorised convolution, which is meant
        edit = {"op": "insert", "wire": wires[0].id, "component": "basic.activation", "params": {}}
        text = f"{node.title} and {after.title} follow each other without an activation."
        yield Problem("advice", text, after.id, fixes=(Fix("Insert an activation", (edit,)),))


RULE = Rule(
    "linear_chain",
    "Convolutions without an activation between them",
    "Two linear maps in a row are one linear map: the second adds cost, but nothing that the first could not learn.",
    _find,
)
