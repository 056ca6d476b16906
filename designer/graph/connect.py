"""The one gate for wires: which ports a wire takes by default, and why a wire is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from designer.graph.errors import CannotConnect
from designer.graph.problems import kind_words
from nodes.sdk.spec import ComponentSpec, Port, base_port

if TYPE_CHECKING:
    from designer.graph.document import Document
    from designer.graph.model import Node


def fits(source: Port, target: Port) -> bool:
    """Whether the kinds of two ports go together."""
    return source.kind == target.kind or "any" in (source.kind, target.kind)


def refusal(document: Document, source: Node, source_port: str, target: Node, target_port: str) -> str | None:
    """Why a wire cannot be made, in words; None when it can."""
    if source.id == target.id:
        return f"{source.title} cannot feed itself."
    output, problem = _find(document.spec(source), source, source_port, "output")
    if problem:
        return problem
    entered, problem = _find(document.spec(target), target, target_port, "input")
    if problem:
        return problem
    if output is not None and entered is not None and not fits(output, entered):
        return (
            f"{source.title} gives {kind_words(output.kind)}, {target.title} takes {kind_words(entered.kind)}. "
            f"Wire a node that gives {kind_words(entered.kind)}."
        )
    if document._index.reaches(target.id, source.id):
        return f"This would close a loop: {target.title} already leads to {source.title}."
    return None


def _find(spec: ComponentSpec | None, node: Node, port: str, side: str) -> tuple[Port | None, str]:
    if spec is None:  # a placeholder, or no catalogue yet: any port name will do
        return None, "" if port else f"Say which {side} of {node.title} to wire."
    found = spec.output(port) if side == "output" else spec.input(port)
    if found is None:
        ports = spec.outputs if side == "output" else spec.inputs
        names = ", ".join(p.name + (".0, ..." if p.variadic else "") for p in ports)
        return None, f"{node.title} has no {side} {port!r}. " + (
            f"It has: {names}." if names else f"It has no {side}s."
        )
    return found, ""


def choose_ports(document: Document, source: Node, target: Node, source_port: str, target_port: str) -> tuple[str, str]:
    """Fills in the ports that were not given: the first output and input that fit, free inputs first.

    Raises:
        CannotConnect: when the target has no input, or the source no output.
    """
    gives, takes = document.spec(source), document.spec(target)
    if gives is None or takes is None:
        return source_port or "out", target_port or "x"
    named = takes.input(target_port) if source_port and target_port else None
    if named is not None and gives.output(source_port) is not None:  # both are said in full: nothing to choose
        return source_port, target_port
    outputs = [p for p in gives.outputs if not source_port or p.name == source_port]
    used = [w.target_port for w in document.wires_into(target)]
    inputs = [p for p in takes.inputs if not target_port or base_port(target_port) == p.name]
    if not outputs and not source_port:
        raise CannotConnect(f"{source.title} has no output.")
    if not inputs and not target_port:
        raise CannotConnect(f"{target.title} has no input.")
    pairs = [(o, i) for i in inputs for o in outputs if fits(o, i)] or [(o, i) for i in inputs for o in outputs]
    if not pairs:
        return source_port, target_port
    free = [(o, i) for o, i in pairs if i.variadic or i.name not in used]
    output, entered = (free or pairs)[0]
    return output.name, target_port if "." in target_port else entered.names(used)[-1]
