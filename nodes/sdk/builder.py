"""What a composite's function writes into: components are added, `Ref`s wire them, a `Subgraph` comes out.

@composite("backbone", outputs=("c4", "c5"))
def tiny(g: Builder, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B D H W"], ...]:
    c4 = g.add(ConvDown, x, name="down4", out_channels=64)
    return c4, g.add(ConvDown, c4, name="down5", out_channels=128)
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nodes.sdk.errors import BadInput, ComponentError
from nodes.sdk.spec import ComponentSpec, base_port

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Ref:
    """One output of one node of a subgraph; `node` is empty for the subgraph's own inputs."""

    node: str
    port: str


@dataclass(frozen=True)
class SubNode:
    """A component inside a subgraph: `name` is the submodule's, `inputs` maps wire-level ports to what feeds them."""

    name: str
    declared: Any  # a component class or a Composite
    params: Mapping[str, Any]
    inputs: Mapping[str, Ref]

    @property
    def spec(self) -> ComponentSpec:
        return spec_of(self.declared)


@dataclass
class Subgraph:
    """Nodes in the order they run, with the names of the graph's inputs and what each output is."""

    inputs: list[str] = field(default_factory=list)
    nodes: list[SubNode] = field(default_factory=list)
    outputs: dict[str, Ref] = field(default_factory=dict)


def spec_of(declared: Any) -> ComponentSpec:
    """The spec of a component class or a composite."""
    spec = vars(declared).get("__component__")
    if spec is None:
        raise ComponentError(f"{getattr(declared, '__name__', declared)} is no component. Decorate it with @component.")
    return spec


class Builder:
    """Collects the nodes of one composite. `add` returns what the component gives out, ready to be wired on."""

    def __init__(self, inputs: list[str]) -> None:
        self.graph = Subgraph(inputs=inputs)
        self._names: set[str] = set()

    def add(self, declared: Any, *inputs: Any, name: str = "", **params: Any) -> Any:
        """Adds a component wired to `inputs`, in the order of its ports.

        Args:
            declared: component class or composite.
            inputs: `Ref`s, one per input port; a variadic port takes all that are left. (Typed Any because a
                composite's own inputs are annotated with what will flow through them.)
            name: submodule name; unique, an identifier. Made from the component's name when left out.
            params: the parameters that are not derived from shapes.

        Returns:
            A `Ref`, or a tuple of them when the component has several outputs.

        Raises:
            ComponentError: for a wrong name, an unknown parameter or the wrong number of inputs.
        """
        spec = spec_of(declared)
        name = name or self._free_name(spec.id.rpartition(".")[2])
        if not name.isidentifier() or keyword.iskeyword(name) or name in self._names:
            raise ComponentError(f"{name!r} cannot name a {spec.name} here. Use a new identifier, such as {name}_2.")
        for given in params:
            if spec.param(given) is None:
                known = ", ".join(p.name for p in spec.settings)
                raise ComponentError(f"{spec.name} {name!r} has no parameter {given!r}. It has: {known}.")
        self._names.add(name)
        wired = _by_port(spec, inputs, name)
        self.graph.nodes.append(SubNode(name, declared, dict(params), wired))
        refs = tuple(Ref(name, port.name) for port in spec.outputs)
        return refs[0] if len(refs) == 1 else refs

    def _free_name(self, base: str) -> str:
        number = 0
        while f"{base}{number}" in self._names:
            number += 1
        return f"{base}{number}"


def _by_port(spec: ComponentSpec, inputs: tuple[Any, ...], name: str) -> dict[str, Ref]:
    wired: dict[str, Ref] = {}
    rest = list(inputs)
    for port in spec.inputs:
        if port.variadic:
            wired.update({f"{port.name}.{i}": ref for i, ref in enumerate(rest)})
            rest = []
        elif rest:
            wired[port.name] = rest.pop(0)
    if rest or len(wired) < len(spec.inputs):
        raise ComponentError(
            f"{spec.name} {name!r} got {len(inputs)} inputs, it has {len(spec.inputs)}: "
            f"{', '.join(p.name for p in spec.inputs)}."
        )
    return wired


class Composite:
    """A component made of components: the result of `@composite` on a builder function."""

    def __init__(self, function: Callable[..., Any], spec: ComponentSpec) -> None:
        self.function = function
        self.__component__ = spec
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__

    def __repr__(self) -> str:
        return f"<composite {self.__component__.id}>"

    def __reduce__(self) -> str:
        return self.__name__  # found again in its module, as a function would be

    def expand(self, wired: list[str], params: Mapping[str, Any]) -> Subgraph:
        """The nodes this composite stands for.

        Args:
            wired: wire-level names of the inputs in use (`x`, or `levels.0`, `levels.1`).
            params: all parameters, derived ones included.

        Raises:
            BadInput: when the function refuses the parameters with a ValueError.
        """
        spec = self.__component__
        builder = Builder(list(wired))
        positional: list[Ref] = []
        for port in spec.inputs:
            positional += [Ref("", w) for w in wired if base_port(w) == port.name]
        try:
            returned = self.function(builder, *positional, **params)
        except ValueError as error:
            raise BadInput(str(error), code="param") from error
        refs = returned if isinstance(returned, tuple) else (returned,)
        if len(refs) != len(spec.outputs) or not all(isinstance(r, Ref) for r in refs):
            raise ComponentError(
                f"{spec.name} returned {len(refs)} outputs, it declares {len(spec.outputs)}. Return one Ref each.",
                spec.file, spec.line,
            )  # fmt: skip
        builder.graph.outputs = dict(zip((p.name for p in spec.outputs), refs, strict=True))
        return builder.graph

    def build(self, *shapes: tuple[int, ...], image_size: tuple[int, int] | None = None, **params: Any) -> nn.Module:
        """An `nn.Module` for inputs of these shapes, for use without a document.

        Args:
            shapes: one per input, such as (1, 3, 224, 224).
            image_size: height and width of the image in pixels; the first shape's by default.
            params: the parameters to set.
        """
        from nodes.sdk.build import TensorInfo, make

        names, inputs = self.__component__.inputs, {}
        for port in names:
            taken = shapes if port.variadic else shapes[:1]
            for i, shape in enumerate(taken):
                inputs[f"{port.name}.{i}" if port.variadic else port.name] = TensorInfo(tuple(shape), kind=port.kind)
            shapes = shapes[len(taken) :]
        first = next(iter(inputs.values())).shape
        return make(self, params, inputs, image_size or (first[-2], first[-1]))
