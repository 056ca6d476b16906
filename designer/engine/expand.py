"""Looking inside a composite: the nodes and wires it stands for, with what flows between them."""

from __future__ import annotations

from typing import Any

from designer.engine.propagate import Cache, propagate
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from designer.graph.view import topological
from nodes.sdk.build import resolve
from nodes.sdk.builder import Composite, Ref
from nodes.sdk.discover import library


def expand_node(data: GraphData, node_id: str, cache: Cache | None = None) -> dict[str, Any]:
    """The inside of a composite node.

    Returns:
        `nodes`: name, component and parameters of each; `wires`: source, source_port, target, target_port with names
        for ids and an empty source for the composite's own inputs; `outputs`: [node, port] by output name.

    Raises:
        NetwrightError: when the node is no composite, or does not run yet.
    """
    registry = library()
    node = data.node(node_id)
    declared = registry.declared.get(node.component) if node is not None else None
    if node is None or not isinstance(declared, Composite):
        raise NetwrightError(f"{node.title if node else node_id} is no composite, so there is nothing to open.")
    results = propagate(data, registry, cache).nodes
    arriving = {}
    for port, wire in data.inputs_of(node_id).items():
        source = results[wire.source]
        if source.status != "ok":
            raise NetwrightError(
                f"{node.title} can be opened once its inputs have shapes. Mend the problems before it."
            )
        arriving[port] = source.outputs[wire.source_port]
    inputs = [n for n in topological(data) if registry.catalogue[data.node(n).component].role == "input"]  # type: ignore[union-attr]
    image = next(iter(results[inputs[0]].outputs.values())) if inputs else None
    size = (image.shape[-2], image.shape[-1]) if image is not None else None  # type: ignore[union-attr]
    inside = declared.expand(list(arriving), resolve(declared.__component__, node.params, arriving, size))
    wires = [_wire(ref, inner.name, port) for inner in inside.nodes for port, ref in inner.inputs.items()]
    return {
        "nodes": [
            {"name": n.name, "component": n.spec.id, "params": {**n.spec.defaults(), **n.params}} for n in inside.nodes
        ],
        "wires": wires,
        "outputs": {name: [ref.node, ref.port] for name, ref in inside.outputs.items()},
    }


def _wire(ref: Ref, target: str, port: str) -> dict[str, str]:
    return {"source": ref.node, "source_port": ref.port, "target": target, "target_port": port}
