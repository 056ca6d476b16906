"""Places nodes by how far they are from the inputs, with few crossings and straight long wires. No Qt.

From left to right, from top to bottom, or as a pyramid: a row for each level of strides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from designer.graph.crossings import crossings, exchange
from designer.graph.model import GraphData
from designer.graph.view import topological

GAP_X, GAP_Y = 124.0, 34.0
"""Between columns there is room for a shape on the wire."""
GAP_DOWN, GAP_BESIDE = 56.0, 48.0
"""Between rows, and between nodes of a row, where the way is down."""
GAP_LEVEL = 90.0
"""Between the levels of a pyramid."""
LANE = 12.0
"""Height of the place that is kept free, in each column that it passes, for a long wire."""
SWEEPS = 16
"""Passes to and fro over the columns; more change nothing visible on networks of 300 nodes."""
_STRAIGHT, _ENTRY = 8.0, 4.0
"""How much more than between neighbours a wire wants to be level inside its lane, and where it enters it."""

_Near = Mapping[str, list[str]]
_Sizes = Mapping[str, tuple[float, float]]


def layout_down(data: GraphData, sizes: _Sizes) -> dict[str, tuple[float, float]]:
    """A position for every node, from top to bottom: `layout` turned by a quarter."""
    turned = layout(data, {node: (high, wide) for node, (wide, high) in sizes.items()}, (GAP_DOWN, GAP_BESIDE))
    return {node: (y, x) for node, (x, y) in turned.items()}


def layout_levels(data: GraphData, sizes: _Sizes, strides: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """A position for every node, from left to right with a row for each stride, the finest at the top.

    Args:
        data: the document.
        sizes: width and height of each node.
        strides: image pixels from cell to cell of what a node gives; one without is at the level of what feeds it.

    Returns:
        Upper left corner by node id.
    """
    columns = _columns(data)
    before: dict[str, list[str]] = {n.id: [] for n in data.nodes}
    for wire in data.wires:
        if wire.target in before and wire.source in before:
            before[wire.target].append(wire.source)
    level: dict[str, float] = {}
    for node in (n for column in columns for n in column):
        fed = [level[b] for b in before[node] if b in level]
        level[node] = strides.get(node, sorted(fed)[len(fed) // 2] if fed else 1.0)
    rows = sorted(set(level.values()))
    tall = {row: max(sum(sizes[n][1] + GAP_Y for n in column if level[n] == row) for column in columns) for row in rows}
    top, y = {}, 0.0
    for row in rows:
        top[row] = y
        y += tall[row] - GAP_Y + GAP_LEVEL
    positions: dict[str, tuple[float, float]] = {}
    x = 0.0
    for column in columns:
        for row in rows:
            members = [n for n in column if level[n] == row]
            high = sum(sizes[n][1] + GAP_Y for n in members)
            at = top[row] + (tall[row] - high) / 2
            for node in members:
                positions[node] = (round(x), round(at))
                at += sizes[node][1] + GAP_Y
        x += max((sizes[n][0] for n in column), default=0.0) + GAP_X
    return positions


def _columns(data: GraphData) -> list[list[str]]:
    """Nodes by their longest path from the inputs."""
    order = topological(data)
    place = {node: i for i, node in enumerate(order)}
    depth = dict.fromkeys(order, 0)
    wires = [(w.source, w.target) for w in data.wires if w.source in place and w.target in place]
    for source, target in sorted(wires, key=lambda w: place[w[0]]):
        if place[source] < place[target]:
            depth[target] = max(depth[target], depth[source] + 1)
    found: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for node in order:
        found[depth[node]].append(node)
    return found


def layout(
    data: GraphData, sizes: _Sizes, gaps: tuple[float, float] = (GAP_X, GAP_Y)
) -> dict[str, tuple[float, float]]:
    """A position for every node, from left to right: columns by longest path from the inputs.

    Args:
        data: the document; the nodes of a cycle are placed as if its last wire were not there.
        sizes: width and height of each node.
        gaps: between columns, and between the nodes of one.

    Returns:
        Upper left corner by node id.
    """
    place = {node: i for i, node in enumerate(topological(data))}
    wires = [(w.source, w.target) for w in data.wires if w.source in place and w.target in place]
    wires = [(a, b) for a, b in dict.fromkeys(wires) if place[a] < place[b]]
    depth = {node: i for i, column in enumerate(_columns(data)) for node in column}
    return layered(depth, wires, sizes, gaps).corners


class Layered(NamedTuple):
    """Upper left corners by node, and the places that each wire over several columns is led through."""

    corners: dict[str, tuple[float, float]]
    lanes: dict[tuple[str, str], list[tuple[float, float]]]


def layered(
    depth: Mapping[str, int],
    wires: Sequence[tuple[str, str]],
    sizes: _Sizes,
    gaps: tuple[float, float] = (GAP_X, GAP_Y),
    sweeps: int = SWEEPS,
) -> Layered:
    """Places nodes whose columns are known: place holders for wires that pass columns, order by barycentre (Sugiyama
    et al. 1981, doi:10.1109/TSMC.1981.4308636), heights by least squares over the wires.

    Args:
        depth: the column of each node, every one of them used; nodes of a column in this order to begin with.
        wires: pairs of nodes, each once, the first in a column before that of the second.
        sizes: width and height of each node.
        gaps: between columns, and between the nodes of one.
        sweeps: passes to and fro over the columns.
    """
    before: dict[str, list[str]] = {node: [] for node in depth}
    after: dict[str, list[str]] = {node: [] for node in depth}
    columns: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    room = dict(sizes)
    paths: dict[tuple[str, str], list[str]] = {}
    for source, target in wires:
        path = [source]
        for column in range(depth[source] + 1, depth[target]):
            path.append(f"{source} -> {target} @ {column}")
            room[path[-1]] = (0.0, LANE)
            before[path[-1]], after[path[-1]] = [], []
            columns[column].append(path[-1])
        for one, other in zip(path, [*path[1:], target], strict=True):
            after[one].append(other)
            before[other].append(one)
        paths[source, target] = path[1:]
    for node in depth:
        columns[depth[node]].append(node)
    middle = _heights(columns, before, after, room, set(depth), gaps[1], sweeps)
    corners: dict[str, tuple[float, float]] = {}
    x = 0.0
    for names in columns:
        for node in names:
            corners[node] = (round(x), round(middle[node] - room[node][1] / 2))
        x += max(room[n][0] for n in names) + gaps[0]
    lanes = {ends: [(corners[n][0], middle[n]) for n in path] for ends, path in paths.items() if path}
    return Layered({node: corners[node] for node in depth}, lanes)


def _heights(
    columns: list[list[str]],
    before: _Near,
    after: _Near,
    sizes: _Sizes,
    nodes: set[str],
    gap: float,
    sweeps: int,
) -> dict[str, float]:
    """The height of each middle: sweeps that order the columns, then sweeps that level the wires."""
    middle: dict[str, float] = {}
    for column in columns:
        _stack(column, dict.fromkeys(column, (0.0, 1.0)), sizes, middle, gap)

    def wish(name: str, *sides: _Near) -> tuple[float, float]:
        """Where the wires of a node would have it, and how strongly."""
        total = strength = 0.0
        for other in (o for side in sides for o in side[name]):
            lanes = (name not in nodes) + (other not in nodes)
            weight = (1.0, _ENTRY, _STRAIGHT)[lanes]
            total += weight * middle[other]
            strength += weight
        return (total / strength, strength) if strength else (middle[name], 0.01)

    best = [list(column) for column in columns]
    fewest = crossings(best, after)
    for sweep in range(2 * sweeps):
        forward = sweep % 2 == 0
        sides = (before if forward else after,) if sweep < sweeps else (before, after)
        if sweep == sweeps - 2:
            for column, order in zip(columns, best, strict=True):
                column[:] = order
            exchange(columns, before, after)
        for column in columns if forward else reversed(columns):
            wishes = {n: wish(n, *sides) for n in column}
            if sweep < sweeps - 2:
                column.sort(key=lambda n: wishes[n][0])
            _stack(column, wishes, sizes, middle, gap)
        if sweep < sweeps - 2 and (found := crossings(columns, after)) <= fewest:
            best, fewest = [list(column) for column in columns], found
    return middle


def _stack(
    column: list[str], wishes: Mapping[str, tuple[float, float]], sizes: _Sizes, middle: dict[str, float], gap: float
) -> None:
    """Puts a column, in its order, as near to the wishes as its heights allow: isotonic regression by pooling."""
    blocks: list[tuple[float, float, list[str]]] = []  # mean of the wishes less the offsets, strength, names
    offset, offsets, last = 0.0, {}, ""
    for name in column:
        if last:
            offset += (sizes[last][1] + sizes[name][1]) / 2 + gap
        offsets[name], last = offset, name
        mean, strength, names = wishes[name][0] - offset, wishes[name][1], [name]
        while blocks and blocks[-1][0] > mean:
            above, more, others = blocks.pop()
            mean = (mean * strength + above * more) / (strength + more)
            strength, names = strength + more, others + names
        blocks.append((mean, strength, names))
    for mean, _, names in blocks:
        for name in names:
            middle[name] = mean + offsets[name]


def strides_in(result: Mapping[str, Any]) -> dict[str, float]:
    """Image pixels from cell to cell of what nodes give, from the engine's answer; of several maps the finest."""
    if not result.get("image_size"):
        return {}
    height = result["image_size"][0]
    found: dict[str, float] = {}
    for node, known in result.get("nodes", {}).items():
        maps = [i for i in known.get("outputs", {}).values() if i.get("kind") == "map" and i["shape"][-2]]
        if maps:
            found[node] = 2.0 ** round(math.log2(height / max(i["shape"][-2] for i in maps)))
    return found
