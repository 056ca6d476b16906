"""The document as a networkx graph, and as the graph that runs once bypassed nodes are taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from designer.graph.model import GraphData, Wire

if TYPE_CHECKING:
    import networkx as nx

    from nodes.sdk.spec import Catalogue


def to_networkx(data: GraphData) -> nx.MultiDiGraph:
    """Nodes by id with their `node`, edges by wire id with their `wire`. Dangling wires are left out."""
    import networkx as nx

    graph: nx.MultiDiGraph = nx.MultiDiGraph()
    for node in data.nodes:
        graph.add_node(node.id, node=node)
    for wire in data.wires:
        if wire.source in graph and wire.target in graph:
            graph.add_edge(wire.source, wire.target, key=wire.id, wire=wire)
    return graph


def topological(data: GraphData) -> list[str]:
    """Node ids in the order they run, ties in document order; the nodes of a cycle come last."""
    waiting = {node.id: 0 for node in data.nodes}
    following: dict[str, list[str]] = {node.id: [] for node in data.nodes}
    for wire in data.wires:
        if wire.source in waiting and wire.target in waiting:
            waiting[wire.target] += 1
            following[wire.source].append(wire.target)
    ready = [node for node, count in waiting.items() if count == 0]
    order: list[str] = []
    for node in ready:  # grows while it is walked
        order.append(node)
        for target in following[node]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    placed = set(order)
    return order + [node for node in waiting if node not in placed]


def bypass(data: GraphData, catalogue: Catalogue | None) -> GraphData:
    """The same document without its disabled nodes: what arrives at a disabled node's first input goes on in its place.

    With a catalogue, the first input of the same kind as the output is taken, so that a bypass never changes the kind.
    """
    disabled = {node.id for node in data.nodes if node.disabled}
    if not disabled:
        return data
    through: dict[tuple[str, str], Wire | None] = {}

    def origin(wire: Wire) -> Wire | None:
        seen: set[str] = set()
        found: Wire | None = wire
        while found is not None and found.source in disabled:
            if found.source in seen:
                return None
            seen.add(found.source)
            key = (found.source, found.source_port)
            if key not in through:
                through[key] = _passed(data, catalogue, *key)
            found = through[key]
        return found

    wires = []
    for wire in data.wires:
        if wire.target in disabled:
            continue
        start = origin(wire)
        if start is not None:
            wires.append(wire.model_copy(update={"source": start.source, "source_port": start.source_port}))
    nodes = [node for node in data.nodes if node.id not in disabled]
    return data.model_copy(update={"nodes": nodes, "wires": wires})


def _passed(data: GraphData, catalogue: Catalogue | None, node_id: str, port: str) -> Wire | None:
    arriving = data.inputs_of(node_id)
    node = data.node(node_id)
    spec = catalogue.get(node.component) if catalogue is not None and node is not None else None
    if spec is None:
        return next(iter(arriving.values()), None)
    output = spec.output(port)
    for name in sorted(arriving, key=lambda n: [p.name for p in spec.inputs if spec.input(n) is p] or ["~"]):
        entered = spec.input(name)
        if output is not None and entered is not None and entered.kind == output.kind:
            return arriving[name]
    return None
