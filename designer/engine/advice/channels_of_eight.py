"""Channels that no multiple of eight describes."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem

NAMES = ("out_channels", "channels", "width")


def _find(design: Design) -> Iterator[Problem]:
    for node, spec, _ in design.nodes():
        for name in NAMES:
            param = spec.param(name)
            value = node.params.get(name)
            if param is None or param.derived or spec.role != "layer" or not isinstance(value, int) or value < 16:
                continue
            if value % 8:
                better = value + 8 - value % 8
                edit = {"op": "set_param", "node": node.id, "name": name, "value": better}
                text = f"{node.title}: {name} is {value}."
                yield Problem("advice", text, node.id, fixes=(Fix(f"Set {name} to {better}", (edit,)),))


RULE = Rule(
    "channels_of_eight",
    "Channels that are no multiple of 8",
    "GPUs multiply matrices in blocks of 8 in half precision, so a multiple of 8 is as fast with more channels.",
    _find,
)
