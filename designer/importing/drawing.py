"""Operations become nodes: each finds its component, is run on the meta device for its shape, and gets its weights.

What has no component becomes a placeholder that keeps name, attributes and weights, so that nothing is lost.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from designer.engine.evaluate import Cache, Evaluator
from designer.importing.operations import Op, OpGraph
from nodes.sdk.build import TensorInfo, resolve
from nodes.sdk.discover import library
from nodes.sdk.spec import PortKind

Shape = tuple[int, ...]


class NoPlace(Exception):
    """An operation that has no component with these settings; the reason in words."""


@dataclass(frozen=True)
class Flow:
    """A value on a wire: the node that gives it, its port, and its shape, None while it is unknown.

    The batch lies along the axis `batch`; where it was laid into one axis with others, `lead` numbers of that axis
    stand before it.
    """

    node: int
    port: str
    shape: Shape | None
    batch: int = 0
    lead: int = 1

    @property
    def sizes(self) -> Shape:
        if self.shape is None:
            raise NoPlace("the shape of what arrives is not known")
        return self.shape

    @property
    def rank(self) -> int:
        return len(self.sizes)


@dataclass
class Made:
    """A node to be: `inputs` by port, `state` by the keys of its module."""

    component: str
    params: dict[str, Any]
    inputs: dict[str, Flow]
    state: dict[str, Tensor]
    title: str
    of: str
    outputs: int = 1


@dataclass
class Drawn:
    """All nodes, which of them are the outputs, and counts for the report."""

    nodes: list[Made]
    outputs: list[Flow]
    mapped: Counter[str] = field(default_factory=Counter)
    recognised: Counter[str] = field(default_factory=Counter)
    placeholders: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: dict[str, list[Op]] = field(default_factory=dict)
    """Operations that are placeholders, by the reason."""


class Drawing:
    """Draws one graph; `operations` in `layers.py` and `tensor_layers.py` call its methods."""

    def __init__(self, graph: OpGraph) -> None:
        self.graph = graph
        self.done = Drawn([], [])
        self.values: dict[str, Flow] = {}
        self.evaluate = Evaluator(Cache())
        self.image: tuple[int, int] | None = None
        self.images = next((shape[0] for shape in graph.inputs.values() if shape), 1)
        self.wanted = {*graph.outputs, *(value for op in graph.ops for value in op.inputs)}

    def run(self) -> Drawn:
        for name, shape in self.graph.inputs.items():
            self._input(name, shape)
        for op in self.graph.ops:
            self._op(op)
        for name in self.graph.outputs:
            self._output(name)
        return self.done

    # -- what the operations' functions use --------------------------------------------------------------------------

    def add(
        self,
        component: str,
        inputs: Mapping[str, Flow],
        params: Mapping[str, Any] | None = None,
        state: Mapping[str, Tensor] | None = None,
        batch: int | None = None,
    ) -> list[Flow]:
        """A node, and what comes out of it by its output ports.

        Raises:
            NoPlace: when the component does not take these settings or inputs.
        """
        spec = library().spec(component)
        given = dict(params or {})
        first = next(iter(inputs.values()))
        infos = {port: TensorInfo(f.sizes, kind=_kind(f.sizes)) for port, f in inputs.items()}
        for param in spec.settings:
            if param.name in given and (wrong := param.check(given[param.name])):
                raise NoPlace(wrong.rstrip("."))
        outcome = self.evaluate(library()[component], given, infos, self.image)
        if outcome.failure is not None:
            raise NoPlace(f"{spec.title}: {outcome.failure.error}".rstrip("."))
        if state:
            kwargs = resolve(spec, given, infos, self.image)
            module, _ = self.evaluate.module(library()[component], given, kwargs, infos, self.image)
            own = {k: v.shape for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
            if {k: v.shape for k, v in state.items()} != own:
                raise NoPlace(f"its weights do not fit a {spec.title}")
        self.done.nodes.append(
            Made(component, given, dict(inputs), dict(state or {}), spec.title, "", len(spec.outputs))
        )
        place, axis = len(self.done.nodes) - 1, first.batch if batch is None else batch
        shapes = [cast(TensorInfo, outcome.outputs[port.name]).shape for port in spec.outputs]
        return [
            Flow(place, port.name, shape, axis, first.lead) for port, shape in zip(spec.outputs, shapes, strict=True)
        ]

    # -- one by one --------------------------------------------------------------------------------------------------

    def _input(self, name: str, shape: Shape) -> None:
        if len(shape) == 4:
            channels_last = shape[1] > 4 >= shape[3] and all(
                op.kind == "Transpose" and list(op.attrs.get("perm", ())) == [0, 3, 1, 2]
                for op in self.graph.ops
                if name in op.inputs
            )
            batch, *sides = shape
            channels, height, width = (sides[2], *sides[:2]) if channels_last else sides
            params = {"channels": channels, "height": height, "width": width}
            spec = library().spec("io.image_input")
            if all(spec.param(k).check(v) is None for k, v in params.items()):  # type: ignore[union-attr]
                self.done.nodes.append(Made("io.image_input", params, {}, {}, name, name))
                self.image = self.image or (height, width)
                flow = Flow(len(self.done.nodes) - 1, "out", (batch, channels, height, width))
                self.values[name] = flow
                if channels_last:
                    self.graph.ops = [op for op in self.graph.ops if name not in op.inputs or self._skip(op, flow)]
                    self.done.notes.append("It takes images with their channels last; here they come first.")
                return
        self.done.nodes.append(Made("imported.input", {"shape": list(shape)}, {}, {}, f"Input {name}", name))
        self.done.placeholders.append("Input")
        self.done.notes.append(f"Its input {name} of {_text(shape)} is no image; a placeholder stands for it.")
        self.values[name] = Flow(len(self.done.nodes) - 1, "out", shape)

    def _skip(self, op: Op, flow: Flow) -> bool:
        self.values[op.outputs[0]] = flow
        self.done.mapped["Transpose"] += 1
        return False

    def _op(self, op: Op) -> None:
        from designer.importing.layers import OPERATIONS

        before, values = len(self.done.nodes), dict[str, Flow]()
        make = OPERATIONS.get(op.kind) if not op.domain else None
        try:
            if make is None:
                raise NoPlace("there is no component for it")
            given = make(Call(self, op))
            values = dict(zip(op.outputs, given, strict=False))
            if missing := [v for v in op.outputs if v in self.wanted and v not in values]:
                raise NoPlace(f"its output {missing[0]} is not given by the component")
        except (NoPlace, ValueError, IndexError, TypeError, RuntimeError) as error:
            # All but the first come of a file whose sizes and settings do not go together.
            reason = str(error) if isinstance(error, NoPlace) else "its sizes and settings do not go together"
            del self.done.nodes[before:]
            if op.parts:
                for part in op.parts:
                    self._op(part)
                return
            values = self._placeholder(op, reason)
        else:
            if op.parts and op.kind not in _leaf_kinds(op):
                self.done.recognised[op.kind] += 1
            elif op.kind == "Conv" and op.parts:
                self.done.recognised[_block_name(op)] += 1
            for part in _leaves(op):
                self.done.mapped[part.kind] += 1
        for made in self.done.nodes[before:]:
            made.of = op.name
        self.values.update({name: flow for name, flow in values.items() if name})

    def _placeholder(self, op: Op, reason: str) -> dict[str, Flow]:
        params: dict[str, Any] = {k: v for k, v in op.attrs.items() if _is_plain(v)}
        if op.domain:
            params["domain"] = op.domain
        state: dict[str, Tensor] = {}
        inputs: dict[str, Flow] = {}
        for place, value in enumerate(op.inputs):
            if value in self.values:
                inputs[f"xs.{len(inputs)}"] = self.values[value]
            elif (constant := self.graph.constants.get(value)) is not None:
                if constant.numel() <= 64:
                    params[f"input_{place}"] = _plain(constant)
                else:
                    state[f"input_{place}"] = constant
        word = "".join(c if c.isalnum() else "_" for c in op.kind).lower() or "operation"
        self.done.nodes.append(Made(f"imported.{word}", params, inputs, state, op.kind, op.name, len(op.outputs)))
        self.done.placeholders.append(op.kind)
        self.done.kept.setdefault(reason, []).append(op)
        place = len(self.done.nodes) - 1
        # The batch is taken to come first in what nobody here computes.
        return {
            v: Flow(place, f"out_{i}" if i else "out", self.graph.shapes.get(v))
            for i, v in enumerate(op.outputs) if v
        }  # fmt: skip

    def _output(self, name: str) -> None:
        flow = self.values.get(name)
        if flow is None:
            self.done.notes.append(f"Its output {name} depends on no input and is left out.")
            return
        used = {(f.node, f.port) for made in self.done.nodes for f in made.inputs.values()}
        feeds = any(node == flow.node for node, _ in used) or any(flow.node == o.node for o in self.done.outputs)
        # A node whose result goes on is no output, nor is one with several; one that passes it on is.
        if feeds or self.done.nodes[flow.node].outputs > 1 or not self.done.nodes[flow.node].inputs:
            self.done.nodes.append(Made("basic.identity", {}, {"x": flow}, {}, f"Output {name}", name))
            flow = replace(flow, node=len(self.done.nodes) - 1, port="out")
        self.done.outputs.append(flow)


class Call:
    """One operation at work: its inputs, attributes and how nodes are added."""

    def __init__(self, drawing: Drawing, op: Op) -> None:
        self.drawing, self.op, self.graph = drawing, op, drawing.graph
        self.add = drawing.add

    def attr(self, name: str, default: Any = None) -> Any:
        return self.op.attrs.get(name, default)

    def has(self, place: int) -> bool:
        return len(self.op.inputs) > place and bool(self.op.inputs[place])

    def const(self, place: int) -> Tensor | None:
        """The constant at an input; None where a value that depends on the image arrives, or nothing."""
        return self.graph.constants.get(self.op.inputs[place]) if self.has(place) else None

    def needs(self, place: int, what: str) -> Tensor:
        found = self.const(place)
        if found is None:
            raise NoPlace(f"its {what} depends on the image")
        return found

    def learned(self, place: int) -> bool:
        return self.op.inputs[place] in self.graph.learned

    def ints(self, name: str, place: int, default: Sequence[int] | None = None) -> list[int] | None:
        """Whole numbers that older opsets give as an attribute and newer ones as an input."""
        if self.has(place):
            return [int(v) for v in self.needs(place, name).flatten().tolist()]
        found = self.attr(name, default)
        return None if found is None else [int(v) for v in (found if isinstance(found, (list, tuple)) else [found])]

    def flow(self, place: int = 0) -> Flow:
        """What arrives at an input; a constant comes from a node of its own."""
        if not self.has(place):
            raise NoPlace(f"its input {place} is not wired")
        name = self.op.inputs[place]
        if name in self.drawing.values:
            return self.drawing.values[name]
        if name not in self.graph.constants:
            raise NoPlace(f"it takes {name}, which holds no numbers")
        return self.spread(self.graph.constants[name], self.learned(place))

    def flows(self) -> list[Flow]:
        return [self.flow(i) for i in range(len(self.op.inputs)) if self.has(i)]

    def spread(self, tensor: Tensor, learned: bool) -> Flow:
        """A constant as a value for each image; its first size is the batch's."""
        like = next((self.drawing.values[v] for v in self.op.inputs if v in self.drawing.values), None)
        if like is None or like.batch or like.lead > 1 or tensor.ndim < 2 or not tensor.is_floating_point():
            raise NoPlace("it takes numbers that do not depend on the image")
        batch = like.sizes[0]
        if tensor.shape[0] not in (1, batch) or not bool((tensor == tensor[:1]).all()):
            raise NoPlace("it takes numbers that are not the same for each image")
        params = {"sizes": list(tensor.shape[1:]), "learned": learned}
        return self.add("tensor.learned_tensor", {"like": like}, params, {"numbers": tensor[:1]})[0]

    def axis(self, value: int, flow: Flow) -> int:
        """An axis counted from 0.

        Raises:
            NoPlace: for one that is not there.
        """
        if not -flow.rank <= value < flow.rank:
            raise NoPlace(f"it has no axis {value}")
        return value % flow.rank

    def view(self, flow: Flow, shape: Sequence[int]) -> Flow:
        """The same values in another shape, the batch wherever it comes to lie."""
        shape = tuple(int(s) for s in shape)
        if shape == flow.sizes:
            return flow
        if min(shape, default=1) < 1 or math.prod(shape) != math.prod(flow.sizes):
            raise NoPlace(f"{_text(flow.sizes)} cannot become {_text(shape)}")
        before, images = math.prod(flow.sizes[: flow.batch]) * flow.lead, self.drawing.images
        leads = [math.prod(shape[:j]) for j in range(len(shape))]
        holds = [
            j for j, lead in enumerate(leads)
            if before % lead == 0 and lead * shape[j] % (before * images) == 0
        ]  # fmt: skip
        if not holds:
            raise NoPlace("it mixes the images of a batch")
        # A file written for one image leaves open where it is among axes of size 1.
        exact = [j for j in holds if leads[j] == before] or holds
        place = flow.batch if flow.batch in exact else exact[0]
        rest, lead = [*shape[:place], *shape[place + 1 :]], before // leads[place]
        if flow.rank == 4 and len(shape) == 2 and not place and not flow.batch and shape[0] == flow.sizes[0]:
            return self.add("shape.flatten", {"x": flow})[0]
        made = self.add("tensor.view", {"x": flow}, {"sizes": rest, "batch_axis": place}, batch=place)[0]
        return replace(made, lead=lead)


def _kind(shape: Shape) -> PortKind:
    kinds: dict[int, PortKind] = {4: "map", 3: "tokens", 2: "vector"}
    return kinds.get(len(shape), "any")


def _leaves(op: Op) -> list[Op]:
    return [leaf for part in op.parts for leaf in _leaves(part)] or [op]


def _leaf_kinds(op: Op) -> set[str]:
    return {leaf.kind for leaf in _leaves(op)}


def _block_name(op: Op) -> str:
    parts = [leaf.kind for leaf in op.parts]
    return "+".join("norm" if p == "BatchNormalization" else "Conv" if p == "Conv" else "activation" for p in parts)


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _plain(constant: Tensor) -> Any:
    found = constant.tolist()
    return found if _is_plain(found) else str(found)


def _text(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def as_float(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float32 else tensor.to(torch.float32)


def norm_state(call: Call, place: int) -> dict[str, Tensor]:
    """Scale, shift, mean and variance of a batch norm from this input on, by torch's names."""
    names = ("weight", "bias", "running_mean", "running_var")
    return {name: as_float(call.needs(place + i, name)) for i, name in enumerate(names)}
