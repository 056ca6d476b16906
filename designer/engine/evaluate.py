"""One component on the meta device: what comes out, what it costs, or why it cannot run. Results are remembered.

A composite is run through its parts with the same memory, so that the equal blocks of a deep backbone run once.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from designer.engine.analysis import Cost, run, weigh
from designer.engine.layers import watch
from designer.engine.protocol import Cancelled
from nodes.sdk.build import ImageSize, Info, TensorInfo, in_port_order, make, resolve, shape_text
from nodes.sdk.builder import Composite, Ref, Subgraph, SubNode, spec_of
from nodes.sdk.errors import BadInput
from nodes.sdk.spec import ComponentSpec, PortKind


@dataclass(frozen=True)
class Failure:
    """Why a component cannot run.

    Attributes:
        error: BadInput when it was found in time, ComponentError for a component that breaks its declaration, else
            what torch or the component raised. Without its traceback.
        spec: the component at fault: the one asked for, or a part of it.
        inputs: what arrived there.
        path: names of the parts that lead to it, outermost first; empty when it is the one asked for.
    """

    error: BaseException
    spec: ComponentSpec
    inputs: Mapping[str, Info]
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What is known of a component with given parameters and inputs. `ms` is what finding it out took."""

    outputs: Mapping[str, Info] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    derived: Mapping[str, Any] = field(default_factory=dict)
    ms: float = 0.0
    failure: Failure | None = None


T = TypeVar("T")


class _Recent(Generic[T]):
    """A dict that drops what was not used for longest."""

    def __init__(self, largest: int) -> None:
        self._items: OrderedDict[Any, T] = OrderedDict()
        self._largest = largest

    def get(self, key: Any) -> T | None:
        found = self._items.get(key)
        if found is not None:
            self._items.move_to_end(key)
        return found

    def put(self, key: Any, item: T) -> None:
        self._items[key] = item
        if len(self._items) > self._largest:
            self._items.popitem(last=False)


class Cache:
    """Outcomes by (component, parameters, what arrives, image size); meta modules and what they weigh by constructor
    arguments; reaches of outputs by component, parameters and what arrives with which reach.
    """

    def __init__(self, largest: int = 20_000) -> None:
        self.outcomes: _Recent[Outcome] = _Recent(largest)
        self.reaches: _Recent[Any] = _Recent(largest)
        # A module outlives its outcome: when only the image size changes, nothing is built anew, which halves the time.
        self.modules: _Recent[tuple[nn.Module, Cost]] = _Recent(largest // 10)


def _as_kind(info: Info, kind: PortKind) -> Info:
    """What comes out of a part, as the composite calls it; `any` says nothing about it."""
    return info if kind == "any" else dataclasses.replace(info, kind=kind)


class Evaluator:
    """Evaluates components for one request.

    Args:
        cache: remembers outcomes between requests.
        cancelled: asked before each component is run.

    Attributes:
        ran: components that were run because the cache did not know them, parts of composites included.
    """

    def __init__(self, cache: Cache, cancelled: Callable[[], bool] = lambda: False) -> None:
        self.cache, self.cancelled, self.ran = cache, cancelled, 0

    def __call__(
        self, declared: Any, params: Mapping[str, Any], inputs: Mapping[str, Info], image_size: ImageSize | None
    ) -> Outcome:
        """The outcome of a component class or composite.

        Raises:
            Cancelled: when `cancelled` said so.
        """
        spec = spec_of(declared)
        # A composite may hold a part that wants the image size; a leaf says so itself.
        sized = spec.composite or any(p.derived.startswith(("stride:", "image")) for p in spec.params)
        key = (
            declared, json.dumps(params, sort_keys=True, default=repr),
            tuple((name, inputs[name]) for name in in_port_order(inputs)), image_size if sized else None,
        )  # fmt: skip
        if (known := self.cache.outcomes.get(key)) is not None:
            return known
        if self.cancelled():
            raise Cancelled
        self.ran += 1
        started = time.perf_counter()
        outcome = self._evaluated(declared, spec, params, inputs, image_size)
        outcome = dataclasses.replace(outcome, ms=(time.perf_counter() - started) * 1e3)
        self.cache.outcomes.put(key, outcome)
        return outcome

    def _evaluated(
        self,
        declared: Any,
        spec: ComponentSpec,
        params: Mapping[str, Any],
        inputs: Mapping[str, Info],
        image_size: ImageSize | None,
    ) -> Outcome:
        try:
            kwargs = resolve(spec, params, inputs, image_size)
            derived = {p.name: kwargs[p.name] for p in spec.params if p.derived}
            if isinstance(declared, Composite):
                return dataclasses.replace(self._parts(declared, kwargs, inputs, image_size), derived=derived)
            module, weight = self.module(declared, params, kwargs, inputs, image_size)
            outputs, cost = run(spec, module, inputs, weight)
            for port, info in outputs.items():
                if isinstance(info, TensorInfo) and 0 in info.shape:
                    raise BadInput(f"its output {port} is empty ({shape_text(info)})", code="small", other="1")
            return Outcome(outputs, cost, derived)
        except Cancelled:
            raise
        except (Exception, SystemExit) as error:  # whatever torch or somebody's component raises
            error.__traceback__ = error.__context__ = error.__cause__ = None  # they would keep the frames alive
            return Outcome(failure=Failure(error, spec, dict(inputs)))

    def module(
        self,
        declared: Any,
        params: Mapping[str, Any],
        kwargs: Mapping[str, Any],
        inputs: Mapping[str, Info],
        image_size: ImageSize | None,
    ) -> tuple[nn.Module, Cost]:
        """The component on the meta device, and what it weighs; made once for equal arguments."""
        key = (declared, tuple(kwargs.items()))
        if (found := self.cache.modules.get(key)) is None:
            with torch.device("meta"):
                module = make(declared, params, inputs, image_size)
                found = module, weigh(module)
            watch(module)
            self.cache.modules.put(key, found)
        return found

    def _parts(
        self, declared: Composite, kwargs: Mapping[str, Any], inputs: Mapping[str, Info], image_size: ImageSize | None
    ) -> Outcome:
        subgraph = declared.expand(list(inputs), kwargs)
        infos: dict[Ref, Info] = {Ref("", port): inputs[port] for port in subgraph.inputs}
        cost = Cost()
        for part, _arriving, outcome in self.through(subgraph, infos, image_size):
            if outcome.failure is not None:
                failure = outcome.failure
                return Outcome(failure=dataclasses.replace(failure, path=(part.name, *failure.path)))
            cost += outcome.cost
        ports = declared.__component__.outputs
        outputs = {p.name: _as_kind(infos[subgraph.outputs[p.name]], p.kind) for p in ports}
        return Outcome(outputs, cost)

    def through(
        self, subgraph: Subgraph, infos: dict[Ref, Info], image_size: ImageSize | None
    ) -> Iterator[tuple[SubNode, dict[str, Info], Outcome]]:
        """Each part with what arrives at it and its outcome. `infos` has the graph's inputs and gets the outputs."""
        for part in subgraph.nodes:
            arriving = {port: infos[ref] for port, ref in part.inputs.items()}
            outcome = self(part.declared, part.params, arriving, image_size)
            infos.update({Ref(part.name, port): info for port, info in outcome.outputs.items()})
            yield part, arriving, outcome
