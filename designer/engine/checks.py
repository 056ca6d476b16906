"""From what does not fit to a Problem in our words: where, what was got, what was expected, what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from designer.engine import fixes
from designer.engine.words import arriving, label, name_of, size
from designer.graph.problems import Fix, Problem
from nodes.sdk.build import Info, TensorInfo, shape_text
from nodes.sdk.errors import BadInput, ComponentError
from nodes.sdk.spec import ComponentSpec, Port

if TYPE_CHECKING:
    from designer.engine.fixes import Case


def explain(case: Case) -> Problem:
    """The Problem for a node that failed; its fixes were tried out, and take away what the message says."""
    error = case.failure.error
    if isinstance(error, ComponentError):
        text = f"{name_of(case.node, case.spec)}: the component itself is wrong. {error}"
        return Problem("error", text, case.node.id, code="component")
    wrong_size = isinstance(error, BadInput) and error.code == "size"
    if (wrong_size or not isinstance(error, BadInput)) and (off := _off_level(case.spec, case.inputs)):
        return _level(case, *off)
    if not isinstance(error, BadInput):
        return _torch(case, error)
    if error.code == "size" and error.port in case.failure.inputs and error.other in case.failure.inputs:
        return _sizes(case, error)
    if error.code == "small":
        return _small(case, error)
    if error.code in ("param", "layer"):
        found = (*fixes.param_fixes(case), *fixes.channel_fixes(case, error))
        todo = "Set other parameters." if case.spec.settings else "Wire something else to it, or mend the component."
        return _problem(case, "", error.message, found, error.code, todo)
    return _problem(case, error.port, _labelled(case, error), (), error.code, "Wire something else.")


def _problem(
    case: Case, port: str, text: str, found: tuple[Fix, ...], code: str, otherwise: str, detail: str = ""
) -> Problem:
    """Joins where, what and what to do: `text` may say so itself, else it is the first fix, else `otherwise`."""
    inside = f"inside it, {'.'.join(case.failure.path)}: " if case.failure.path else ""
    text = text if text.endswith(".") else f"{text}."
    if not re.search(r"\. [A-Z]\w+ ", text):
        text += f" {found[0].label}." if found else f" {otherwise}"
    at = port if port in case.inputs and not case.failure.path else None
    message = f"{name_of(case.node, case.spec)}: {inside}{text}"
    return Problem("error", message, case.node.id, at, code, found, detail)


def _labelled(case: Case, error: BadInput) -> str:
    """The message with inputs called as everywhere else: `input 2`, not `input xs.1`."""
    return re.sub(r"input (\w+\.\d+)", lambda m: label(case.failure.spec, m[1]), error.message)


def _sizes(case: Case, error: BadInput) -> Problem:
    """Two inputs that must agree in a dimension and do not."""
    spec, here, there = case.failure.spec, case.failure.inputs[error.port], case.failure.inputs[error.other]
    mine, other = label(spec, error.port), label(spec, error.other)
    if not isinstance(here, TensorInfo) or not isinstance(there, TensorInfo):
        text = f"{mine} is {shape_text(here)}, {other} is {shape_text(there)}"
    elif len(here.shape) == 4 and here.shape[1] != there.shape[1] and error.dim not in ("H", "W"):
        text = f"{mine} has {here.shape[1]} channels ({shape_text(here)}), {other} has {there.shape[1]} "
        text += f"({shape_text(there)})"
    else:
        text = f"{mine} is {size(here)}, {other} is {size(there)}"
    found = fixes.image_size_fixes(case.data, case.strides) if case.failure.path else fixes.size_fixes(case, error)
    return _problem(case, error.port, text, found, "size", "Make them equal.")


def _off_level(spec: ComponentSpec, inputs: Mapping[str, Info]) -> tuple[str, str, tuple[int, ...]] | None:
    """The port whose map is not as large as its dims (`B C4 H/2 W/2`) say beside the others.

    Returns:
        The port, a port that it is measured by, and the size it should have; None when all levels are as declared.
    """
    levels = {port.name: found for port in spec.inputs if (found := _level_of(port, inputs.get(port.name)))}
    best: tuple[int, str, str, tuple[int, ...]] | None = None
    for by, (factor, sides) in levels.items():
        finest = (sides[0] * factor, sides[1] * factor)
        # Odd sides are halved up or down, which comes to less than one cell of the coarser of two levels.
        wrong = [
            port
            for port, (other, got) in levels.items()
            if any(abs(whole - side * other) >= max(factor, other) for whole, side in zip(finest, got, strict=True))
        ]
        # The port that disagrees with most others is the one at fault.
        if wrong and (best is None or len(wrong) < best[0]):
            want = tuple(-(-whole // levels[wrong[0]][0]) for whole in finest)
            best = (len(wrong), wrong[0], by, want)
    return best[1:] if best is not None else None


def _level_of(port: Port, info: Info | None) -> tuple[int, tuple[int, int]] | None:
    """How many times smaller than H and W a port's map is declared to be, and its height and width."""
    letters = port.dims.split()
    if not isinstance(info, TensorInfo) or len(letters) != 4 or len(info.shape) != 4:
        return None
    match = re.fullmatch(r"H(?:/(\d+))?", letters[2])
    return (int(match[1] or 1), (info.shape[2], info.shape[3])) if match else None


def _level(case: Case, port: str, by: str, want: tuple[int, ...]) -> Problem:
    """A level of a pyramid that has another level's size."""
    expected = TensorInfo((1, 1, *want))
    text = f"input {port} is {size(case.inputs[port])}, expected {size(expected)} beside input {by} of "
    text += size(case.inputs[by])
    found = fixes.level_fixes(case, port, expected)
    at = f"{name_of(case.node, case.spec)}: {text}. {found[0].label if found else 'Wire the level it names'}."
    return Problem("error", at, case.node.id, port, "size", found)


def _small(case: Case, error: BadInput) -> Problem:
    text = error.message
    if not case.failure.path:
        text += f"; {arriving(case.failure.spec, case.failure.inputs)}"
    found = (*fixes.param_fixes(case), *fixes.larger_image(case, int(error.other)))
    return _problem(case, "", text, found, "small", "Use a larger image or fewer steps down.")


def _torch(case: Case, error: BaseException) -> Problem:
    """One sentence for an exception of torch or of somebody's component. What it said itself goes into `detail`."""
    said = str(error).strip()
    shapes = arriving(case.spec, case.inputs)
    if isinstance(error, NotImplementedError) or "meta tensor" in said.lower():
        text = f"its forward looks at values, not shapes alone, so its output cannot be worked out ({shapes})"
        todo = "Write it without .item(), boolean masks or nonzero."
    elif isinstance(error, ValueError) and said:  # the component's author wrote this one
        text = f"{said.splitlines()[0][:200].rstrip('.')} ({shapes})"
        todo = "Set other parameters or wire other inputs."
    else:
        text, todo = f"it cannot run on what arrives ({shapes})", "Check its parameters and what is wired to it."
    detail = f"{type(error).__name__}: {said}"
    return _problem(case, "", text, fixes.param_fixes(case), "torch", todo, detail)
