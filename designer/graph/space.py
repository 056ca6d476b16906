"""Which values of a document's parameters a sweep tries: by default from a parameter's own declaration, or as written.

Written: `1..4`, `8..64:8` in steps, `1e-4..1e-1:log`, or values such as `sgd, adamw`; of lists `3 5 7, 5 9 13`.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from designer.graph.apply import check_section
from designer.graph.document import Document
from designer.graph.errors import EditError, NetwrightError
from designer.graph.model import GraphData
from designer.graph.settings_param import param_of
from designer.graph.training import TrainingSettings
from nodes.sdk.spec import Param

TRAINING, IMAGE, SIZE = "training", "io.image_input", "size"
_LEFT_OUT = {
    "device", "workers", "tracker", "cache", "seed", "eval_every", "checkpoint_every", "patience", "amp", "compile",
    "num_classes", "height", "width",
}  # fmt: skip
"""What is not about how well a model learns, or follows from the data; it can be swept all the same, by its name."""
_NARROW, _RATE = 16, 0.05
"""A range of so few whole numbers is tried whole; a number below that share of its bound is a rate, on a log scale."""
_WORDS = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


class SpaceError(NetwrightError):
    """A parameter or values that a sweep cannot try."""


class Dimension(BaseModel):
    """The values of one parameter that are tried.

    Attributes:
        target: id of a node and a parameter's name, or `training` and a field's, with a dot between.
        label: it in words.
        kind: whole numbers or numbers from `low` to `high`, or one of `choices`.
        step: between numbers; 0: any.
        log: evenly over the logarithm.
    """

    target: str
    label: str
    kind: Literal["int", "float", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    log: bool = False
    choices: list[Any] = []

    def text(self) -> str:
        """It as people write it."""
        if self.kind == "choice":
            return ", ".join(map(written, self.choices))
        step = f":{self.step:g}" if self.step and (self.kind, self.step) != ("int", 1) else ""
        return f"{self.low:.10g}..{self.high:.10g}{':log' if self.log else step}"

    def values(self) -> list[Any] | None:
        """All its values, where they can be counted."""
        if self.kind == "choice":
            return list(self.choices)
        if not self.step:
            return None
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        found = [self.low + i * self.step for i in range(count)]
        return [int(v) for v in found] if self.kind == "int" else found

    def holds(self, value: Any) -> bool:
        """Whether a value is one of those that are tried."""
        if self.kind == "choice":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9


@dataclass(frozen=True)
class Parameter:
    """One parameter of a document that can be swept: its declaration and the value that it has now."""

    target: str
    label: str
    group: str
    param: Param
    value: Any

    def problem(self, value: Any) -> str | None:
        """Why a value is not allowed; None when it is."""
        if self.target.startswith(f"{TRAINING}."):
            try:
                check_section(TrainingSettings(), {self.param.name: value})
            except EditError as error:
                return str(error)
            return None
        return self.param.check(value)


def parameters(document: Document) -> list[Parameter]:
    """What can be swept: the training settings, then node by node; text without choices is left out."""
    training = document.data.training
    found = []
    for name, field in TrainingSettings.model_fields.items():
        param = param_of(TrainingSettings, name)
        if param.type != "str":
            label = (field.title or name).lower()
            found.append(
                Parameter(f"{TRAINING}.{name}", f"Training: {label}", "Training", param, getattr(training, name))
            )
    for node in document.data.nodes:
        spec = document.spec(node)
        if node.component == IMAGE:
            side = Param(SIZE, "int", 640, 32, 4096, 32, unit="px")
            now = int(node.params.get("height", 640))
            found.append(Parameter(f"{node.id}.{SIZE}", f"{node.title}: {SIZE}", node.title, side, now))
        for param in spec.settings if spec is not None else ():
            if param.type != "str":
                label = f"{node.title}: {param.name.replace('_', ' ')}"
                value = node.params.get(param.name, param.default)
                value = list(value) if isinstance(value, tuple) else value
                found.append(Parameter(f"{node.id}.{param.name}", label, node.title, param, value))
    return found


def usual(parameter: Parameter) -> bool:
    """Whether a list of parameters to choose from has it: those with a range of their own that learning depends on."""
    return parameter.param.type != "ints" and parameter.param.name not in _LEFT_OUT


def find_parameter(document: Document, name: str) -> Parameter:
    """The parameter written as `training.learning_rate` or `Backbone.depth`, a node's title or id before the dot.

    Raises:
        SpaceError: when there is none; similar ones are named.
    """
    known: dict[str, Parameter] = {}
    titles = {node.id: node.title for node in document.data.nodes}
    for parameter in parameters(document):
        owner, _, param = parameter.target.partition(".")
        known[parameter.target] = known[f"{titles.get(owner, owner)}.{param}"] = parameter
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Write NODE.PARAMETER or training.SETTING."
    raise SpaceError(f"There is no parameter {name!r} in {document.data.name!r} that can be swept. {hint}")


def default_dimension(parameter: Parameter) -> Dimension:
    """Sensible values to try, from what the parameter declares and the value it has."""
    param, value = parameter.param, parameter.value
    if param.name == SIZE and param.unit == "px":
        sides = {max(32, round(value * f / 32) * 32) for f in (0.5, 0.75, 1.0, 1.25)}
        return _choice(parameter, sorted(sides))
    if param.type == "bool":
        return _choice(parameter, [False, True])
    if param.type == "choice":
        return _choice(parameter, list(param.choices))
    if param.type == "ints":
        return _choice(parameter, [value])
    number = float(value or 0)
    return _whole(parameter, int(number)) if param.type == "int" else _real(parameter, number)


def _choice(parameter: Parameter, choices: list[Any]) -> Dimension:
    return Dimension(target=parameter.target, label=parameter.label, kind="choice", choices=choices)


def _whole(parameter: Parameter, value: int) -> Dimension:
    """A narrow range whole, else half to twice the value."""
    low, high, step = parameter.param.minimum, parameter.param.maximum, int(parameter.param.step or 1)
    if low is None or high is None or high - low > _NARROW:
        around = (value - abs(value) // 2, value + max(abs(value), 4))
        low = max(around[0], low if low is not None else around[0])
        high = min(around[1], high if high is not None else around[1])
        step = 8 if step == 1 and low % 8 == high % 8 == 0 and high >= 64 else step
    return Dimension(
        target=parameter.target, label=parameter.label, kind="int", low=math.ceil(low), high=math.floor(high), step=step
    )


def _real(parameter: Parameter, value: float) -> Dimension:
    """Rates and gains over two decades around the value; shares over their whole range."""
    low, high = parameter.param.minimum, parameter.param.maximum
    log = value > 0 and (high is None or value < _RATE * high or high > 1)
    if log:
        low, high = max(value / 10, low or 0), min(value * 10, high if high is not None else math.inf)
    else:
        low = low if low is not None else value - max(1.0, abs(value))
        high = high if high is not None else value + max(1.0, abs(value))
        room = (high - low) / 1000  # a bound may itself not be allowed
        low = low if parameter.problem(low) is None else low + room
        high = high if parameter.problem(high) is None else high - room
    low, high = float(f"{low:.6g}"), float(f"{high:.6g}")
    return Dimension(target=parameter.target, label=parameter.label, kind="float", low=low, high=high, log=log)


def parse_dimension(parameter: Parameter, text: str) -> Dimension:
    """The values to try as they are written; without text the default.

    Raises:
        SpaceError: when the text cannot be read, or a value is not allowed.
    """
    if not text.strip():
        return default_dimension(parameter)
    if ".." in text and parameter.param.type in ("int", "float"):
        return _range(parameter, text)
    choices = [_value(parameter, part.strip()) for part in text.split(",") if part.strip()]
    for choice in choices:
        if (problem := parameter.problem(choice)) is not None:
            raise SpaceError(f"{parameter.label}: {problem}")
    if len(choices) < 2 or len(choices) > len({repr(choice) for choice in choices}):
        raise SpaceError(f"{parameter.label}: write two or more different values, such as {_example(parameter)}.")
    return _choice(parameter, choices)


def _range(parameter: Parameter, text: str) -> Dimension:
    bounds, *rest = text.replace(" ", "").split(":")
    low, _, high = bounds.partition("..")
    kind: Literal["int", "float"] = "int" if parameter.param.type == "int" else "float"
    log = "log" in rest
    try:
        ends = [float(low), float(high)]
        steps = [float(part) for part in rest if part != "log"]
        if len(steps) > 1 or not all(map(math.isfinite, (*ends, *steps))):
            raise ValueError
    except ValueError:
        example = _example(parameter)
        raise SpaceError(f"{parameter.label}: {text!r} is no range. Write it like {example}.") from None
    if kind == "int" and any(v != int(v) for v in (*ends, *steps)):
        raise SpaceError(f"{parameter.label}: {text!r} has broken numbers, whole ones are needed.")
    step = steps[0] if steps else float(parameter.param.step or 1) if kind == "int" and not log else 0.0
    if ends[0] >= ends[1] or step < 0 or (log and (ends[0] <= 0 or steps)):
        why = "a log scale begins above 0 and has no steps" if log else "the lower end comes first"
        raise SpaceError(f"{parameter.label}: {text!r} is no range: {why}.")
    for end in ends:
        if (problem := parameter.problem(int(end) if kind == "int" else end)) is not None:
            raise SpaceError(f"{parameter.label}: {problem}")
    step = 1.0 if kind == "int" and log else step
    return Dimension(
        target=parameter.target, label=parameter.label, kind=kind, low=ends[0], high=ends[1], step=step, log=log
    )


def _value(parameter: Parameter, text: str) -> Any:
    param = parameter.param
    try:
        match param.type:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool":
                return _WORDS[text.lower()]
            case "ints":
                return [int(part) for part in text.split()]
            case "choice":
                return next(choice for choice in param.choices if str(choice).lower() == text.lower())
    except (ValueError, KeyError, StopIteration):
        pass
    raise SpaceError(f"{parameter.label}: {text!r} is no value of it. Write it like {_example(parameter)}.")


def _example(parameter: Parameter) -> str:
    return "3 5 7, 5 9 13" if parameter.param.type == "ints" else default_dimension(parameter).text()


def written(value: Any) -> str:
    """A value as it is written in a space."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def value_of(data: GraphData, target: str) -> Any:
    """The value that a target has in a document; None when it is not there."""
    owner, _, param = target.partition(".")
    if owner == TRAINING:
        return getattr(data.training, param, None)
    node = next((n for n in data.nodes if n.id == owner), None)
    if node is None:
        return None
    return node.params.get("height" if param == SIZE and node.component == IMAGE else param)


def grid(space: list[Dimension]) -> Iterator[dict[str, Any]]:
    """Every combination of the values, the last dimension changing fastest.

    Raises:
        SpaceError: for a dimension whose values cannot be counted.
    """
    columns = []
    for dimension in space:
        values = dimension.values()
        if values is None:
            example = f"{dimension.low:g}..{dimension.high:g}:{(dimension.high - dimension.low) / 4:g}"
            raise SpaceError(f"{dimension.label}: a grid needs steps or single values, such as {example}.")
        columns.append(values)
    for row in itertools.product(*columns):
        yield {d.target: value for d, value in zip(space, row, strict=True)}


def apply_values(document: Document, values: Mapping[str, Any], name: str) -> None:
    """Sets parameters to a trial's values, as one undo step.

    Raises:
        EditError: for a value that is not allowed; nothing is changed then.
        UnknownNode: when a node is gone.
    """
    with document.edit(name):
        for target, value in values.items():
            owner, _, param = target.partition(".")
            if owner == TRAINING:
                document.set_training(**{param: value})
            elif param == SIZE and document.node(owner).component == IMAGE:
                document.set_param(owner, "height", value)
                document.set_param(owner, "width", value)
            else:
                document.set_param(owner, param, value)
