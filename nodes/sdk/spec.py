"""What a component is, as plain data: the one description that every other part of Netwright derives from.

Standard library only, so that the window can hold a catalogue without importing torch. `nodes.sdk.declare`
fills these from a class's signature, annotations and docstring; `ComponentSpec.to_json` carries them
from the engine process to the window.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

PortKind = Literal[
    "map", "tokens", "vector", "ids", "wave", "spectrogram",
    "predictions", "detections", "mask_predictions", "mask_detections", "any",
]  # fmt: skip
"""map [B C H W], tokens [B L D], vector [B D], ids [B L], wave [B T], spectrogram [B F T]; then structured kinds."""

Role = Literal["layer", "input", "head", "post"]
"""`head` has loss, decode and task; `post` runs after a head and in eval mode only; `input` feeds the model."""

ParamType = Literal["int", "float", "bool", "str", "choice", "ints"]


@dataclass(frozen=True)
class Port:
    """One input or output. `dims` is the jaxtyping string (`"B C H W"`); a variadic port grows as it is wired."""

    name: str
    kind: PortKind
    dims: str = ""
    variadic: bool = False
    help: str = ""

    def names(self, used: Iterable[str] = ()) -> list[str]:
        """Wire-level names: `["x"]`, or for a variadic port those in `used` plus the next free one (`xs.0`, `xs.1`)."""
        if not self.variadic:
            return [self.name]
        taken = sorted({port_index(u) for u in used if base_port(u) == self.name})
        free = (taken[-1] + 1) if taken else 0
        return [f"{self.name}.{i}" for i in [*taken, free]]


def base_port(name: str) -> str:
    """`xs.2` -> `xs`; a plain name is returned as it is."""
    return name.partition(".")[0]


def port_index(name: str) -> int:
    """`xs.2` -> 2; a plain name -> 0."""
    _, _, index = name.partition(".")
    return int(index) if index else 0


@dataclass(frozen=True)
class Param:
    """One constructor parameter.

    `derived` is empty for what the user sets, else where the value comes from: `dim:C` (a letter of the input
    ports' dims; a tuple, one entry a wire, when the port is variadic), `stride:x` (image pixels per cell of port x),
    `count:xs` (how many wires arrive at it) or `image` (height and width of the image input). `suggest` names a
    function of the component's module that lists values to choose from.
    """

    name: str
    type: ParamType
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""
    help: str = ""
    suggest: str = ""
    derived: str = ""
    required: bool = False

    def check(self, value: Any) -> str | None:
        """None when `value` fits, else one sentence: what is wrong and what to write instead."""
        if self.type == "choice":
            if value not in self.choices or (isinstance(value, bool) != isinstance(self.choices[0], bool)):
                return f"{self.name} is {value!r}, must be one of {', '.join(map(str, self.choices))}."
            return None
        if self.type == "ints":
            if not isinstance(value, (list, tuple)) or not all(_is_int(v) for v in value):
                return f"{self.name} is {value!r}, must be a list of whole numbers such as [3, 5, 7]."
            return next((m for v in value if (m := self._range(v))), None)
        wanted, fits = {
            "int": ("a whole number", _is_int(value)),
            "float": ("a number", _is_int(value) or isinstance(value, float)),
            "bool": ("true or false", isinstance(value, bool)),
            "str": ("text", isinstance(value, str)),
        }[self.type]
        if not fits:
            return f"{self.name} is {value!r}, must be {wanted}."
        return self._range(value) if self.type in ("int", "float") else None

    def _range(self, value: float) -> str | None:
        if value != value or value in (float("inf"), float("-inf")):
            return f"{self.name} is {value}, must be a finite number."
        if self.minimum is not None and value < self.minimum:
            return f"{self.name} is {value}, must be {self.minimum} or more."
        if self.maximum is not None and value > self.maximum:
            return f"{self.name} is {value}, must be {self.maximum} or less."
        return None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class ComponentSpec:
    """Everything the palette, the inspector, the validation and the docs know about one component.

    `id` is what documents store: category plus snake-case name, dotted (`attention.channel.squeeze_excite`),
    stable for ever; a renamed component lists its old ids in `replaces`.
    """

    id: str
    name: str  # of the class or function, as code writes it
    category: str
    summary: str
    title: str = ""  # as people write it; the name by default
    doc: str = ""
    paper: str = ""
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    params: tuple[Param, ...] = ()
    aliases: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    role: Role = "layer"
    task: str = ""
    composite: bool = False
    experimental: bool = False
    file: str = ""
    line: int = 0

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.name)

    def input(self, name: str) -> Port | None:
        """The input port that a wire-level name (`x`, `xs.2`) belongs to."""
        return next((p for p in self.inputs if p.name == base_port(name) and ("." in name) == p.variadic), None)

    def output(self, name: str) -> Port | None:
        return next((p for p in self.outputs if p.name == name), None)

    def param(self, name: str) -> Param | None:
        return next((p for p in self.params if p.name == name), None)

    @property
    def settings(self) -> tuple[Param, ...]:
        """The parameters a user sets: all but the derived ones."""
        return tuple(p for p in self.params if not p.derived)

    def defaults(self) -> dict[str, Any]:
        return {p.name: list(p.default) if p.type == "ints" else p.default for p in self.settings if not p.required}

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ComponentSpec:
        plain = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        for key in ("aliases", "replaces"):
            plain[key] = tuple(plain.get(key, ()))
        plain["inputs"] = tuple(Port(**p) for p in data.get("inputs", ()))
        plain["outputs"] = tuple(Port(**p) for p in data.get("outputs", ()))
        plain["params"] = tuple(map(_param_from_json, data.get("params", ())))
        return cls(**plain)


def _param_from_json(data: Mapping[str, Any]) -> Param:
    """JSON knows no tuples."""
    default = data.get("default")
    default = tuple(default) if isinstance(default, list) else default
    return Param(**{**data, "choices": tuple(data.get("choices", ())), "default": default})


class Catalogue(Mapping[str, ComponentSpec]):
    """Component specs by id. An old id listed in some component's `replaces` finds that component."""

    def __init__(self, specs: Iterable[ComponentSpec] = ()) -> None:
        self._specs = {s.id: s for s in specs}
        self._old = {old: s.id for s in self._specs.values() for old in s.replaces}

    def __getitem__(self, component_id: str) -> ComponentSpec:
        return self._specs[self._old.get(component_id, component_id)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def to_json(self) -> list[dict[str, Any]]:
        return [s.to_json() for s in self._specs.values()]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> Catalogue:
        return cls(ComponentSpec.from_json(d) for d in data)
