"""Looking inside a composite: the nodes and wires it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from designer.engine.drawn import with_composites
from designer.engine.propagate import Cache, propagate
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData, Node
from designer.graph.view import bypass
from nodes.sdk.build import Info, resolve
from nodes.sdk.builder import Composite, Ref
from nodes.sdk.discover import Registry, library
from nodes.sdk.errors import BadInput
from nodes.sdk.spec import ComponentSpec


def expand_node(
    data: GraphData, node_id: str, cache: Cache | None = None, registry: Registry | None = None
) -> dict[str, Any]:
    """The inside of a composite node.

    Returns:
        `nodes`: name, component and all parameters of each, in the order they run; `wires`: source, source_port,
        target, target_port with names for ids and an empty source for the composite's own inputs; `outputs`:
        [node, port] by output name.

    Raises:
        NetwrightError: when the node is no composite, or its parameters or inputs do not fit.
    """
    registry = with_composites(data, registry or library())
    node = data.node(node_id)
    if node is None:
        raise NetwrightError(f"There is no node {node_id!r} in {data.name!r}.")
    declared = registry[node.component] if node.component in registry.catalogue else None
    if not isinstance(declared, Composite):
        raise NetwrightError(f"{node.title} is no composite, so there is nothing to open.")
    spec = declared.__component__
    try:
        wired, kwargs = _arguments(data, node, spec, cache, registry)
        inside = declared.expand(wired, kwargs)
    except BadInput as error:
        raise NetwrightError(f"{node.title} cannot be opened: {error.message} Mend its problems first.") from None
    return {
        "nodes": [
            {"name": n.name, "component": n.spec.id, "params": {**n.spec.defaults(), **n.params}} for n in inside.nodes
        ],
        "wires": [_wire(ref, inner.name, port) for inner in inside.nodes for port, ref in inner.inputs.items()],
        "outputs": {name: [ref.node, ref.port] for name, ref in inside.outputs.items()},
    }


def _arguments(
    data: GraphData, node: Node, spec: ComponentSpec, cache: Cache | None, registry: Registry
) -> tuple[list[str], Mapping[str, Any]]:
    """Wired ports and parameters. Shapes are asked for only when a parameter follows from them."""
    if not any(p.derived for p in spec.params):
        wrong = [p.check(node.params[p.name]) for p in spec.settings if p.name in node.params]
        if text := next((w for w in wrong if w), None):
            raise BadInput(text)
        wired = list(data.inputs_of(node.id))
        missing = [p.names()[0] for p in spec.inputs if not any(spec.input(w) is p for w in wired)]
        given = {p.name: node.params[p.name] for p in spec.settings if p.name in node.params}
        return [*wired, *missing], {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    found = propagate(data, registry, cache)
    inputs: dict[str, Info] = {}
    for wire in bypass(data, registry.catalogue).wires:
        if wire.target == node.id and wire.source_port in found.nodes[wire.source].outputs:
            inputs[wire.target_port] = found.nodes[wire.source].outputs[wire.source_port]
    return list(inputs), resolve(spec, node.params, inputs, found.image_size)


def _wire(ref: Ref, target: str, port: str) -> dict[str, str]:
    return {"source": ref.node, "source_port": ref.port, "target": target, "target_port": port}
