"""Quick fixes for a node that does not run. Nodes and parameters are tried out first; what fails is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from designer.engine.evaluate import Failure, Outcome
from designer.engine.words import label
from designer.graph.model import GraphData, Node, Wire
from designer.graph.problems import Fix
from nodes.sdk.build import Info, TensorInfo
from nodes.sdk.errors import BadInput
from nodes.sdk.spec import ComponentSpec

UPSAMPLE, CONV, DOWN, POOL = "resize.upsample", "conv.conv", "downsample.conv_down", "pooling.max_pool"
IMAGE = "io.image_input"


@dataclass(frozen=True)
class Case:
    """A node that does not run, with all it takes to look for a remedy.

    Attributes:
        node: the node in the document.
        spec: its component.
        inputs: what arrives, by wire-level port.
        wires: the wires it arrives on, by wire-level port.
        failure: why it does not run.
        data: the document.
        strides: image pixels per cell of every map in the document.
        attempt: evaluates a component id with parameters and inputs, as a trial.
    """

    node: Node
    spec: ComponentSpec
    inputs: Mapping[str, Info]
    wires: Mapping[str, Wire]
    failure: Failure
    data: GraphData
    strides: tuple[int, ...]
    attempt: Callable[[str, Mapping[str, Any], Mapping[str, Info]], Outcome]

    def helps(self, outcome: Outcome) -> int:
        """2 when the node runs in this trial, 1 when what is said to be wrong is no more, else 0."""
        if outcome.failure is None:
            return 2
        old, new = self.failure.error, outcome.failure.error
        if not isinstance(old, BadInput) or not isinstance(new, BadInput) or outcome.failure.path != self.failure.path:
            return 0
        # Of several wrong inputs one is mended at a time.
        return int((old.code, old.port, old.dim) != (new.code, new.port, new.dim) and new.code == old.code)


Candidate = tuple[str, str, dict[str, Any], str]
"""Port, component to insert before it, its parameters, label."""


def size_fixes(case: Case, error: BadInput) -> tuple[Fix, ...]:
    """Nodes to insert before one of two inputs that disagree, and an image size at which they would not."""
    here, there = case.inputs[error.port], case.inputs[error.other]
    if not isinstance(here, TensorInfo) or not isinstance(there, TensorInfo) or len(here.shape) != 4:
        return ()
    if error.dim in ("H", "W"):
        candidates = [*_resizing(case, error.port, there), *_resizing(case, error.other, here)]
        # Enlarging the smaller map keeps detail, so it is offered first.
        candidates.sort(key=lambda c: c[1] != UPSAMPLE)
        return (*_inserting(case, candidates), *image_size_fixes(case.data, case.strides))
    return tuple(_inserting(case, [*_projecting(case, error.port, there), *_projecting(case, error.other, here)]))


def level_fixes(case: Case, port: str, expected: TensorInfo) -> tuple[Fix, ...]:
    """Nodes to insert before a pyramid's level that has the wrong size."""
    return tuple(_inserting(case, _resizing(case, port, expected)))


def channel_fixes(case: Case, error: BadInput) -> tuple[Fix, ...]:
    """A 1x1 convolution before the node whose layer wants another number of channels, `error.other`."""
    if error.dim != "C":
        return ()
    want = int(error.other)
    params = {"out_channels": want, "kernel_size": 1}
    before = f"Insert Conv 1x1 to {want} channels before"
    maps = [p for p, info in case.inputs.items() if isinstance(info, TensorInfo) and info.kind == "map"]
    return tuple(_inserting(case, [(port, CONV, params, f"{before} {label(case.spec, port)}") for port in maps]))


def _resizing(case: Case, port: str, like: TensorInfo) -> Iterator[Candidate]:
    """Ways to bring the map at `port` to the size of `like`."""
    have = case.inputs[port]
    if not isinstance(have, TensorInfo):
        return
    (h, w), (height, width) = have.shape[-2:], like.shape[-2:]
    before = f"before {label(case.spec, port)}"
    if up := _factor((h, w), (height, width)):
        yield port, UPSAMPLE, {"scale": up}, f"Insert Upsample x{up} {before}"
    if down := _factor((height, width), (h, w)):
        if down == 2:
            yield port, DOWN, {"out_channels": have.shape[1]}, f"Insert ConvDown {before}"
        yield port, POOL, {"kernel_size": down, "stride": down}, f"Insert MaxPool {down}x{down} {before}"


def _factor(small: tuple[int, ...], large: tuple[int, ...]) -> int:
    """How many times larger both sides are, when that is one whole number from 2; else 0."""
    factor = large[0] // small[0]
    return factor if factor >= 2 and tuple(s * factor for s in small) == tuple(large) else 0


def _projecting(case: Case, port: str, like: TensorInfo) -> Iterator[Candidate]:
    """Ways to bring the map at `port` to the channels of `like`, and to its size in the same step where that is due."""
    have, want = case.inputs[port], like.shape[1]
    if not isinstance(have, TensorInfo):
        return
    before = f"to {want} channels before {label(case.spec, port)}"
    if have.shape[-2:] == like.shape[-2:]:
        yield port, CONV, {"out_channels": want, "kernel_size": 1}, f"Insert Conv 1x1 {before}"
    elif down := _factor(like.shape[-2:], have.shape[-2:]):
        params = {"out_channels": want, "kernel_size": 1, "stride": down}
        yield port, CONV, params, f"Insert Conv 1x1 of stride {down} {before}"
    elif _factor(have.shape[-2:], like.shape[-2:]):
        yield port, CONV, {"out_channels": want, "kernel_size": 1}, f"Insert Conv 1x1 {before}"


def _inserting(case: Case, candidates: Iterable[Candidate]) -> list[Fix]:
    """The candidates that help, those after which the node runs first."""
    found: list[tuple[int, Fix]] = []
    for port, component, params, text in candidates:
        wire = case.wires.get(port)
        if wire is None:
            continue
        changed = case.attempt(component, params, {"x": case.inputs[port]})
        if changed.failure is not None:
            continue
        good = case.helps(case.attempt(case.spec.id, case.node.params, {**case.inputs, port: changed.outputs["out"]}))
        if good:
            edit = {"op": "insert", "wire": wire.id, "component": component, "params": params}
            found.append((good, Fix(text, (edit,))))
    return [fix for _, fix in sorted(found, key=lambda f: -f[0])]


def param_fixes(case: Case, most: int = 3, trials: int = 12) -> tuple[Fix, ...]:
    """Values of one parameter with which the node runs.

    First those that a component's own sentence names (`groups is 3, must divide 64. Use 1 or 16.`), then smaller
    kernels and strides, then defaults.
    """
    found: list[Fix] = []
    for name, value in islice(_values(case), trials):
        if len(found) == most:
            break
        params = {**case.node.params, name: value}
        fix = Fix(f"Set {name} to {value}", ({"op": "set_param", "node": case.node.id, "name": name, "value": value},))
        if fix not in found and case.attempt(case.spec.id, params, case.inputs).failure is None:
            found.append(fix)
    return tuple(found)


def _values(case: Case) -> Iterator[tuple[str, Any]]:
    said = str(case.failure.error)
    first = case.spec.param(said.partition(" ")[0])
    if first is not None and (use := re.search(r"\bUse ([\d ,or]+)", said)):
        for number in re.findall(r"\d+", use[1]):
            yield first.name, int(number)
    for name in ("kernel_size", "stride", "groups"):
        param, value = case.spec.param(name), case.node.params.get(name)
        if param is not None and isinstance(value, int) and not isinstance(value, bool):
            allowed = [c for c in param.choices if isinstance(c, int)] or list(range(1, value))
            yield from ((name, v) for v in sorted(allowed, reverse=True)[:16] if v < value and param.check(v) is None)
    for param in case.spec.settings:
        default = list(param.default) if param.type == "ints" else param.default
        if not param.required and param.name in case.node.params and case.node.params[param.name] != default:
            yield param.name, default


def image_sides(node: Node) -> tuple[int, int] | None:
    """Height and width of an image input; None when they are not whole numbers."""
    height, width = node.params.get("height", 640), node.params.get("width", 640)
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def image_size_fixes(data: GraphData, strides: Iterable[int]) -> tuple[Fix, ...]:
    """Sets an image input whose sides are no multiple of the largest stride to the nearest that is."""
    multiple = max(strides, default=1)
    found = []
    for node in data.nodes:
        sides = image_sides(node) if node.component == IMAGE else None
        if sides is not None and any(s % multiple for s in sides):
            found.append(_set_image(node, *(max(multiple, round(s / multiple) * multiple) for s in sides)))
    return tuple(found)


def larger_image(case: Case, least: int) -> tuple[Fix, ...]:
    """Enlarges the image so that the maps arriving at the node have sides of at least `least`."""
    sides = [min(i.shape[-2:]) for i in case.inputs.values() if isinstance(i, TensorInfo) and len(i.shape) == 4]
    images = [(n, s) for n in case.data.nodes if n.component == IMAGE and (s := image_sides(n)) is not None]
    if not sides or not images:
        return ()
    # A part of a composite sees smaller maps than the composite's own input.
    inner = [min(i.shape[-2:]) for i in case.failure.inputs.values() if isinstance(i, TensorInfo) and len(i.shape) == 4]
    factor = -(-least // max(1, min(inner or sides)))
    if factor < 2:
        return ()
    node, (height, width) = images[0]
    return (_set_image(node, height * factor, width * factor),)


def _set_image(node: Node, height: int, width: int) -> Fix:
    edits = tuple(
        {"op": "set_param", "node": node.id, "name": name, "value": value}
        for name, value in (("height", height), ("width", width))
    )
    return Fix(f"Set the image size to {height}x{width}", edits)
