"""Problems of the design as a whole: heads and data, image size and stride, branches that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from designer.engine.checks import image_size_fixes
from designer.graph.model import GraphData
from designer.graph.problems import Fix, Problem
from nodes.sdk.spec import Catalogue

if TYPE_CHECKING:
    from designer.engine.propagate import NodeResult


def design_problems(
    data: GraphData, catalogue: Catalogue, results: Mapping[str, NodeResult], image_size: tuple[int, int] | None
) -> list[Problem]:
    """Warnings and advice that need the whole document. Nothing is said about nodes that do not run yet."""
    heads = [n.id for n in data.nodes if (spec := catalogue.get(n.component)) is not None and spec.role == "head"]
    found = [*_classes(data, heads), *_strides(data, heads, results, image_size)]
    if heads:
        found += _dead_ends(data, catalogue, heads)
    elif data.nodes and all(r.status == "ok" for r in results.values()):
        text = "This model has no head, so it can be exported but not trained. Add a detection or classification head."
        found.append(Problem("advice", text, code="no_head"))
    return found


def _classes(data: GraphData, heads: list[str]) -> Iterator[Problem]:
    if data.data.kind != "shapes":  # other data sets are read by the trainer, which says the same
        return
    for node in data.nodes:
        count = node.params.get("num_classes")
        if node.id in heads and isinstance(count, int) and count != data.data.classes:
            want = data.data.classes
            fixes = [
                Fix(
                    f"Set num_classes to {want}",
                    ({"op": "set_param", "node": node.id, "name": "num_classes", "value": want},),
                )
            ]
            if 1 <= count <= 6:
                fixes.append(Fix(f"Draw {count} kinds of shapes", ({"op": "set_data", "classes": count},)))
            text = f"{node.title} tells {count} classes apart, the shapes data has {want}. Make them equal to train."
            yield Problem("warning", text, node.id, code="classes", fixes=tuple(fixes))


def _strides(
    data: GraphData, heads: list[str], results: Mapping[str, NodeResult], image_size: tuple[int, int] | None
) -> Iterator[Problem]:
    if image_size is None:
        return
    for node in data.nodes:
        strides = results[node.id].derived.get("strides") if node.id in heads and node.id in results else None
        if not strides:
            continue
        largest = max(strides)
        if image_size[0] % largest or image_size[1] % largest:
            text = (
                f"{node.title}: the image is {image_size[0]}x{image_size[1]}, no multiple of its stride {largest}; "
                "cells and pixels do not line up. Use a multiple of it."
            )
            yield Problem("warning", text, node.id, code="stride", fixes=tuple(image_size_fixes(data, largest)))


def _dead_ends(data: GraphData, catalogue: Catalogue, heads: list[str]) -> Iterator[Problem]:
    """Nodes from which no head can be reached, and which no head reaches."""
    forward: dict[str, set[str]] = {}
    backward: dict[str, set[str]] = {}
    for wire in data.wires:
        forward.setdefault(wire.source, set()).add(wire.target)
        backward.setdefault(wire.target, set()).add(wire.source)
    useful = _closure(heads, backward) | _closure(heads, forward)
    for node in data.nodes:
        spec = catalogue.get(node.component)
        if node.id not in useful and spec is not None:
            edit = {"op": "remove", "node": node.id}
            text = f"{node.title} leads to no head, so nothing uses what it computes. Wire it on, or remove it."
            yield Problem("warning", text, node.id, code="dead_end", fixes=(Fix(f"Remove {node.title}", (edit,)),))


def _closure(start: list[str], following: Mapping[str, set[str]]) -> set[str]:
    seen, stack = set(start), list(start)
    while stack:
        for node in following.get(stack.pop(), ()):
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return seen
