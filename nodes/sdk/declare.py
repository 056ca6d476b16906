"""`@component` and `@composite`: read a class or a builder function once and attach its `ComponentSpec`.

    @component("attention/channel", paper="Hu et al. 2018, arXiv:1709.01507")
    class SqueezeExcite(nn.Module):
        def __init__(self, channels: Annotated[int, Dim("C")], reduction: Annotated[int, Range(1, 64)] = 16): ...
        def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]: ...

The spec is `SqueezeExcite.__component__`; the class is otherwise left as it is.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union

from nodes.sdk.errors import ComponentError
from nodes.sdk.kinds import dims_of, is_port, kind_of
from nodes.sdk.spec import ComponentSpec, Param, ParamType, Port, Role

if typing.TYPE_CHECKING:
    from torch import nn

    from nodes.sdk.builder import Composite

T = TypeVar("T", bound="type[nn.Module]")


@dataclass(frozen=True)
class Dim:
    """Marks a parameter that is a dimension of an input: `Annotated[int, Dim("C")]`."""

    letter: str


@dataclass(frozen=True)
class Count:
    """Marks a parameter that is how many wires arrive at the variadic port `port`."""

    port: str


@dataclass(frozen=True)
class Stride:
    """Marks a parameter that is how many image pixels one cell of port `port` covers."""

    port: str


@dataclass(frozen=True)
class Range:
    """Smallest and largest value allowed, both included; `step` is for the editor's arrows."""

    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None


class Choices:
    """The values allowed: `Annotated[int, Choices(18, 34, 50)]`."""

    def __init__(self, *values: Any) -> None:
        self.values = values


@dataclass(frozen=True)
class ImageSides:
    """Marks a parameter filled with height and width of the model's image input in pixels."""


@dataclass(frozen=True)
class Suggest:
    """Marks text for which a function of the component's module, without arguments, lists values to choose from."""

    function: str


@dataclass(frozen=True)
class Unit:
    """Unit shown behind the value: `Unit("px")`."""

    text: str


def component(
    category: str,
    *,
    outputs: tuple[str, ...] = (),
    title: str = "",
    role: Role = "layer",
    paper: str = "",
    aliases: tuple[str, ...] = (),
    replaces: tuple[str, ...] = (),
    experimental: bool = False,
) -> Callable[[T], T]:
    """Declares an `nn.Module` class as a component.

    Args:
        category: palette path such as `attention/channel`; with the class name it makes the id.
        outputs: names of the outputs when forward returns a tuple; a single output is called `out`.
        title: name shown to people; the class name by default.
        role: `head` is set by itself for a class with a `task`; `post` and `input` are said here.
        paper: authors, year and arXiv number.
        aliases: other names people search for.
        replaces: ids this component had before.
        experimental: marks a component without a published figure to check it against.

    Raises:
        ComponentError: with file, line, the argument at fault and what to write instead.
    """

    line = sys._getframe(1).f_lineno  # to look a class up in its source would take each process a second

    def declare(cls: T) -> T:
        where = _Where(cls, line)
        if "forward" not in vars(cls):
            raise where.error(f"{cls.__name__} has no forward. Write forward(self, x: Float[Tensor, 'B C H W']).")
        task = getattr(cls, "task", "")
        if task and not all(callable(getattr(cls, m, None)) for m in ("loss", "decode")):
            raise where.error(f"{cls.__name__} has task {task!r}, so it needs loss(raw, targets) and decode(raw).")
        doc, helps = parse_docstring(cls.__doc__)
        inputs, _ = _ports_and_params(cls.forward, helps, where, skip=1)
        params = _ports_and_params(cls.__init__, helps, where, skip=1)[1] if "__init__" in vars(cls) else ()
        _check_derived(params, inputs, where)
        cls.__component__ = _spec(  # type: ignore[attr-defined]
            cls.__name__, category, doc, where, inputs, _outputs(cls.forward, outputs, where), params,
            title=title, role="head" if task else role, task=task, paper=paper, aliases=aliases, replaces=replaces,
            experimental=experimental,
        )  # fmt: skip
        return cls

    return declare


def composite(
    category: str,
    *,
    outputs: tuple[str, ...] = (),
    title: str = "",
    paper: str = "",
    aliases: tuple[str, ...] = (),
    replaces: tuple[str, ...] = (),
    experimental: bool = False,
) -> Callable[[Callable[..., Any]], Composite]:
    """Declares a builder function `f(g: Builder, x: Float[...], ..., depth: int = 50)`: a component of components."""

    def declare(function: Callable[..., Any]) -> Composite:
        from nodes.sdk.builder import Composite

        where = _Where(function, function.__code__.co_firstlineno)
        doc, helps = parse_docstring(function.__doc__)
        inputs, params = _ports_and_params(function, helps, where, skip=1)
        _check_derived(params, inputs, where)
        spec = _spec(
            function.__name__, category, doc, where, inputs, _outputs(function, outputs, where), params,
            title=title, composite=True, paper=paper, aliases=aliases, replaces=replaces, experimental=experimental,
        )  # fmt: skip
        return Composite(function, spec)

    return declare


def snake_case(name: str) -> str:
    """`SqueezeExcite` -> `squeeze_excite`, `YOLOv8Head` -> `yolov8_head`, `C2f` -> `c2f`."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z](?!\d))", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def _spec(
    name: str, category: str, doc: str, where: _Where, inputs: Any, outputs: Any, params: Any, **rest: Any
) -> ComponentSpec:
    if not re.fullmatch(r"[a-z0-9_]+(/[a-z0-9_]+)*", category):
        raise where.error(
            f"category is {category!r}. Write lower-case words with slashes, such as 'attention/channel'."
        )
    summary = doc.partition("\n")[0].strip()
    if not summary:
        raise where.error(f"{name} has no docstring. Its first line is what the palette shows.")
    return ComponentSpec(
        id=f"{category.replace('/', '.')}.{snake_case(name)}", name=name, category=category, summary=summary, doc=doc,
        inputs=inputs, outputs=outputs, params=params, file=where.file, line=where.line, **rest,
    )  # fmt: skip


class _Where:
    """File and first line of a declaration, for error messages."""

    def __init__(self, declared: Any, line: int) -> None:
        self.line = line
        self.file = inspect.getsourcefile(declared) or ""

    def error(self, message: str) -> ComponentError:
        return ComponentError(message, self.file, self.line)


def _ports_and_params(
    function: Callable[..., Any], helps: dict[str, str], where: _Where, skip: int
) -> tuple[tuple[Port, ...], tuple[Param, ...]]:
    hints = _hints(function, where)
    ports, params = [], []
    for arg in list(inspect.signature(function).parameters.values())[skip:]:
        if arg.name not in hints:
            raise where.error(f"{arg.name} has no annotation. {_EXAMPLES}")
        hint = hints[arg.name]
        if is_port(hint):
            try:
                ports.append(
                    Port(
                        arg.name, kind_of(hint), dims_of(hint), arg.kind is arg.VAR_POSITIONAL, helps.get(arg.name, "")
                    )
                )
            except ValueError as error:
                raise where.error(f"{arg.name}: {error}") from None
        else:
            params.append(_param(arg, hint, helps.get(arg.name, ""), where))
    return tuple(ports), tuple(params)


_EXAMPLES = "An input is written x: Float[Tensor, 'B C H W'], a parameter width: Annotated[int, Range(1, 4096)] = 64."


def _hints(function: Callable[..., Any], where: _Where) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:  # any error of any user's annotation
        raise where.error(f"an annotation of {function.__name__} cannot be read: {error}. {_EXAMPLES}") from None


def _param(arg: inspect.Parameter, hint: Any, help_text: str, where: _Where) -> Param:
    markers: tuple[Any, ...] = ()
    if typing.get_origin(hint) is Annotated:
        hint, *rest = typing.get_args(hint)
        markers = tuple(rest)
    elif isinstance(hint, (Dim, Stride, Count)):
        hint, markers = int, (hint,)
    bounds = next((m for m in markers if isinstance(m, Range)), Range())
    choices = next((m.values for m in markers if isinstance(m, Choices)), ())
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
    derived = next((f"dim:{m.letter}" for m in markers if isinstance(m, Dim)), "")
    derived = derived or next((f"stride:{m.port}" for m in markers if isinstance(m, Stride)), "")
    derived = derived or next((f"count:{m.port}" for m in markers if isinstance(m, Count)), "")
    derived = derived or next(("image" for m in markers if isinstance(m, ImageSides)), "")
    has_default = arg.default is not arg.empty
    param = Param(
        name=arg.name,
        type="choice" if choices else _param_type(arg.name, hint, where),
        default=arg.default if has_default else None,
        minimum=bounds.minimum, maximum=bounds.maximum, step=bounds.step,
        choices=tuple(choices),
        unit=next((m.text for m in markers if isinstance(m, Unit)), ""),
        help=help_text,
        suggest=next((m.function for m in markers if isinstance(m, Suggest)), ""),
        derived=derived,
        required=not has_default and not derived,
    )  # fmt: skip
    if has_default and not derived and (wrong := param.check(arg.default)):
        raise where.error(f"the default does not fit: {wrong}")
    return param


def _param_type(name: str, hint: Any, where: _Where) -> ParamType:
    plain: dict[Any, ParamType] = {int: "int", float: "float", bool: "bool", str: "str"}
    if hint in plain:
        return plain[hint]
    if typing.get_origin(hint) is tuple and set(typing.get_args(hint)) <= {int, ...}:
        return "ints"
    shown = getattr(hint, "__name__", str(hint))
    raise where.error(
        f"{name} has type {shown}. Write int, float, bool, str, tuple[int, ...], Literal[...] or "
        "Annotated[int, Range(1, 64)]; a tensor is written Float[Tensor, 'B C H W']."
    )


def _outputs(function: Callable[..., Any], names: tuple[str, ...], where: _Where) -> tuple[Port, ...]:
    hint = _hints(function, where).get("return")
    if hint is None:
        raise where.error(f"{function.__name__} has no return annotation. Write -> Float[Tensor, 'B C H W'].")
    if typing.get_origin(hint) in (Union, types.UnionType):
        # A head returns raw maps in training and the declared kind in eval; the wire carries the latter.
        ports = sorted((h for h in typing.get_args(hint) if is_port(h)), key=lambda h: bool(dims_of(h)))
        hint = ports[0] if ports else hint
    hints = [hint]
    if typing.get_origin(hint) is tuple:
        hints = list(typing.get_args(hint))
        if hints[-1] is ...:
            hints = hints[:1] * len(names)
        if len(hints) != len(names):
            raise where.error(
                f"outputs names {len(names)} ports, the return annotation has {len(hints)}. Make them equal."
            )
    try:
        return tuple(Port(name, kind_of(h), dims_of(h)) for name, h in zip(names or ("out",), hints, strict=True))
    except ValueError as error:
        raise where.error(f"return annotation: {error}") from None


def _check_derived(params: tuple[Param, ...], inputs: tuple[Port, ...], where: _Where) -> None:
    letters = {letter for p in inputs for letter in p.dims.split()}
    for param in params:
        kind, _, of = param.derived.partition(":")
        if kind == "dim" and of not in letters:
            raise where.error(
                f"{param.name} is Dim({of!r}), but no input has that letter. They have: {' '.join(sorted(letters))}."
            )
        if kind in ("stride", "count") and of not in {p.name for p in inputs}:
            raise where.error(f"{param.name} is {kind.title()}({of!r}), but there is no input of that name.")


def parse_docstring(doc: str | None) -> tuple[str, dict[str, str]]:
    """Splits a Google docstring into its text without the `Args:` section, and one help line an argument."""
    lines = inspect.cleandoc(doc or "").splitlines()
    text: list[str] = []
    helps: dict[str, str] = {}
    inside, current = False, ""
    for line in lines:
        if line.strip() in ("Args:", "Arguments:"):
            inside = True
        elif inside and line and not line.startswith(" "):
            inside = False
            text.append(line)
        elif inside:
            if match := re.match(r" {2,4}\*?(\w+)(?: \([^)]*\))?: (.*)", line):
                current = match[1]
                helps[current] = match[2].strip()
            elif line.strip() and current:
                helps[current] += " " + line.strip()
        else:
            text.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip(), helps
