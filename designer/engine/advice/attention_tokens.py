"""Attention over so many cells that its weights do not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from designer.engine.advice import Design, Rule
from designer.graph.problems import Problem

LIMIT = 8 << 30
"""Bytes in training from which it is said: a third of the memory of a usual card for one node."""


def _find(design: Design) -> Iterator[Problem]:
    batch = design.data.training.batch
    for node, spec, result in design.nodes():
        # By its category: a whole backbone or neck takes as much without any cell looking at another.
        if spec.category.partition("/")[0] != "attention" or result.activation_bytes * batch < LIMIT:
            continue
        given = (_given(design, w.source, w.source_port) for w in design.data.wires if w.target == node.id)
        maps = [info.shape for info in given if info is not None and info.kind == "map"]
        cells = max((shape[-2] * shape[-1] for shape in maps), default=0)
        if cells and result.activation_bytes >= 4 * cells * cells:
            needed = result.activation_bytes * batch / 2**30
            text = (
                f"{node.title}: each of its {cells:,} cells looks at all of them, which takes {needed:,.0f} GiB of "
                f"activations with {batch} images."
            )
            yield Problem("advice", text, node.id)


def _given(design: Design, node: str, port: str) -> Any:
    result = design.results.get(node)
    return result.outputs.get(port) if result is not None else None


RULE = Rule(
    "attention_tokens",
    "Attention over too many cells",
    "Attention between all cells grows with the square of their number: half the side is a sixteenth of the memory. "
    "Put it behind the next downsampling, or use attention over channels or windows.",
    _find,
)
