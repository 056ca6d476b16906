"""Composites that a document holds as data, made into ones that build, count, open and export like any other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from designer.graph.drawn import missing_parts, spec_of_drawn
from designer.graph.model import Drawn, GraphData, Wire
from designer.graph.view import topological
from nodes.sdk.build import in_port_order, safe_name
from nodes.sdk.builder import Composite, Ref, Subgraph, SubNode, spec_of
from nodes.sdk.discover import Registry
from nodes.sdk.errors import BadInput
from nodes.sdk.spec import Catalogue, ComponentSpec


class DrawnComposite(Composite):
    """A composite whose parts come from data: nothing of it is run on opening.

    Args:
        drawn: the definition.
        spec: what the palette knows of it.
        declared: component of each part, by the part's id.
    """

    def __init__(self, drawn: Drawn, spec: ComponentSpec, declared: Mapping[str, Any]) -> None:
        self.drawn, self.declared = drawn, declared
        self.__component__ = spec
        self.__name__ = spec.name
        self.__doc__ = spec.summary

    def __reduce__(self) -> tuple[Any, ...]:  # type: ignore[override]
        return DrawnComposite, (self.drawn, self.__component__, self.declared)

    def __deepcopy__(self, memo: dict[int, Any]) -> DrawnComposite:
        return self  # equal parts are told by it

    def expand(self, wired: list[str], params: Mapping[str, Any]) -> Subgraph:
        """The parts in the order they run. Raises BadInput for a wire that lost an end."""
        drawn = self.drawn
        data = GraphData(nodes=drawn.nodes, wires=drawn.wires)
        names: dict[str, str] = {}
        for node in drawn.nodes:
            names[node.id] = safe_name((node.title or node.id).lower(), names.values())
        inputs: dict[str, dict[str, Ref]] = {node.id: {} for node in drawn.nodes}
        for wire in drawn.wires:
            self._check_wire(wire)
            inputs[wire.target][wire.target_port] = Ref(names[wire.source], wire.source_port)
        for entry in (e for e in drawn.inputs if e.node in inputs):
            inputs[entry.node][entry.port] = Ref("", entry.name)
        own: dict[str, dict[str, Any]] = {node.id: dict(node.params) for node in drawn.nodes}
        for exposed in drawn.params:
            if exposed.name in params and exposed.node in own:
                own[exposed.node][exposed.param] = params[exposed.name]
        nodes = {node.id: node for node in drawn.nodes}
        parts = [
            SubNode(names[i], self.declared[i], own[i], {p: inputs[i][p] for p in in_port_order(inputs[i])})
            for i in topological(data)
            if i in nodes
        ]
        outputs = {e.name: Ref(names[e.node], e.port) for e in drawn.outputs if e.node in names}
        return Subgraph(list(wired), parts, outputs)

    def _check_wire(self, wire: Wire) -> None:
        if wire.source not in self.declared or wire.target not in self.declared:
            raise BadInput(f"its wire {wire.id} ends at a part that is gone. Draw the composite anew.")


def with_composites(data: GraphData, registry: Registry) -> Registry:
    """The components that a document can use: a registry and, where there are some, its own composites."""
    if not data.composites:
        return registry
    known = Registry(dict(registry.declared), registry.broken)
    for drawn in data.composites:  # one is made of those before it
        if missing_parts(drawn, known.catalogue):
            continue
        parts = {n.id: known[n.component] for n in drawn.nodes}
        known = Registry({**known.declared, drawn.id: _made(drawn.model_dump_json(), tuple(parts.items()))}, [])
    known.broken = registry.broken
    return known


@lru_cache(maxsize=512)
def _made(text: str, parts: tuple[tuple[str, Any], ...]) -> DrawnComposite:
    """The same object for the same definition and parts, so that what was found out about it is remembered."""
    drawn = Drawn.model_validate_json(text)
    catalogue = Catalogue(spec_of(declared) for _, declared in parts)
    return DrawnComposite(drawn, spec_of_drawn(drawn, catalogue), dict(parts))
