"""What differs between two documents, in words: nodes by id, then by title and component; wires; settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Literal

from designer.graph.model import GraphData, Node, Wire
from designer.graph.view import topological

LOOKS = ("x", "y", "color", "note")
"""Fields of a node that change nothing of the model."""

Where = Literal["node", "wire", "composite", "training", "data"]


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in both documents.

    Attributes:
        where: what it is about.
        text: it in words, such as `Stem: out_channels 16 -> 32`.
        node: id of the node in the first document, or in the second where it was added; None for settings.
        field: the name of what changed; empty where something was added or removed.
        old, new: its values; None where it is not there.
    """

    where: Where
    text: str
    node: str | None = None
    field: str = ""
    old: Any = None
    new: Any = None

    def to_json(self) -> dict[str, Any]:
        """It as plain data."""
        return asdict(self)


def fingerprint(data: GraphData) -> str:
    """Twelve hex digits that are equal for documents which train alike: places, colours, notes and names of files
    do not count.
    """
    plain = data.model_dump(mode="json", exclude={"name", "groups", "advice", "version"})
    for node in plain["nodes"]:
        for name in LOOKS:
            node.pop(name, None)
    for wire in plain["wires"]:
        wire.pop("points", None)
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def differences(a: GraphData, b: GraphData) -> list[Difference]:
    """What has to be done to `a` to make it `b`: nodes in the order that they run, wires, composites, settings.

    Nodes are the same when id, title and component are equal; of the others, when title and component are; of the
    rest, when the id and one of the two are, or when they are the only ones of their component on both sides.
    What is looks only is left out.
    """
    matched = matched_nodes(a, b)
    order_a, order_b = _places(a), _places(b)
    found: list[Difference] = []
    for old in sorted(a.nodes, key=lambda n: order_a[n.id]):
        if old.id in matched:
            found += _of_node(old, matched[old.id])
        else:
            found.append(Difference("node", f"{_name(old, order_a)} removed", old.id, old=old.component))
    kept = {node.id for node in matched.values()}
    for new in sorted(b.nodes, key=lambda n: order_b[n.id]):
        if new.id not in kept:
            text = f"{_name(new, order_b)} added{_between(new, b)}"
            found.append(Difference("node", text, new.id, new=new.component))
    found += _of_wires(a, b, matched)
    found += _of_composites(a, b)
    found += _of_section("training", a.training.model_dump(), b.training.model_dump())
    found += _of_section("data", a.data.model_dump(), b.data.model_dump())
    return found


def matched_nodes(a: GraphData, b: GraphData) -> dict[str, Node]:
    """The node of `b` for each id of `a` that has one.

    Documents drawn apart use the same ids (n1, n2, ...) for quite different nodes, hence title and component first.
    """
    matched: dict[str, Node] = {}
    keys: tuple[Callable[[Node], Any], ...] = (
        lambda node: (node.id, node.title, node.component),
        lambda node: (node.title, node.component),
        lambda node: (node.id, node.component),
        lambda node: (node.id, node.title),
        lambda node: node.component,
    )
    for key in keys:
        taken = {node.id for node in matched.values()}
        left = _only_once(key, (n for n in a.nodes if n.id not in matched))
        right = _only_once(key, (n for n in b.nodes if n.id not in taken))
        matched.update({left[k].id: right[k] for k in left if k in right})
    return matched


def _only_once(key: Callable[[Node], Any], nodes: Iterable[Node]) -> dict[Any, Node]:
    """Nodes by a key, without those that share theirs."""
    groups: dict[Any, list[Node]] = {}
    for node in nodes:
        groups.setdefault(key(node), []).append(node)
    return {k: group[0] for k, group in groups.items() if len(group) == 1}


def _places(data: GraphData) -> dict[str, int]:
    return {node_id: place for place, node_id in enumerate(topological(data), 1)}


def _name(node: Node, places: Mapping[str, int]) -> str:
    return f"{_title(node)} ({node.component}, layer {places[node.id]})"


def _between(node: Node, data: GraphData) -> str:
    """` after Backbone.p5, before Neck.p5`: where a node is wired."""
    titles = {one.id: _title(one) for one in data.nodes}
    before = [f"{titles[w.source]}.{w.source_port}" for w in data.wires if w.target == node.id and w.source in titles]
    after = [f"{titles[w.target]}.{w.target_port}" for w in data.wires if w.source == node.id and w.target in titles]
    sides = [f"{word} {_few(ends)}" for word, ends in (("after", before), ("before", after)) if ends]
    return " " * bool(sides) + ", ".join(sides)


def _few(ends: list[str]) -> str:
    return " and ".join(ends) if len(ends) <= 2 else f"{ends[0]} and {len(ends) - 1} more"


def _title(node: Node) -> str:
    return node.title or node.component


def _of_node(old: Node, new: Node) -> Iterable[Difference]:
    name = _title(old)
    for field in ("title", "component", "weights", "frozen", "disabled"):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            words = {"title": "renamed", "component": "is now another component:"}.get(field, field)
            yield Difference(
                "node", f"{name}: {words} {_value(before)} -> {_value(after)}", old.id, field, before, after
            )
    yield from _of_values("node", f"{name}: ", old.params, new.params, old.id, missing="default")


def _of_values(
    where: Where, prefix: str, old: Mapping[str, Any], new: Mapping[str, Any], node: str | None, missing: str
) -> Iterable[Difference]:
    for key in sorted({*old, *new}, key=[*old, *new].index):
        before, after = old.get(key), new.get(key)
        if before == after and (key in old) == (key in new):
            continue
        texts = [_value(side[key]) if key in side else missing for side in (old, new)]
        yield Difference(where, f"{prefix}{key} {texts[0]} -> {texts[1]}", node, key, before, after)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _of_wires(a: GraphData, b: GraphData, matched: Mapping[str, Node]) -> Iterable[Difference]:
    """Wires between nodes that are in both: those of a node that came are said with it."""
    back = {new.id: old for old, new in matched.items()}
    before = {w.ends: w for w in a.wires if w.source in matched and w.target in matched}
    after: dict[tuple[str, str, str, str], Wire] = {}
    for wire in b.wires:
        if wire.source in back and wire.target in back:
            after[back[wire.source], wire.source_port, back[wire.target], wire.target_port] = wire
    titles = {node.id: _title(node) for node in a.nodes}
    for ends, word in [(e, "removed") for e in before if e not in after] + [
        (e, "added") for e in after if e not in before
    ]:
        source, source_port, target, target_port = ends
        words = f"Wire {titles[source]}.{source_port} to {titles[target]}.{target_port} {word}"
        yield Difference("wire", words, target, target_port)


def _of_composites(a: GraphData, b: GraphData) -> Iterable[Difference]:
    before, after = ({c.id: c for c in data.composites} for data in (a, b))
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        title = (old or new).title or key  # type: ignore[union-attr]
        if old is None or new is None:
            word = "added" if old is None else "removed"
            yield Difference("composite", f"Composite {title} {word}")
            continue
        inside = differences(*(GraphData(nodes=c.nodes, wires=c.wires) for c in (old, new)))
        for one in inside:
            yield Difference("composite", f"Composite {title}: {one.text}", None, one.field, one.old, one.new)


def _of_section(where: Where, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Difference]:
    return _of_values(where, f"{where}: ", old, new, None, missing="not set")
