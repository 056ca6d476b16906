"""Places nodes left to right by how far they are from the inputs, with few crossings. No Qt."""

from __future__ import annotations

from collections.abc import Mapping

from designer.graph.model import GraphData
from designer.graph.view import topological

GAP_X, GAP_Y = 128.0, 36.0
LANE = 10.0
SWEEPS = 16
"""Passes that order each column by its neighbours; more change nothing visible on networks of 300 nodes."""


def layout(data: GraphData, sizes: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """A position for every node.

    Columns by longest path from the inputs, rows by the barycentre of the neighbours (Sugiyama et al. 1981).

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
    for wire in data.wires:
        if wire.source in place and wire.target in place and place[wire.source] < place[wire.target]:
            before[wire.target].append(wire.source)
            after[wire.source].append(wire.target)
    depth: dict[str, int] = {}
    for node in order:
        depth[node] = 1 + max((depth[p] for p in before[node]), default=-1)
    columns: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for node in order:
        columns[depth[node]].append(node)
    room = dict(sizes)
    for node in order:
        for target in list(after[node]):
            _lead_past(node, target, depth, columns, before, after, room)
    middle = _rows(columns, before, after, room)
    positions: dict[str, tuple[float, float]] = {}
    x = 0.0
    for column in columns:
        for node in column:
            if node in sizes:
                positions[node] = (round(x), round(middle[node] - sizes[node][1] / 2))
        x += max(room[n][0] for n in column) + GAP_X
    return positions


def _lead_past(
    node: str, target: str, depth: dict[str, int], columns: list[list[str]], before: dict[str, list[str]],
    after: dict[str, list[str]], room: dict[str, tuple[float, float]],
) -> None:  # fmt: skip
    """Keeps a lane free for a wire that passes over columns: a place holder in each of them."""
    last = node
    for column in range(depth[node] + 1, depth[target]):
        holder = f"{node} -> {target} @ {column}"
        columns[column].append(holder)
        room[holder] = (0.0, LANE)
        before[holder], after[holder] = [last], []
        after[last] = [holder if n == target else n for n in after[last]] if last == node else [holder]
        last = holder
    if last != node:
        after[last] = [target]
        before[target] = [last if n == node else n for n in before[target]]


def _rows(
    columns: list[list[str]],
    before: Mapping[str, list[str]],
    after: Mapping[str, list[str]],
    sizes: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """The height of each node's middle, after sweeping to and fro over the columns."""
    middle: dict[str, float] = {}
    for column in columns:
        _stack(column, {n: float(i) for i, n in enumerate(column)}, sizes, middle)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            near = before if forward else after
            wanted = {n: _mean([middle[m] for m in near[n]], middle[n]) for n in column}
            column.sort(key=lambda n: wanted[n])
            _stack(column, wanted, sizes, middle)
    return middle


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _stack(
    column: list[str], wanted: Mapping[str, float], sizes: Mapping[str, tuple[float, float]], middle: dict[str, float]
) -> None:
    """Puts nodes at their wanted heights, pushed apart where they would overlap, centred on the mean of the wishes."""
    y = float("-inf")
    for node in column:
        height = sizes[node][1]
        y = max(y, wanted[node] - height / 2)
        middle[node] = y + height / 2
        y += height + GAP_Y
    shift = _mean([wanted[n] for n in column], 0.0) - _mean([middle[n] for n in column], 0.0)
    for node in column:
        middle[node] += shift
