"""Steps so coarse that small objects are lost in them, before a head that is to find small objects."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.engine.box_sizes import small_share
from designer.graph.problems import Problem

PIXELS = 32.0
"""COCO's small objects."""
SHARE = 0.1
"""Share of small objects from which it is worth saying."""
STEP = 4
"""A node that makes a map this many times narrower does so in one step."""


def _find(design: Design) -> Iterator[Problem]:
    heads = [node for node, spec, _ in design.nodes() if spec.task in ("detect", "segment")]
    if not heads or small_share(design.data.data, design.image_size, PIXELS) < SHARE:
        return
    for node, spec, result in design.nodes():
        if spec.role != "layer" or spec.composite:
            continue
        given = max(
            (_width(design, w.source, w.source_port) for w in design.data.wires if w.target == node.id), default=0
        )
        made = max((info.shape[-1] for info in result.outputs.values() if info.kind == "map"), default=0)
        if not made or given < 2 * made:
            continue
        if node.component == "pooling.max_pool":
            yield Problem(
                "advice", f"{node.title}: of each window it keeps the strongest cell, not where it was.", node.id
            )
        elif given >= STEP * made:
            text = f"{node.title}: it makes the map {given // made} times narrower in one step."
            yield Problem("advice", text, node.id)


def _width(design: Design, node: str, port: str) -> int:
    result = design.results.get(node)
    info = result.outputs.get(port) if result is not None else None
    return info.shape[-1] if info is not None and info.kind == "map" else 0


RULE = Rule(
    "coarse_steps",
    "Steps that lose small objects",
    "A tenth of the objects or more are smaller than 32 pixels, and what such a step drops no head finds again. Steps "
    "of two by convolutions keep more; a Focus stem drops nothing; average pooling keeps the context; bilinear "
    "resizing and a convolution is smoother still.",
    _find,
)
