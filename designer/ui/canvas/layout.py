"""Places nodes left to right by how far they are from the inputs, with few crossings and straight long wires. No Qt."""

from __future__ import annotations

from collections.abc import Mapping

from designer.graph.model import GraphData
from designer.graph.view import topological

GAP_X, GAP_Y = 124.0, 34.0
"""Between columns there is room for a shape on the wire."""
LANE = 12.0
"""Height of the place that is kept free, in each column that it passes, for a long wire."""
SWEEPS = 16
"""Passes to and fro over the columns; more change nothing visible on networks of 300 nodes."""
_STRAIGHT, _ENTRY = 8.0, 4.0
"""How much more than between neighbours a wire wants to be level inside its lane, and where it enters it."""

_Near = Mapping[str, list[str]]
_Sizes = Mapping[str, tuple[float, float]]


def layout(data: GraphData, sizes: _Sizes) -> dict[str, tuple[float, float]]:
    """A position for every node.

    Columns by longest path from the inputs, place holders for wires that pass columns, order by barycentre (Sugiyama
    et al. 1981, doi:10.1109/TSMC.1981.4308636), heights by least squares over the wires.

    Args:
        data: the document; the nodes of a cycle are placed as if its last wire were not there.
        sizes: width and height of each node.

    Returns:
        Upper left corner by node id.
    """
    before: dict[str, list[str]] = {n.id: [] for n in data.nodes}
    after: dict[str, list[str]] = {n.id: [] for n in data.nodes}
    order = topological(data)
    place = {node: i for i, node in enumerate(order)}
    wires = [(w.source, w.target) for w in data.wires if w.source in place and w.target in place]
    wires = [(a, b) for a, b in dict.fromkeys(wires) if place[a] < place[b]]
    depth = dict.fromkeys(order, 0)
    for source, target in sorted(wires, key=lambda w: place[w[0]]):
        depth[target] = max(depth[target], depth[source] + 1)
    columns: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    room = dict(sizes)
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
    for node in order:
        columns[depth[node]].append(node)
    middle = _heights(columns, before, after, room, set(order))
    positions: dict[str, tuple[float, float]] = {}
    x = 0.0
    for names in columns:
        for node in names:
            if node in place:
                positions[node] = (round(x), round(middle[node] - room[node][1] / 2))
        x += max(room[n][0] for n in names) + GAP_X
    return positions


def _heights(columns: list[list[str]], before: _Near, after: _Near, sizes: _Sizes, nodes: set[str]) -> dict[str, float]:
    """The height of each middle: sweeps that order the columns, then sweeps that level the wires."""
    middle: dict[str, float] = {}
    for column in columns:
        _stack(column, dict.fromkeys(column, (0.0, 1.0)), sizes, middle)

    def wish(name: str, *sides: _Near) -> tuple[float, float]:
        """Where the wires of a node would have it, and how strongly."""
        total = strength = 0.0
        for other in (o for side in sides for o in side[name]):
            lanes = (name not in nodes) + (other not in nodes)
            weight = (1.0, _ENTRY, _STRAIGHT)[lanes]
            total += weight * middle[other]
            strength += weight
        return (total / strength, strength) if strength else (middle[name], 0.01)

    for sweep in range(2 * SWEEPS):
        forward = sweep % 2 == 0
        sides = (before if forward else after,) if sweep < SWEEPS else (before, after)
        for column in columns if forward else reversed(columns):
            wishes = {n: wish(n, *sides) for n in column}
            if sweep < SWEEPS - 2:
                column.sort(key=lambda n: wishes[n][0])
            _stack(column, wishes, sizes, middle)
    return middle


def _stack(
    column: list[str], wishes: Mapping[str, tuple[float, float]], sizes: _Sizes, middle: dict[str, float]
) -> None:
    """Puts a column, in its order, as near to the wishes as its heights allow: isotonic regression by pooling."""
    blocks: list[tuple[float, float, list[str]]] = []  # mean of the wishes less the offsets, strength, names
    offset, offsets, last = 0.0, {}, ""
    for name in column:
        if last:
            offset += (sizes[last][1] + sizes[name][1]) / 2 + GAP_Y
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
