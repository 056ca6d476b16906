"""The receptive field of every map of a document: each component is run on the meta device, and the reach of its
tensors is followed from operation to operation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from designer.engine.drawn import with_composites
from designer.engine.evaluate import Cache, Evaluator
from designer.engine.operations import (
    PRODUCTS,
    RULES,
    UNSURE,
    WHOLE,
    Dims,
    Followed,
    concatenated,
    lost,
    pointwise,
    product,
    tensors,
    union,
)
from designer.engine.protocol import Cancelled
from designer.engine.reach import Reach, join
from designer.graph.model import GraphData
from designer.graph.view import bypass, topological
from nodes.sdk.build import ImageSize, Info, TensorInfo, call_order, in_port_order, resolve
from nodes.sdk.builder import Composite, Ref, spec_of
from nodes.sdk.discover import Registry, library

_Arriving = Mapping[str, tuple[Info, Reach | None]]


def reaches(
    data: GraphData,
    node: str = "",
    registry: Registry | None = None,
    cache: Cache | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, dict[str, Reach]]:
    """The reach of each output, by node and port; nodes that do not run, and what sees no image, have none.

    Norms count as what they do to each cell: that a group norm looks at a whole map is left out, as is usual.

    Args:
        data: the document.
        node: only this one and those before it are looked at; "" for all.
        registry: the components; the library by default.
        cache: one that `propagate` filled makes this faster.
        cancelled: asked before each component.

    Raises:
        Cancelled: when `cancelled` said so.
    """
    registry = with_composites(data, registry or library())
    live = bypass(data, registry.catalogue)
    walk = _Walk(Evaluator(cache if cache is not None else Cache(), cancelled), registry, live)
    wanted = _before(live, node) if node else {n.id for n in live.nodes}
    for node_id in (n for n in topological(live) if n in wanted):
        walk.visit(node_id)
    return {node: {port: reach for port, (_, reach) in ports.items() if reach} for node, ports in walk.found.items()}


def _before(data: GraphData, node: str) -> set[str]:
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at not in seen:
            seen.add(at)
            waiting += [w.source for w in data.wires if w.target == at]
    return seen


class _Walk:
    """One pass over a document."""

    def __init__(self, evaluate: Evaluator, registry: Registry, data: GraphData) -> None:
        self.evaluate, self.registry, self.data = evaluate, registry, data
        self.found: dict[str, dict[str, tuple[Info, Reach | None]]] = {}
        self.image_size: ImageSize | None = None

    def visit(self, node_id: str) -> None:
        node = self.data.node(node_id)
        if node is None or node.component not in self.registry.catalogue:
            return
        arriving: dict[str, tuple[Info, Reach | None]] = {}
        for port, wire in self.data.inputs_of(node_id).items():
            given = self.found.get(wire.source, {}).get(wire.source_port)
            if given is None:
                return
            arriving[port] = given
        declared = self.registry[node.component]
        self.found[node_id] = self.outputs(declared, node.params, arriving)
        if spec_of(declared).role == "input":
            for port, (info, _) in self.found[node_id].items():
                if isinstance(info, TensorInfo) and info.kind == "map":
                    self.image_size = (info.shape[-2], info.shape[-1])
                    self.found[node_id][port] = info, Reach()

    def outputs(
        self, declared: Any, params: Mapping[str, Any], arriving: _Arriving
    ) -> dict[str, tuple[Info, Reach | None]]:
        """What a component gives; empty where it does not run."""
        infos = {port: info for port, (info, _) in arriving.items()}
        outcome = self.evaluate(declared, params, infos, self.image_size)
        if outcome.failure is not None:
            return {}
        known = {port: reach for port, (_, reach) in arriving.items() if reach is not None}
        if not known:
            return {port: (info, None) for port, info in outcome.outputs.items()}
        if self.evaluate.cancelled():
            raise Cancelled
        cache = self.evaluate.cache.reaches
        key = declared, json.dumps(params, sort_keys=True, default=repr), tuple(arriving.items()), self.image_size
        if (made := cache.get(key)) is None:
            made = self._followed(declared, params, arriving, outcome.outputs)
            cache.put(key, made)
        return dict(made)

    def _followed(
        self, declared: Any, params: Mapping[str, Any], arriving: _Arriving, outputs: Mapping[str, Info]
    ) -> dict[str, tuple[Info, Reach | None]]:
        infos = {port: info for port, (info, _) in arriving.items()}
        known = {port: reach for port, (_, reach) in arriving.items() if reach is not None}
        spec = spec_of(declared)
        kwargs = resolve(spec, params, infos, self.image_size)
        if isinstance(declared, Composite):
            return self._parts(declared, kwargs, arriving)
        module, _ = self.evaluate.module(declared, params, kwargs, infos, self.image_size)
        order = call_order(spec, infos)
        given = [infos[name].meta() for name in order]
        with torch.no_grad(), _Follow() as follow:
            for name, value in zip(order, given, strict=True):
                if name in known and isinstance(value, Tensor):
                    follow.begin(value, known[name], infos[name])
            try:
                returned = module(*given)
            except Exception:  # somebody's component may do what is not followed, such as look at values
                joined = join(known.values())
                unsure = replace(joined, exact=False) if joined is not None else None
                return {port: (info, unsure) for port, info in outputs.items()}
            values = (returned,) if len(spec.outputs) == 1 else tuple(returned)
            seen = {p.name: follow.of(v) for p, v in zip(spec.outputs, values, strict=True)}
        return {port: (info, seen.get(port)) for port, info in outputs.items()}

    def _parts(
        self, declared: Composite, kwargs: Mapping[str, Any], arriving: _Arriving
    ) -> dict[str, tuple[Info, Reach | None]]:
        subgraph = declared.expand(in_port_order(arriving), kwargs)
        made = {Ref("", port): arriving[port] for port in subgraph.inputs}
        for part in subgraph.nodes:
            outputs = self.outputs(part.declared, part.params, {p: made[ref] for p, ref in part.inputs.items()})
            made.update({Ref(part.name, port): value for port, value in outputs.items()})
        return {name: made[ref] for name, ref in subgraph.outputs.items() if ref in made}


class _Follow(TorchDispatchMode):
    """Follows the reach of tensors through the operations of torch."""

    def __init__(self) -> None:
        super().__init__()
        self._known: Any = WeakTensorKeyDictionary()

    def begin(self, tensor: Tensor, reach: Reach, info: Info) -> None:
        """This tensor arrives with this reach."""
        is_map = isinstance(info, TensorInfo) and info.kind == "map"
        sizes = tuple(tensor.shape)
        dims: Dims = tuple((("", size),) for size in sizes)
        if is_map:
            dims = (*dims[:2], (("h", sizes[2]),), (("w", sizes[3]),))
        self._known[tensor] = Followed(reach, dims if is_map else None)

    def of(self, value: Any) -> Reach | None:
        """What is known of a component's output; of several tensors, of all together."""
        if isinstance(value, Tensor):
            found = self._known.get(value)
            return found.reach if found is not None else None
        if isinstance(value, (tuple, list)):
            return join(reach for item in value if (reach := self.of(item)) is not None)
        return None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        inputs = [self._known[t] for t in tensors(args) if t in self._known]
        if inputs:
            results = tensors(out)
            for result in results:
                self._known[result] = self._after(func.overloadpacket.__name__, args, inputs, result)
        return out

    def _after(self, name: str, args: Any, inputs: list[Followed], out: Tensor) -> Followed:
        first, shape = inputs[0], tuple(out.shape)
        if (rule := RULES.get(name)) is not None and args and isinstance(args[0], Tensor) and args[0] in self._known:
            return rule(first, args, shape)
        if name == "cat":
            return concatenated(inputs, args[1] if len(args) > 1 else 0, shape)
        if name in UNSURE:
            return lost(Followed(union(inputs), None))
        if name in WHOLE or (name in PRODUCTS and len(inputs) > 1):
            return Followed(replace(union(inputs), whole=True), None)
        if name in PRODUCTS:
            return product(first, name, args, shape)
        return pointwise(inputs, shape, name)
