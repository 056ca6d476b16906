"""From components to modules: fill in what the shapes decide, run on the meta device, join into a `GraphModule`.

`make` builds one component for given inputs, `output_infos` says what comes out of it, `build_graph` turns a
`Subgraph` into an `fx.GraphModule` whose forward is straight-line code. The engine compiles documents with the
same three.
"""

from __future__ import annotations

import keyword
import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from nodes.sdk.builder import Composite, Ref, Subgraph, spec_of
from nodes.sdk.errors import BadInput
from nodes.sdk.spec import ComponentSpec, Param, Port, PortKind, base_port, port_index


@dataclass(frozen=True)
class TensorInfo:
    """Shape, dtype name and port kind of a tensor on a wire."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    kind: PortKind = "map"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "shape": list(self.shape), "dtype": self.dtype}

    def meta(self) -> Tensor:
        return torch.empty(self.shape, dtype=getattr(torch, self.dtype), device="meta")


@dataclass(frozen=True)
class StructInfo:
    """A structured value on a wire (predictions, detections): its named tensors and the type that holds them."""

    kind: PortKind
    fields: tuple[tuple[str, TensorInfo], ...]
    type: type

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "fields": {name: list(info.shape) for name, info in self.fields}}

    def meta(self) -> Any:
        return self.type(*(info.meta() for _, info in self.fields))


Info = TensorInfo | StructInfo


@dataclass(frozen=True)
class Made:
    """What a module was made from; `made_with` on every built module, for the code that the exporter writes."""

    declared: Any
    kwargs: Mapping[str, Any]


ImageSize = tuple[int, int]


Memo = dict[Any, dict[str, Info]]
"""What comes out of a component with given parameters and inputs, so that equal parts of a composite run once."""


def make(
    declared: Any,
    params: Mapping[str, Any],
    inputs: Mapping[str, Info],
    image_size: ImageSize | None,
    memo: Memo | None = None,
) -> nn.Module:
    """Builds one component on the current default device.

    Args:
        declared: component class or composite.
        params: what the user set; the rest takes defaults or follows the shapes.
        inputs: what arrives, by wire-level port name.
        image_size: height and width of the model's image input in pixels, for `Stride` parameters.
        memo: shared by the parts of one composite.

    Raises:
        BadInput: when inputs or parameters do not fit.
    """
    spec = spec_of(declared)
    kwargs = resolve(spec, params, inputs, image_size)
    if isinstance(declared, Composite):
        module: nn.Module = build_graph(declared.expand(list(inputs), kwargs), inputs, image_size, spec.name, memo)
    else:
        try:
            module = declared(**kwargs)
        except ValueError as error:
            raise BadInput(str(error), code="param") from error
    module.made_with = Made(declared, kwargs)  # type: ignore[assignment]
    return module


def resolve(
    spec: ComponentSpec, params: Mapping[str, Any], inputs: Mapping[str, Info], image_size: ImageSize | None
) -> dict[str, Any]:
    """All constructor arguments: the user's, checked, and those that follow from the inputs.

    Raises:
        BadInput: a missing input, a wrong rank or kind, sizes that disagree, a parameter out of range.
    """
    dims = bind_dims(spec, inputs)
    kwargs: dict[str, Any] = {}
    for name in params:
        if (param := spec.param(name)) is None:
            known = ", ".join(p.name for p in spec.settings) or "none"
            raise BadInput(f"{spec.name} has no parameter {name!r}. It has: {known}.", name, "unknown")
    for param in spec.params:
        if param.derived:
            kwargs[param.name] = _derive(param, spec, dims, inputs, image_size)
        elif param.name in params:
            kwargs[param.name] = _checked(param, params[param.name])
        elif param.required:
            raise BadInput(f"{param.name} must be set.", param.name, "param")
    return kwargs


def _checked(param: Param, value: Any) -> Any:
    if wrong := param.check(value):
        raise BadInput(wrong, param.name, "param")
    if param.type == "ints":
        return tuple(value)
    return float(value) if param.type == "float" else value


def _derive(
    param: Param, spec: ComponentSpec, dims: Mapping[str, Any], inputs: Mapping[str, Info], image_size: ImageSize | None
) -> Any:
    kind, _, of = param.derived.partition(":")
    if kind == "dim":
        return dims[of]
    if kind == "count":
        return len(port_infos(inputs, of))
    if image_size is None:
        raise BadInput(
            f"{spec.name} must know the image size. Wire it, through other nodes, to an image input.", of, "stride"
        )
    if kind == "image":
        return tuple(image_size)
    strides = tuple(
        stride_of(*max((info.shape[-2], image_size[0]), (info.shape[-1], image_size[1])))
        for info in port_infos(inputs, of)
        if isinstance(info, TensorInfo)
    )
    port = next(p for p in spec.inputs if p.name == of)
    return strides if port.variadic else strides[0]


def stride_of(cells: int, pixels: int) -> int:
    """Pixels per cell of a map `cells` long over an image `pixels` long.

    Layers that halve round odd sizes up (some down), so 1000 px make 32 cells of 32 px, not of 31.25: a power of two
    that gives this many cells is taken where there is one.
    """
    exact = pixels / cells
    above = 2 ** math.ceil(math.log2(max(1.0, exact)))
    if math.ceil(pixels / above) == cells:
        return above
    if above > 1 and pixels // (above // 2) == cells:
        return above // 2
    return max(1, round(exact))


def port_infos(inputs: Mapping[str, Info], port: str) -> list[Info]:
    """What arrives at a port, in wire order: one entry, or several for a variadic port."""
    return [inputs[name] for name in in_port_order(inputs) if base_port(name) == port]


def in_port_order(names: Iterable[str]) -> list[str]:
    """Wire-level names with those of one variadic port by index, so that `xs.10` follows `xs.9`."""
    return sorted(names, key=lambda n: (base_port(n), port_index(n)))


def bind_dims(spec: ComponentSpec, inputs: Mapping[str, Info]) -> dict[str, Any]:
    """The size of every letter of the input ports' dims strings.

    A letter that ends in `_` is free on each wire of a variadic port and binds to a tuple; every other letter must
    have one size wherever it stands. Dims with an operator (`H/2`) describe, they do not bind.

    Raises:
        BadInput: with the port at fault, and the one it disagrees with.
    """
    dims: dict[str, Any] = {}
    seen: dict[str, str] = {}
    for port in spec.inputs:
        names = [n for n in in_port_order(inputs) if base_port(n) == port.name]
        if not names:
            raise BadInput(f"input {port.name} is not wired.", port.name, "missing")
        for name in names:
            info = inputs[name]
            _check_kind(port, name, info)
            if isinstance(info, TensorInfo) and "..." not in port.dims:
                _bind(port, name, info, dims, seen)
    return dims


def _check_kind(port: Port, name: str, info: Info) -> None:
    if "any" not in (port.kind, info.kind) and info.kind != port.kind:
        raise BadInput(f"input {name} takes {port.kind}, got {info.kind}.", name, "kind")
    if isinstance(info, TensorInfo) and port.dims and "..." not in port.dims:
        letters = port.dims.split()
        if len(letters) != len(info.shape):
            raise BadInput(f"input {name} takes [{' '.join(letters)}], got {shape_text(info)}.", name, "rank")


def _bind(port: Port, name: str, info: TensorInfo, dims: dict[str, Any], seen: dict[str, str]) -> None:
    for letter, size in zip(port.dims.split(), info.shape, strict=True):
        if letter.endswith("_") and port.variadic:
            dims[letter] = (*dims.get(letter, ()), size)
        elif letter.isidentifier() and dims.setdefault(letter, size) != size:
            other = seen[letter]
            raise BadInput(
                f"input {name} has {letter}={size}, input {other} has {letter}={dims[letter]}; they must be equal.",
                name, "size", other, letter,
            )  # fmt: skip
        seen.setdefault(letter, name)


def shape_text(info: Info) -> str:
    """`64 x 80 x 80`, without the batch; structured values name their fields."""
    if isinstance(info, TensorInfo):
        return " x ".join(map(str, info.shape[1:]))
    return ", ".join(f"{name} {' x '.join(map(str, i.shape[1:]))}" for name, i in info.fields)


def output_infos(spec: ComponentSpec, module: nn.Module, inputs: Mapping[str, Info]) -> dict[str, Info]:
    """Runs a module that lives on the meta device, in eval mode, and says what each output is.

    A port at which forward returns None gives nothing with these settings, and is left out.
    """
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            returned = module(*(inputs[name].meta() for name in call_order(spec, inputs)))
    finally:
        module.train(training)
    values = (returned,) if len(spec.outputs) == 1 else tuple(returned)
    given = ((p, v) for p, v in zip(spec.outputs, values, strict=True) if v is not None)
    return {port.name: info_of(value, kind_on(port, value)) for port, value in given}


def kind_on(port: Port, value: Any) -> PortKind:
    """What flows out of a port; where it takes any kind, the rank says what it is."""
    by_rank: dict[int, PortKind] = {4: "map", 3: "tokens", 2: "vector"}
    return by_rank.get(value.ndim, "any") if port.kind == "any" and isinstance(value, Tensor) else port.kind


def info_of(value: Any, kind: PortKind) -> Info:
    """The info of a tensor or a NamedTuple of tensors."""
    if isinstance(value, Tensor):
        return TensorInfo(tuple(value.shape), str(value.dtype).removeprefix("torch."), kind)
    fields = tuple((name, info_of(getattr(value, name), "any")) for name in value._fields)
    return StructInfo(kind, fields, type(value))  # type: ignore[arg-type]


def call_order(spec: ComponentSpec, names: Iterable[str]) -> list[str]:
    """Wire-level input names in the order of forward's arguments."""
    ordered = in_port_order(names)
    return [name for port in spec.inputs for name in ordered if base_port(name) == port.name]


def build_graph(
    subgraph: Subgraph,
    inputs: Mapping[str, Info],
    image_size: ImageSize | None,
    name: str = "Graph",
    memo: Memo | None = None,
) -> fx.GraphModule:
    """Builds every node of a subgraph, channels following the wires, and joins them.

    Equal parts, the blocks of a deep stage, are run once for their shapes; `memo` carries that into inner composites.

    Returns:
        A GraphModule with one submodule a node. It takes the subgraph's inputs in order and returns its output, or a
        tuple of them.

    Raises:
        BadInput: from an inner node, with that node's name in front.
    """
    memo = {} if memo is None else memo
    infos: dict[Ref, Info] = {Ref("", port): inputs[port] for port in subgraph.inputs}
    modules: dict[str, nn.Module] = {}
    for node in subgraph.nodes:
        arriving = {port: infos[ref] for port, ref in node.inputs.items()}
        key = (node.declared, repr(sorted(node.params.items())), tuple(sorted(arriving.items())), image_size)
        try:
            if (found := memo.get(key)) is None:
                with torch.device("meta"):
                    probe = make(node.declared, node.params, arriving, image_size, memo)
                found = memo[key] = output_infos(node.spec, probe, arriving)
            modules[node.name] = make(node.declared, node.params, arriving, image_size, memo)
        except BadInput as error:
            raise BadInput(f"{node.name}: {error.message}", error.port, error.code, error.other, error.dim) from error
        infos.update({Ref(node.name, port): info for port, info in found.items()})
    return join(subgraph, modules, name)


def join(
    subgraph: Subgraph, modules: Mapping[str, nn.Module], name: str = "Graph", always_tuple: bool = False
) -> fx.GraphModule:
    """Writes the straight-line forward that calls built modules as a subgraph says. Modules are shared, not copied.

    A single output is returned as it is, unless `always_tuple`.
    """
    graph = fx.Graph()
    values: dict[Ref, fx.Node] = {}
    for port in subgraph.inputs:
        values[Ref("", port)] = graph.placeholder(safe_name(port.replace(".", "_"), ()))
    for node in subgraph.nodes:
        args = tuple(values[node.inputs[port]] for port in call_order(node.spec, node.inputs))
        called = graph.call_module(node.name, args)
        outputs = node.spec.outputs
        for i, out in enumerate(outputs):
            ref = Ref(node.name, out.name)
            values[ref] = called if len(outputs) == 1 else graph.call_function(operator.getitem, (called, i))
    returned = [values[ref] for ref in subgraph.outputs.values()]
    graph.output(returned[0] if len(returned) == 1 and not always_tuple else tuple(returned))
    graph.eliminate_dead_code(is_impure_node=lambda n: n.op != "call_function")
    root = nn.Module()
    for module_name, module in modules.items():
        root.add_module(module_name, module)
    joined = fx.GraphModule(root, graph, class_name=safe_name(name, ()))
    joined.train(root.training)
    return joined


_RESERVED = frozenset(dir(nn.Module)) | {"graph", "code"}


def safe_name(title: str, taken: Iterable[str]) -> str:
    """A submodule name for a title: an identifier, not a keyword or an attribute of nn.Module, not in `taken`."""
    name = re.sub(r"\W+", "_", title.strip()).strip("_") or "node"
    if name[0].isdigit():
        name = f"n{name}"
    if keyword.iskeyword(name) or name in _RESERVED:
        name += "_"
    used, base, number = set(taken), name, 2
    while name in used:
        name, number = f"{base}_{number}", number + 1
    return name
