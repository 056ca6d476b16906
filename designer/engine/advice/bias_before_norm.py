"""A bias that the batch norm behind it takes away again."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem

CONVS = ("conv.conv", "resize.conv_transpose")


def _find(design: Design) -> Iterator[Problem]:
    components = {node.id: node.component for node in design.data.nodes}
    for node, spec, _ in design.nodes():
        bias = spec.param("bias")
        if node.component not in CONVS or bias is None or not node.params.get("bias", bias.default):
            continue
        fed = [components.get(w.target) for w in design.data.wires if w.source == node.id]
        if fed and set(fed) == {"norm.batch_norm"}:
            edit = {"op": "set_param", "node": node.id, "name": "bias", "value": False}
            text = f"{node.title} has a bias and only a batch norm behind it."
            yield Problem("advice", text, node.id, fixes=(Fix("Leave the bias out", (edit,)),))


RULE = Rule(
    "bias_before_norm",
    "A bias before a batch norm",
    "The norm subtracts the mean of each channel, and the bias with it: its parameters learn nothing.",
    _find,
)
