"""A whole state dict onto a compiled document: which tensor goes where, by maps, names, rows of a table, or order.

Each node takes what one way finds for it, the way that fills most of it. A node of which less than half would be filled
takes nothing: that is another layer with a like name. Heads are the exception, their class layers differ by data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from designer.engine.compile import Compiled
from designer.engine.state_files import State
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData, Node
from nodes.sdk.discover import library
from nodes.weights import Rename, for_component
from nodes.weights.rows import renamed, rows_of

COUNTER = "num_batches_tracked"
"""Of batch norms; matters only to norms that average over all batches, and ours do not."""
ORDER_SHARE = 0.9
"""Of the tensors that names leave open, how many must fit by order and shape before that is believed."""

Shape = tuple[int, ...]
Pairs = dict[str, str]
"""Keys of the file by keys inside a node."""


@dataclass(frozen=True)
class Taken:
    """What one node takes.

    Attributes:
        node, title, module: its id, its title, and what the compiled model calls it.
        how: the way that found it, in words; empty where nothing was taken.
        loaded: its keys, with the file's key and the shape.
        missing: its keys that the file has nothing for, with the shape.
        wrong: its keys for which the file has another shape: the file's key, our shape, its shape.
    """

    node: str
    title: str
    module: str
    how: str
    loaded: dict[str, tuple[str, Shape]]
    missing: dict[str, Shape]
    wrong: dict[str, tuple[str, Shape, Shape]]

    @property
    def size(self) -> int:
        """How many tensors it has."""
        return len(self.loaded) + len(self.missing) + len(self.wrong)

    def text(self) -> str:
        if not self.loaded:
            return f"{self.title}: nothing; its {self.size} tensors are drawn."
        said = f"{self.title}: {len(self.loaded)} of {self.size} tensors, {self.how}"
        for word, keys in (("missing", self.missing), ("of another shape", self.wrong)):
            if keys:
                said += f"; {len(keys)} {word} ({', '.join(list(keys)[:3])}{', ...' if len(keys) > 3 else ''})"
        return f"{said}."


@dataclass
class Matched:
    """Where the tensors of a state dict go. `left` are those without a place, with their shapes."""

    path: Path
    nodes: list[Taken]
    left: dict[str, Shape]
    class_names: list[str] = field(default_factory=list)

    @property
    def loaded(self) -> int:
        return sum(len(n.loaded) for n in self.nodes)

    def text(self) -> str:
        """A line for each node, and what is left over."""
        lines = [taken.text() for taken in self.nodes]
        if self.left:
            shown = [f"{k} {list(s)}" for k, s in list(self.left.items())[:4]]
            lines.append(f"Left over: {len(self.left)} tensors ({', '.join(shown)}{', ...' * (len(self.left) > 4)}).")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        nodes = [{**asdict(taken), "size": taken.size} for taken in self.nodes]
        return {"path": str(self.path), "loaded": self.loaded, "nodes": nodes, "left": self.left}

    def state(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is taken, under the compiled model's keys."""
        return {f"{n.module}.{ours}": tensors[theirs] for n in self.nodes for ours, (theirs, _) in n.loaded.items()}


def match(compiled: Compiled, data: GraphData, state: State) -> Matched:
    """Finds a place for the tensors of a state dict.

    Raises:
        NetwrightError: when they are those of another model.
    """
    found = _Matching(compiled, data, state).run()
    by_id = {n.id: n for n in data.nodes}
    body = [t for t in found.nodes if not _is_head(by_id[t.node])]
    if not any(taken.loaded for taken in body or found.nodes):
        first = next(iter(found.left.items()), ("none", ()))
        raise NetwrightError(
            f"{state.path} holds weights of another model: none of its {len(state.tensors)} tensors has a place in "
            f"{data.name} (the first is {first[0]} {list(first[1])}). Nothing was changed. Choose the weights of this "
            "model, or open the document that they belong to."
        )
    return found


def fill(compiled: Compiled, found: Matched, tensors: Mapping[str, Tensor]) -> None:
    """Copies what was matched into the compiled model."""
    compiled.model.load_state_dict(found.state(tensors), strict=False)


def _is_head(node: Node) -> bool:
    spec = library().catalogue.get(node.component)
    return spec is not None and spec.role == "head"


class _Matching:
    def __init__(self, compiled: Compiled, data: GraphData, state: State) -> None:
        self.compiled, self.state = compiled, state
        self.nodes = {n.id: n for n in data.nodes}
        self.document_order = [n.id for n in data.nodes]
        self.free: dict[str, Shape] = {
            key: tuple(value.shape) for key, value in state.tensors.items() if not key.endswith(COUNTER)
        }
        """Keys of the file that no node has taken."""
        self.own: dict[str, dict[str, Shape]] = {}
        """What each module has, by its name: keys with shapes."""
        for name in compiled.node_of:
            held = compiled.model.get_submodule(name).state_dict()
            shapes = {key: tuple(value.shape) for key, value in held.items() if not key.endswith(COUNTER)}
            if shapes:
                self.own[name] = shapes
        self.chosen: dict[str, tuple[str, Pairs]] = {}

    def run(self) -> Matched:
        by_rows = self._by_rows()
        for name in self.own:
            ways = [("by the rows of its table", by_rows[name])] if name in by_rows else []
            self._choose(name, [*ways, *self._by_name(name), *self._by_maps(name)])
        for name, pairs in self._by_order().items():
            self._choose(name, [("by order and shape", pairs)])
        return Matched(
            self.state.path, [self._taken(name) for name in self.own], dict(self.free), self.state.class_names
        )

    # -- taking --------------------------------------------------------------------------------------------------

    def _choose(self, name: str, ways: list[tuple[str, Pairs]]) -> None:
        """Takes the way that fills most of a node, the earlier of equals; none where too little fits."""
        ways = [(how, self._unused(pairs)) for how, pairs in ways]
        how, pairs = max(ways, key=lambda way: self._fits(name, way[1]), default=("", {}))
        fits = self._fits(name, pairs)
        head = _is_head(self.nodes[self.compiled.node_of[name]])
        if fits and (head or 2 * fits > len(self.own[name])):
            self.chosen[name] = how, pairs
            for theirs in pairs.values():
                self.free.pop(theirs, None)

    def _unused(self, pairs: Pairs) -> Pairs:
        return {ours: theirs for ours, theirs in pairs.items() if theirs in self.free}

    def _fits(self, name: str, pairs: Pairs) -> int:
        return sum(self.own[name][ours] == self.free[theirs] for ours, theirs in pairs.items())

    def _taken(self, name: str) -> Taken:
        own = self.own[name]
        how, pairs = self.chosen.get(name, ("", {}))
        shapes = {ours: tuple(self.state.tensors[theirs].shape) for ours, theirs in pairs.items()}
        node = self.nodes[self.compiled.node_of[name]]
        return Taken(
            node.id, node.title, name, how,
            loaded={k: (pairs[k], s) for k, s in own.items() if shapes.get(k) == s},
            missing={k: s for k, s in own.items() if k not in shapes},
            wrong={k: (pairs[k], s, shapes[k]) for k, s in own.items() if k in shapes and shapes[k] != s},
        )  # fmt: skip

    # -- ways ----------------------------------------------------------------------------------------------------

    def _by_name(self, name: str) -> Iterator[tuple[str, Pairs]]:
        """Its keys below its own name, or below the one other prefix that has all of them."""
        own = self.own[name]
        yield "by name", {k: f"{name}.{k}" for k in own if f"{name}.{k}" in self.free}
        first = next(iter(own))
        prefixes = [k[: -len(first)] for k in self.free if k.endswith(first) and k[: -len(first)][-1:] in (".", "")]
        whole = [p for p in prefixes if all(self.free.get(p + k) == shape for k, shape in own.items())]
        if len(whole) == 1:
            yield f"by name, below {whole[0] or 'the top'}", {k: whole[0] + k for k in own}

    def _by_maps(self, name: str) -> Iterator[tuple[str, Pairs]]:
        """By the written maps of published models that fit the node, below whatever prefix they stand."""
        node = self.nodes[self.compiled.node_of[name]]
        spec = library().catalogue.get(node.component)
        if spec is None:
            return
        entries = for_component(spec.id, {**spec.defaults(), **node.params})
        # timm's feature extractors write stages_0 for its models' stages.0: dots and bars count alike.
        loose = {key.replace(".", "_"): key for key in self.own[name]}
        prefixes = self._prefixes(len(self.own[name]) // 2) if entries else []
        for entry in entries:
            for prefix in prefixes:
                yield f"as {entry.name}", self._mapped(entry.rename, prefix, loose)

    def _mapped(self, rename: Rename, prefix: str, loose: Mapping[str, str]) -> Pairs:
        pairs: Pairs = {}
        for key in self.free:
            ours = rename(key[len(prefix) :]) if key.startswith(prefix) else None
            if ours is not None and (place := loose.get(ours.replace(".", "_"))) is not None:
                pairs[place] = key
        return pairs

    def _prefixes(self, least: int) -> list[str]:
        """Beginnings of at least so many keys, up to three names deep; none at all comes first."""
        counts: dict[str, int] = {"": len(self.free)}
        for key in self.free:
            parts = key.split(".")[:-1]
            for depth in range(1, min(4, len(parts) + 1)):
                prefix = ".".join(parts[:depth]) + "."
                counts[prefix] = counts.get(prefix, 0) + 1
        return [prefix for prefix, count in counts.items() if count >= max(2, least)]

    def _by_rows(self) -> dict[str, Pairs]:
        """By the rows of the table that the model was built from, in order."""
        rows = rows_of(self.free)
        if rows is None:
            return {}
        running = list(self.own)
        written = sorted(running, key=lambda name: self.document_order.index(self.compiled.node_of[name]))
        orders = [running] if running == written else [running, written]
        found = [_aligned(self._units(order), rows, self.free) for order in orders]
        best = max(found, key=lambda pairs: len(pairs))
        by_node: dict[str, Pairs] = {}
        for key, theirs in best.items():
            name, _, ours = key.partition(".")
            by_node.setdefault(name, {})[ours] = theirs
        return by_node

    def _units(self, names: list[str]) -> list[_Unit]:
        """The layers as a table has them: nodes, and the parts of composites."""
        return [unit for name in names for unit in _parts(name, self.compiled.model.get_submodule(name))]

    def _by_order(self) -> dict[str, Pairs]:
        """Nodes that names say nothing about: layers of the same shapes in the same order.

        Believed only where it explains nearly everything that is open; a head alone, where just one place fits.
        """
        leaves = _leaves(self.free)
        place, found = 0, {}
        open_nodes = [name for name in self.own if name not in self.chosen]
        for name in open_nodes:
            mine = _leaves(self.own[name])
            starts = [i for i in range(len(leaves) - len(mine) + 1) if _alike(leaves[i : i + len(mine)], mine)]
            start = next((i for i in starts if i >= place), None)
            if start is None or (len(self.chosen) and len(starts) > 1 and len(open_nodes) == 1):
                continue
            place = start + len(mine)
            found[name] = {
                ours: theirs
                for (_, a), (_, b) in zip(mine, leaves[start:place], strict=True)
                for ours, theirs in zip(a.values(), b.values(), strict=True)
            }
        count = sum(len(self.own[name]) for name in open_nodes if not _is_head(self.nodes[self.compiled.node_of[name]]))
        fits = sum(len(pairs) for name, pairs in found.items() if not _is_head(self.nodes[self.compiled.node_of[name]]))
        return found if fits >= ORDER_SHARE * count else {}


@dataclass(frozen=True)
class _Unit:
    """A layer as tables have them: where it is in the model, its class, its keys with shapes."""

    prefix: str
    kind: str
    shapes: dict[str, Shape]


def _parts(name: str, module: nn.Module) -> Iterator[_Unit]:
    if isinstance(module, fx.GraphModule):
        for part, child in module.named_children():
            yield from _parts(f"{name}.{part}", child)
        return
    shapes = {k: tuple(v.shape) for k, v in module.state_dict().items() if not k.endswith(COUNTER)}
    if shapes:
        yield _Unit(name, type(module).__name__, shapes)


def _aligned(units: list[_Unit], rows: list[dict[str, str]], shapes: Mapping[str, Shape]) -> Pairs:
    """Layers and rows in order, so that as many tensors as possible agree; keys of the file by ours.

    A layer may take a row when it has exactly the row's keys; of those, the shapes that are equal count.
    """
    scores = torch.zeros(len(units) + 1, len(rows) + 1, dtype=torch.int64).tolist()
    for i in reversed(range(len(units))):
        for j in reversed(range(len(rows))):
            both = _agreement(units[i], rows[j], shapes)
            taken = scores[i + 1][j + 1] + both if both else 0
            scores[i][j] = max(taken, scores[i + 1][j], scores[i][j + 1])
    pairs: Pairs = {}
    i = j = 0
    while i < len(units) and j < len(rows):
        both = _agreement(units[i], rows[j], shapes)
        if both and scores[i][j] == scores[i + 1][j + 1] + both:
            pairs |= {f"{units[i].prefix}.{renamed(units[i].kind, inner)}": key for inner, key in rows[j].items()}
            i, j = i + 1, j + 1
        elif scores[i][j] == scores[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _agreement(unit: _Unit, row: Mapping[str, str], shapes: Mapping[str, Shape]) -> int:
    if len(unit.shapes) != len(row):
        return 0
    theirs = {renamed(unit.kind, inner): shapes[key] for inner, key in row.items()}
    if theirs.keys() != unit.shapes.keys():
        return 0
    return sum(theirs[k] == shape for k, shape in unit.shapes.items())


Leaf = tuple[dict[str, Shape], dict[str, str]]
"""A layer's shapes and whole keys, both by the last name of the key."""


def _leaves(shapes: Mapping[str, Shape]) -> list[Leaf]:
    """Single torch layers in order: keys that differ in their last name only."""
    layers: dict[str, Leaf] = {}
    for key, shape in shapes.items():
        layer, _, last = key.rpartition(".")
        found = layers.setdefault(layer, ({}, {}))
        found[0][last], found[1][last] = shape, key
    return list(layers.values())


def _alike(a: list[Leaf], b: list[Leaf]) -> bool:
    return all(x[0] == y[0] for x, y in zip(a, b, strict=True))
