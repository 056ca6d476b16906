"""Dropout in front of a batch norm."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem

NORMED = ("norm.batch_norm", "conv.conv_norm_act")


def _find(design: Design) -> Iterator[Problem]:
    nodes = {node.id: node for node, _, _ in design.nodes()}
    for wire in design.data.wires:
        drop, norm = nodes.get(wire.source), nodes.get(wire.target)
        if drop is None or norm is None or drop.component != "regularise.dropout" or norm.component not in NORMED:
            continue
        fix = Fix(f"Remove {drop.title}", _bridged(design, drop.id))
        yield Problem("advice", f"{drop.title} is in front of the batch norm of {norm.title}.", drop.id, fixes=(fix,))


def _bridged(design: Design, node: str) -> tuple[dict[str, str], ...]:
    """Edits that take a node out and join its ends."""
    before = next(w for w in design.data.wires if w.target == node)
    after = [w for w in design.data.wires if w.source == node]
    start = {"source": before.source, "source_port": before.source_port}
    joined = ({"op": "connect", **start, "target": w.target, "target_port": w.target_port} for w in after)
    return ({"op": "remove", "node": node}, *joined)


RULE = Rule(
    "dropout_before_norm",
    "Dropout before a batch norm",
    "Dropout changes the variance in training only, so the norm's running statistics are wrong when the model is used "
    "(Li et al. 2019, arXiv:1801.05134). Put it behind the last norm, or use DropBlock.",
    _find,
)
