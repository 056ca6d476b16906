"""What composite nodes are made of, down to the components that hold the layers, with shapes and costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from designer.engine.drawn import with_composites
from designer.engine.evaluate import Cache, Evaluator, Outcome
from designer.engine.propagate import Propagation, propagate
from designer.graph.model import GraphData
from designer.graph.view import bypass
from nodes.sdk.build import ImageSize, Info, resolve
from nodes.sdk.builder import Composite, Ref
from nodes.sdk.discover import Registry, library
from nodes.sdk.spec import ComponentSpec


@dataclass(frozen=True)
class Part:
    """A component inside a composite node that is no composite itself.

    Attributes:
        path: names of the composites that lead to it and its own, outermost first, without the node's.
        spec: its component.
        outcome: its outputs and cost.
    """

    path: tuple[str, ...]
    spec: ComponentSpec
    outcome: Outcome

    def to_json(self) -> dict[str, Any]:
        cost = self.outcome.cost
        return {
            "path": list(self.path),
            "component": self.spec.id,
            "outputs": {name: info.to_json() for name, info in self.outcome.outputs.items()},
            "params": cost.params,
            "deployed": cost.deployed,
            "macs": cost.macs,
            "activation_bytes": cost.activation_bytes,
        }


def parts(
    data: GraphData,
    found: Propagation | None = None,
    registry: Registry | None = None,
    cache: Cache | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, list[Part]]:
    """The parts of each composite node that runs, in the order they run, by node id; their costs add up to its cost.

    Args:
        data: the document.
        found: what `propagate` said about it, if that is known.
        registry: the components; the library by default.
        cache: one that `propagate` filled makes this fast.
        cancelled: asked before each component.

    Raises:
        Cancelled: when `cancelled` said so.
    """
    registry = with_composites(data, registry or library())
    cache = cache if cache is not None else Cache()
    found = found or propagate(data, registry, cache, cancelled)
    evaluate = Evaluator(cache, cancelled)
    live = bypass(data, registry.catalogue)
    arriving: dict[str, dict[str, Info]] = {node.id: {} for node in live.nodes}
    for wire in live.wires:
        info = found.nodes[wire.source].outputs.get(wire.source_port)
        if info is not None:
            arriving[wire.target][wire.target_port] = info
    inside: dict[str, list[Part]] = {}
    for node in live.nodes:
        if found.nodes[node.id].status == "ok" and isinstance(declared := registry[node.component], Composite):
            inside[node.id] = list(_leaves(evaluate, declared, node.params, arriving[node.id], found.image_size))
    return inside


def _leaves(
    evaluate: Evaluator,
    declared: Composite,
    params: Mapping[str, Any],
    inputs: Mapping[str, Info],
    size: ImageSize | None,
    path: tuple[str, ...] = (),
) -> Iterator[Part]:
    subgraph = declared.expand(list(inputs), resolve(declared.__component__, params, inputs, size))
    infos = {Ref("", port): inputs[port] for port in subgraph.inputs}
    for part, arriving, outcome in evaluate.through(subgraph, infos, size):
        here = (*path, part.name)
        if isinstance(part.declared, Composite):
            yield from _leaves(evaluate, part.declared, part.params, arriving, size, here)
        else:
            yield Part(here, part.spec, outcome)
