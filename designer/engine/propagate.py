"""Shapes as you draw: every node is run on the meta device in order, and only what an edit touched is run again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from designer.engine.advice import Design, advise
from designer.engine.checks import explain
from designer.engine.design import design_problems
from designer.engine.drawn import with_composites
from designer.engine.evaluate import Cache, Evaluator, Outcome
from designer.engine.fixes import Case, image_sides
from designer.engine.protocol import Cancelled
from designer.graph.model import GraphData, Node, Wire
from designer.graph.problems import Fix, Problem
from designer.graph.validate import validate
from designer.graph.view import bypass, topological
from nodes.sdk.build import ImageSize, Info, TensorInfo
from nodes.sdk.discover import Registry, library

__all__ = ["Cache", "Cancelled", "NodeResult", "Propagation", "propagate"]


@dataclass(frozen=True)
class NodeResult:
    """What is known of one node.

    `status` is `ok`, `error`, or `waiting` when something upstream keeps it from running. `trainable` is 0 for a frozen
    node. `derived` are the parameters that the shapes decided. `ms` is what it took when it was last run.
    """

    status: str
    outputs: Mapping[str, Info] = field(default_factory=dict)
    params: int = 0
    trainable: int = 0
    deployed: int = 0
    macs: int = 0
    activation_bytes: int = 0
    batch_norms: int = 0
    derived: Mapping[str, Any] = field(default_factory=dict)
    ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        plain = {k: v for k, v in vars(self).items() if k != "outputs"}
        return {**plain, "outputs": {name: info.to_json() for name, info in self.outputs.items()}}


@dataclass(frozen=True)
class Propagation:
    """The answer about a document.

    Attributes:
        nodes: a result for every node, by id.
        problems: all of them: structure, shapes, then the design as a whole.
        ran: how many components had to be run, parts of composites included; 0 when nothing that matters changed.
        image_size: height and width of the image input in pixels, if there is one.
        ms: time taken.
    """

    nodes: dict[str, NodeResult]
    problems: list[Problem]
    ran: int
    image_size: ImageSize | None
    ms: float

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the nodes that run; see `analysis.Cost` for what is counted."""
        done = [n for n in self.nodes.values() if n.status == "ok"]
        return {
            key: sum(getattr(n, key) for n in done)
            for key in ("params", "trainable", "deployed", "macs", "activation_bytes")
        }

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]

    def to_json(self) -> dict[str, Any]:
        return {
            "nodes": {node: result.to_json() for node, result in self.nodes.items()},
            "problems": [p.to_json() for p in self.problems],
            "totals": self.totals,
            "image_size": self.image_size,
            "ran": self.ran,
            "ms": round(self.ms, 2),
        }


def propagate(
    data: GraphData,
    registry: Registry | None = None,
    cache: Cache | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Propagation:
    """Shapes, costs and problems of a document.

    Args:
        data: the document; it may be wrong in any way that can be drawn.
        registry: the components; the library by default.
        cache: keep one between calls, so that an edit costs only what it touched.
        cancelled: asked before each component is run.

    Raises:
        Cancelled: when `cancelled` said so.
    """
    started = time.perf_counter()
    registry = with_composites(data, registry or library())
    live = bypass(data, registry.catalogue)
    problems = validate(live, registry.catalogue)
    faulty = {p.node for p in problems if p.severity == "error" and p.node}
    walk = _Walk(live, registry, Evaluator(cache if cache is not None else Cache(), cancelled), faulty)
    for node_id in topological(live):
        walk.visit(node_id)
    walk.results.update(_bypassed(data, live, walk.results))
    problems += walk.problems()
    problems += design_problems(live, registry.catalogue, walk.results, walk.image_size)
    if not any(p.severity == "error" for p in problems):
        problems += advise(Design(live, registry.catalogue, walk.results, walk.image_size))
    results = {node.id: walk.results[node.id] for node in data.nodes}
    taken = (time.perf_counter() - started) * 1e3
    return Propagation(results, problems, walk.evaluate.ran, walk.image_size, taken)


def _bypassed(data: GraphData, live: GraphData, results: Mapping[str, NodeResult]) -> dict[str, NodeResult]:
    """Results of disabled nodes: they cost nothing, and their outputs are what passes through."""
    passing: dict[str, dict[str, Info]] = {node.id: {} for node in data.nodes if node.disabled}
    rewired = {wire.id: wire for wire in live.wires} if passing else {}
    for wire in data.wires:
        origin = rewired.get(wire.id)
        if wire.source in passing and origin is not None and origin.source in results:
            info = results[origin.source].outputs.get(origin.source_port)
            if info is not None:
                passing[wire.source][wire.source_port] = info
    return {node_id: NodeResult("ok", outputs) for node_id, outputs in passing.items()}


class _Walk:
    """One pass over a document in topological order."""

    def __init__(self, data: GraphData, registry: Registry, evaluate: Evaluator, faulty: Iterable[str]) -> None:
        self.data, self.registry, self.evaluate = data, registry, evaluate
        self.nodes = {n.id: n for n in data.nodes}
        self.wires: dict[str, dict[str, Wire]] = {n: {} for n in self.nodes}
        for wire in data.wires:
            if wire.target in self.wires:
                self.wires[wire.target][wire.target_port] = wire
        self.faulty = set(faulty)
        self.results: dict[str, NodeResult] = {}
        self.failed: list[tuple[Node, dict[str, Info], Outcome]] = []
        self.empty: list[Wire] = []  # from ports that give nothing with their node's settings
        self.image_size = self._image_size()

    def _image_size(self) -> ImageSize | None:
        for node in self.data.nodes:
            spec = self.registry.catalogue.get(node.component)
            if spec is not None and spec.role == "input" and (sides := image_sides(node)) is not None:
                return sides
        return None

    def visit(self, node_id: str) -> None:
        node = self.nodes[node_id]
        if node_id in self.faulty or node.component not in self.registry.catalogue:
            self.results[node_id] = NodeResult("error")
            return
        inputs = self._arriving(node_id)
        if inputs is None:
            self.results[node_id] = NodeResult("waiting")
            return
        outcome = self.evaluate(self.registry[node.component], node.params, inputs, self.image_size)
        if outcome.failure is not None:
            self.failed.append((node, inputs, outcome))
            self.results[node_id] = NodeResult("error")
            return
        cost = outcome.cost
        self.results[node_id] = NodeResult(
            "ok", outcome.outputs, cost.params, 0 if node.frozen else cost.trainable, cost.deployed, cost.macs,
            cost.activation_bytes, cost.batch_norms, outcome.derived, round(outcome.ms, 3),
        )  # fmt: skip

    def _arriving(self, node_id: str) -> dict[str, Info] | None:
        """What arrives at each wired port; None while something upstream does not run."""
        inputs: dict[str, Info] = {}
        for port, wire in self.wires[node_id].items():
            source = self.results.get(wire.source)
            if source is None or wire.source_port not in source.outputs:
                if source is not None and source.status == "ok":
                    self.empty.append(wire)
                return None
            inputs[port] = source.outputs[wire.source_port]
        return inputs

    def problems(self) -> list[Problem]:
        """A problem for each node that failed, explained once all shapes are known."""
        strides = self._strides()
        found = [self._gives_nothing(wire) for wire in self.empty]
        for node, inputs, outcome in self.failed:
            spec, failure = self.registry.catalogue[node.component], outcome.failure
            assert failure is not None
            wires = self.wires[node.id]
            found.append(explain(Case(node, spec, inputs, wires, failure, self.data, strides, self._attempt)))
        return found

    def _gives_nothing(self, wire: Wire) -> Problem:
        source, target = self.nodes[wire.source], self.nodes[wire.target]
        given = list(self.results[wire.source].outputs)
        message = (
            f"{target.title}: {source.title} gives nothing at {wire.source_port} with its settings; "
            f"it gives {', '.join(given)}. Wire one of those."
        )
        edit = {"op": "connect", "source": source.id, "target": target.id, "target_port": wire.target_port}
        fixes = tuple(Fix(f"Wire {port} instead", ({**edit, "source_port": port},)) for port in given[:3])
        return Problem("error", message, target.id, wire.target_port, "empty", fixes)

    def _attempt(self, component: str, params: Mapping[str, Any], inputs: Mapping[str, Info]) -> Outcome:
        """A trial of a quick fix; it does not count as run."""
        if component not in self.registry.catalogue:
            return Outcome(failure=self.failed[0][2].failure)
        ran = self.evaluate.ran
        outcome = self.evaluate(self.registry[component], params, inputs, self.image_size)
        self.evaluate.ran = ran
        return outcome

    def _strides(self) -> tuple[int, ...]:
        """Image pixels per cell of the maps in the document, as powers of two up to 64 (level 6 of a pyramid)."""
        if self.image_size is None:
            return ()
        infos = {info for r in self.results.values() for info in r.outputs.values() if isinstance(info, TensorInfo)}
        exact = {self.image_size[0] / i.shape[-2] for i in infos if i.kind == "map"}
        return tuple(s for s in (1, 2, 4, 8, 16, 32, 64) if any(s / 1.42 < e < s * 1.42 for e in exact))
