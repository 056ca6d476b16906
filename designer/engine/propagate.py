"""Shapes as you draw: every node is built and run on the meta device, and only what an edit touched is run again."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from designer.engine.analysis import Cost, run
from designer.engine.checks import check_pyramid, explain, explain_torch
from designer.engine.design import design_problems
from designer.graph.model import GraphData, Node
from designer.graph.problems import Problem
from designer.graph.validate import validate
from designer.graph.view import bypass, topological
from nodes.sdk.build import Info, TensorInfo, bind_dims, resolve, shape_text
from nodes.sdk.discover import Registry, library
from nodes.sdk.errors import BadInput, ComponentError
from nodes.sdk.spec import ComponentSpec


class Cancelled(Exception):
    """A newer request made this one useless."""


@dataclass
class NodeResult:
    """What is known of one node. `status` is `ok`, `error`, or `waiting` when an error upstream keeps it from running."""

    status: str
    outputs: dict[str, Info] = field(default_factory=dict)
    params: int = 0
    trainable: int = 0
    macs: int = 0
    activation_bytes: int = 0
    derived: dict[str, Any] = field(default_factory=dict)
    ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        plain = {k: v for k, v in vars(self).items() if k != "outputs"}
        return {**plain, "outputs": {name: info.to_json() for name, info in self.outputs.items()}}


@dataclass
class Propagation:
    """Results of all nodes, all problems, totals over the nodes that run, and how many nodes had to be run."""

    nodes: dict[str, NodeResult]
    problems: list[Problem]
    ran: int
    ms: float

    @property
    def totals(self) -> dict[str, int]:
        done = [n for n in self.nodes.values() if n.status == "ok"]
        return {key: sum(getattr(n, key) for n in done) for key in ("params", "trainable", "macs", "activation_bytes")}

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]

    def to_json(self) -> dict[str, Any]:
        return {
            "nodes": {node: result.to_json() for node, result in self.nodes.items()},
            "problems": [p.to_json() for p in self.problems],
            "totals": self.totals,
            "ran": self.ran,
            "ms": round(self.ms, 2),
        }


class Cache:
    """Results by (component, parameters, what arrives, image size); the least recently used ones are dropped."""

    def __init__(self, largest: int = 20_000) -> None:
        self._results: OrderedDict[Any, NodeResult | Problem] = OrderedDict()
        self._largest = largest

    def get(self, key: Any) -> NodeResult | Problem | None:
        if key in self._results:
            self._results.move_to_end(key)
        return self._results.get(key)

    def put(self, key: Any, result: NodeResult | Problem) -> None:
        self._results[key] = result
        if len(self._results) > self._largest:
            self._results.popitem(last=False)


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
        cancelled: asked before each node.

    Raises:
        Cancelled: when `cancelled` said so.
    """
    started = time.perf_counter()
    registry = registry or library()
    cache = cache or Cache()
    problems = validate(data, registry.catalogue)
    live = bypass(data, registry.catalogue)
    walk = _Walk(live, registry, cache, {p.node for p in problems if p.severity == "error" and p.node})
    for node_id in topological(live):
        if cancelled():
            raise Cancelled
        walk.visit(node_id)
    nodes = walk.results
    for node in data.nodes:
        nodes.setdefault(node.id, NodeResult("ok"))  # bypassed: it does nothing and costs nothing
    problems += walk.problems
    problems += design_problems(live, registry.catalogue, nodes, walk.image_size)
    return Propagation(nodes, problems, walk.ran, (time.perf_counter() - started) * 1e3)


class _Walk:
    """One pass over a document in topological order."""

    def __init__(self, data: GraphData, registry: Registry, cache: Cache, faulty: set[str]) -> None:
        self.data, self.registry, self.cache, self.faulty = data, registry, cache, faulty
        self.nodes = {n.id: n for n in data.nodes}
        self.wires: dict[str, dict[str, Any]] = {n: {} for n in self.nodes}
        for wire in data.wires:
            if wire.target in self.wires:
                self.wires[wire.target][wire.target_port] = wire
        self.results: dict[str, NodeResult] = {}
        self.problems: list[Problem] = []
        self.ran = 0
        self.image_size = self._image_size()

    def _image_size(self) -> tuple[int, int] | None:
        for node in self.data.nodes:
            spec = self.registry.catalogue.get(node.component)
            if spec is not None and spec.role == "input":
                params = {**spec.defaults(), **node.params}
                height, width = params.get("height"), params.get("width")
                if isinstance(height, int) and isinstance(width, int):
                    return height, width
        return None

    def visit(self, node_id: str) -> None:
        node = self.nodes[node_id]
        spec = self.registry.catalogue.get(node.component)
        if node_id in self.faulty or spec is None:
            self.results[node_id] = NodeResult("error")
            return
        inputs = self._arriving(node_id)
        if inputs is None:
            self.results[node_id] = NodeResult("waiting")
            return
        key = self._key(node, spec, inputs)
        result = self.cache.get(key)
        if not isinstance(result, NodeResult):
            result = self._run(node, spec, inputs)
            if result.status == "ok":
                self.cache.put(key, result)
        self.results[node_id] = result

    def _arriving(self, node_id: str) -> dict[str, Info] | None:
        """What arrives at each wired port; None while something upstream does not run."""
        inputs: dict[str, Info] = {}
        for port, wire in self.wires[node_id].items():
            source = self.results.get(wire.source)
            if source is None or source.status != "ok" or wire.source_port not in source.outputs:
                return None
            inputs[port] = source.outputs[wire.source_port]
        return inputs

    def _key(self, node: Node, spec: ComponentSpec, inputs: Mapping[str, Info]) -> Any:
        # A composite may hold a node that needs the image size, a leaf says so itself.
        sized = spec.composite or any(p.derived.startswith("stride:") for p in spec.params)
        params = json.dumps(node.params, sort_keys=True, default=str)
        return spec.id, params, tuple(sorted(inputs.items())), self.image_size if sized else None

    def _run(self, node: Node, spec: ComponentSpec, inputs: dict[str, Info]) -> NodeResult:
        started = time.perf_counter()
        self.ran += 1
        try:
            bind_dims(spec, inputs)
            check_pyramid(spec, inputs)
            with torch.device("meta"):
                module = self.registry.make(spec.id, node.params, inputs, self.image_size)
            outputs, cost = run(spec, module, inputs)
            kwargs = resolve(spec, node.params, inputs, self.image_size)
        except BadInput as error:
            self.problems.append(explain(error, node, spec, inputs, self.data))
            return NodeResult("error")
        except ComponentError as error:
            self.problems.append(Problem("error", f"{node.title}: {error}", node.id, code="component"))
            return NodeResult("error")
        except Exception as error:  # whatever torch or a user's component raises
            self.problems.append(explain_torch(error, node, spec, inputs))
            return NodeResult("error")
        if empty := next((o for o in outputs.values() if isinstance(o, TensorInfo) and 0 in o.shape), None):
            text = f"{node.title}: its output is empty ({shape_text(empty)}). The image is too small for this depth."
            self.problems.append(Problem("error", text, node.id, code="empty"))
            return NodeResult("error")
        derived = {p.name: kwargs[p.name] for p in spec.params if p.derived}
        return _result(outputs, cost, derived, (time.perf_counter() - started) * 1e3)


def _result(outputs: dict[str, Info], cost: Cost, derived: dict[str, Any], ms: float) -> NodeResult:
    return NodeResult(
        "ok", outputs, cost.params, cost.trainable, cost.macs, cost.activation_bytes, derived, round(ms, 2)
    )
