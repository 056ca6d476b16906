"""Problems of the design as a whole: heads and data, image size and strides, branches that lead nowhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from designer.data.class_maps import VOID
from designer.engine.fixes import image_size_fixes
from designer.graph.model import GraphData, Node
from designer.graph.problems import Fix, Problem
from designer.graph.training import DataSettings
from designer.graph.view import topological
from nodes.sdk.build import ImageSize
from nodes.sdk.spec import Catalogue

if TYPE_CHECKING:
    from designer.engine.propagate import NodeResult


OBJECTS = ("shapes", "coco", "yolo")
"""Kinds of data whose classes are those of objects; what none covers is the background."""


def design_problems(
    data: GraphData, catalogue: Catalogue, results: Mapping[str, NodeResult], image_size: ImageSize | None
) -> list[Problem]:
    """Warnings and advice that need the whole document. What depends on shapes waits until they are known.

    Args:
        data: the document without its disabled nodes.
        catalogue: the components.
        results: of the shapes pass, by node id.
        image_size: height and width in pixels.
    """
    specs = {n.id: spec for n in data.nodes if (spec := catalogue.get(n.component)) is not None}
    heads = [n for n in data.nodes if n.id in specs and specs[n.id].role == "head"]
    found = [*_classes(data, catalogue, heads), *_strides(data, catalogue, results, image_size)]
    if heads and all(results[h.id].status == "ok" for h in heads):
        found += _dead_branches(data, heads)
        found += _frozen(data, heads, results)
    layers = [n for n in specs.values() if n.role != "input"]
    if not heads and layers and all(r.status == "ok" for r in results.values()):
        text = "This model has no head, so it can be exported but not trained. Add a detection or classification head."
        found.append(Problem("advice", text, code="no_head"))
    return found


def _classes(data: GraphData, catalogue: Catalogue, heads: list[Node]) -> Iterator[Problem]:
    for node in heads:
        objects = catalogue[node.component].task == "semantic" and data.data.kind in OBJECTS
        want = class_count(data.data)
        want = want + 1 if want is not None and objects else want  # the background is a class
        param = catalogue[node.component].param("num_classes")
        if want is None or param is None:
            continue
        have = node.params.get("num_classes", param.default)
        if have == want or param.check(have):
            continue
        edit = {"op": "set_param", "node": node.id, "name": "num_classes", "value": want}
        fixes = [Fix(f"Set num_classes to {want}", (edit,))] if param.check(want) is None else []
        if data.data.kind == "shapes" and have - objects in range(1, 7):
            kinds = have - 1 if objects else have
            fixes.append(Fix(f"Draw {kinds} kinds of shapes", ({"op": "set_data", "classes": kinds},)))
        text = f"{node.title} tells {have} classes apart, the {data.data.kind} data has {want}. "
        text += "Make them equal to train."
        yield Problem("warning", text, node.id, code="classes", fixes=tuple(fixes))


def class_count(settings: DataSettings) -> int | None:
    """How many classes the data has, where a glance tells; None where all annotations would have to be read."""
    if settings.kind == "shapes":
        return settings.classes
    path = Path(settings.path).expanduser()
    if not settings.path:
        return None
    try:
        if settings.kind == "yolo":
            config = yaml.safe_load((path / "data.yaml" if path.is_dir() else path).read_text(encoding="utf-8"))
            return len(config["names"])
        if settings.kind == "masks" and (listed := path / "classes.txt").is_file():
            lines = [line for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
            return sum(line.split()[0].lower() not in VOID for line in lines) or None
        if settings.kind == "folder":
            first = path / (settings.train or ("train" if (path / "train").is_dir() else ""))
            return sum(p.is_dir() and not p.name.startswith(".") for p in first.iterdir()) or None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None  # the trainer reads it in full and says what is wrong with it
    return None


def _strides(
    data: GraphData, catalogue: Catalogue, results: Mapping[str, NodeResult], image_size: ImageSize | None
) -> Iterator[Problem]:
    """Nodes that place cells in the image: cells and pixels must line up."""
    for node in data.nodes:
        spec, result = catalogue.get(node.component), results.get(node.id)
        if spec is None or result is None or image_size is None:
            continue
        named = [p.name for p in spec.params if p.derived.startswith("stride:")]
        found = [result.derived[name] for name in named if name in result.derived]
        strides = [s for value in found for s in (value if isinstance(value, tuple) else (value,)) if s > 0]
        # 650 pixels in 21 cells come out as 30; the stride that was meant is a power of two.
        largest = max((2 ** round(math.log2(s)) for s in strides), default=1)
        if image_size[0] % largest or image_size[1] % largest:
            text = (
                f"{node.title}: the image is {image_size[0]}x{image_size[1]}, no multiple of the stride {largest}, "
                "so cells and pixels do not line up. Use a multiple of it."
            )
            fixes = image_size_fixes(data, (largest,))
            yield Problem("warning", text, node.id, code="stride", fixes=fixes)


def _dead_branches(data: GraphData, heads: list[Node]) -> Iterator[Problem]:
    """One warning for each connected set of nodes that neither lead to a head nor come after one."""
    forward, backward = _neighbours(data)
    ids = [h.id for h in heads]
    useful = reached(ids, backward) | reached(ids, forward)
    dead = [n for n in topological(data) if n not in useful]
    titles = {n.id: n.title for n in data.nodes}
    while dead:
        both = {n: (forward.get(n, set()) | backward.get(n, set())) - useful for n in dead}
        branch = [n for n in dead if n in reached([dead[-1]], both)]
        dead = [n for n in dead if n not in branch]
        last, before = titles[branch[-1]], len(branch) - 1
        with_it = f" and {before} more node{'s' * (before > 1)}" if before else ""
        fix = Fix(f"Remove {last}{with_it}", tuple({"op": "remove", "node": n} for n in branch))
        text = (
            f"{last}{with_it} lead{'' if before else 's'} to no head: not trained, not part of the exported model. "
            "Wire it on, or remove it."
        )
        yield Problem("warning", text, branch[-1], code="dead_end", fixes=(fix,))


def _frozen(data: GraphData, heads: list[Node], results: Mapping[str, NodeResult]) -> Iterator[Problem]:
    trained = reached([h.id for h in heads], _neighbours(data)[1])
    if not sum(results[n].trainable for n in trained):
        still = [n for n in data.nodes if n.frozen and n.id in trained]
        if still:
            text = "Every node before the heads is frozen, so there is nothing to train. Unfreeze the last ones."
            yield Problem("warning", text, still[-1].id, code="frozen")


def _neighbours(data: GraphData) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Which nodes each node feeds, and which feed it."""
    forward: dict[str, set[str]] = {}
    backward: dict[str, set[str]] = {}
    for wire in data.wires:
        forward.setdefault(wire.source, set()).add(wire.target)
        backward.setdefault(wire.target, set()).add(wire.source)
    return forward, backward


def reached(start: Iterable[str], following: Mapping[str, set[str]]) -> set[str]:
    """The start and everything that can be reached from it."""
    seen = set(start)
    stack = list(seen)
    while stack:
        for node in following.get(stack.pop(), ()):
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return seen
