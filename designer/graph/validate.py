"""Checks that need no torch: wiring, kinds, parameters. Everything found is reported, each with what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from designer.graph.drawn import missing_parts
from designer.graph.model import GraphData, Node
from designer.graph.problems import Fix, Problem, kind_words
from designer.graph.view import topological
from nodes.sdk.spec import ComponentSpec, Param, base_port

if TYPE_CHECKING:
    from nodes.sdk.spec import Catalogue


def validate(data: GraphData, catalogue: Catalogue | None) -> list[Problem]:
    """All structural problems of a document, in document order, errors of the whole document first."""
    found = [*_whole(data, catalogue), *_wires(data, catalogue)]
    if catalogue is not None:
        wired: dict[str, set[str]] = {}
        for wire in data.wires:
            wired.setdefault(wire.target, set()).add(base_port(wire.target_port))
        for node in data.nodes:
            spec = catalogue.get(node.component)
            if spec is None:
                found.append(_incomplete(node, data, catalogue) or _unknown(node, catalogue))
            else:
                found += _missing_inputs(wired.get(node.id, set()), node, spec)
                found += _params(node, spec)
    return found


def _whole(data: GraphData, catalogue: Catalogue | None) -> Iterator[Problem]:
    if loop := _cycle(data):
        titles = {n.id: n.title for n in data.nodes}
        steps = list(zip(loop, [*loop[1:], loop[0]], strict=True))
        wires = {step: [w for w in data.wires if (w.source, w.target) == step] for step in steps}
        # Cut where the fewest wires are; of equal ones the step that was drawn last.
        cut = min(steps, key=lambda step: (len(wires[step]), -data.wires.index(wires[step][-1])))
        edits = tuple({"op": "disconnect", "wire": w.id} for w in wires[cut])
        label = f"Disconnect {titles[cut[1]]} from {titles[cut[0]]}"
        message = f"The wires close a loop: {' -> '.join(titles[n] for n in [*loop, loop[0]])}. {label}."
        yield Problem("error", message, cut[1], wires[cut][-1].target_port, "cycle", (Fix(label, edits),))
    if catalogue is not None and data.nodes:
        roles = [spec.role for n in data.nodes if (spec := catalogue.get(n.component)) is not None]
        if "input" not in roles and len(roles) == len(data.nodes):
            yield Problem(
                "error", "The model has no input. Add an Image input and wire it to the first node.", code="no_input"
            )


def _cycle(data: GraphData) -> list[str]:
    """The nodes of one loop in wire order, or none."""
    order = topological(data)
    place = {node: i for i, node in enumerate(order)}
    back = next(
        (w for w in data.wires if w.source in place and w.target in place and place[w.source] >= place[w.target]), None
    )
    if back is None:
        return []
    following: dict[str, list[str]] = {}
    for wire in data.wires:
        following.setdefault(wire.source, []).append(wire.target)
    # The wire closes a loop only with a way back from its target to its source; breadth first finds a shortest one.
    for start, goal in [(w.target, w.source) for w in data.wires if w.source in place and w.target in place]:
        came: dict[str, str] = {start: ""}
        queue = [start]
        for node in queue:
            if node == goal:
                path = [node]
                while came[path[-1]]:
                    path.append(came[path[-1]])
                return path[::-1]
            for target in following.get(node, ()):
                if target not in came and target in place:
                    came[target] = node
                    queue.append(target)
    return []


def _wires(data: GraphData, catalogue: Catalogue | None) -> Iterator[Problem]:
    nodes = {n.id: n for n in data.nodes}
    seen: dict[tuple[str, str], str] = {}
    for wire in data.wires:
        remove = (Fix("Remove the wire", ({"op": "disconnect", "wire": wire.id},)),)
        source, target = nodes.get(wire.source), nodes.get(wire.target)
        if source is None or target is None:
            gone = wire.source if source is None else wire.target
            kept = target or source
            yield Problem(
                "error",
                f"Wire {wire.id} {'starts' if source is None else 'ends'} at node {gone!r}, which is gone. Remove it.",
                kept.id if kept else None,
                code="dangling",
                fixes=remove,
            )
            continue
        key = (wire.target, wire.target_port)
        if key in seen:
            yield Problem(
                "error",
                f"{target.title}: input {wire.target_port} has two wires. Remove one.",
                target.id,
                wire.target_port,
                "occupied",
                remove,
            )
        seen[key] = wire.id
        if catalogue is not None:
            yield from _ports(wire.source_port, wire.target_port, source, target, catalogue, remove)


def _ports(
    out_name: str, in_name: str, source: Node, target: Node, catalogue: Catalogue, remove: tuple[Fix, ...]
) -> Iterator[Problem]:
    gives, takes = catalogue.get(source.component), catalogue.get(target.component)
    output = gives.output(out_name) if gives else None
    entered = takes.input(in_name) if takes else None
    if gives and output is None:
        names = ", ".join(p.name for p in gives.outputs) or "none"
        message = f"{source.title} has no output {out_name!r} (it has {names}). Wire another one."
        yield Problem("error", message, source.id, code="port", fixes=remove)
    if takes and entered is None:
        names = ", ".join(p.name for p in takes.inputs) or "none"
        message = f"{target.title} has no input {in_name!r} (it has {names}). Wire another one."
        yield Problem("error", message, target.id, in_name, "port", remove)
    if output and entered and output.kind != entered.kind and "any" not in (output.kind, entered.kind):
        wanted, given = kind_words(entered.kind), kind_words(output.kind)
        message = (
            f"{target.title}: input {in_name} takes {wanted}, {source.title} gives {given}. "
            f"Wire a node that gives {wanted}."
        )
        yield Problem("error", message, target.id, in_name, "kind", remove)


def _incomplete(node: Node, data: GraphData, catalogue: Catalogue) -> Problem | None:
    """A composite of the document that has parts which are not here."""
    drawn = next((c for c in data.composites if c.id == node.component), None)
    if drawn is None:
        return None
    own, wanted, missing = {c.id: c for c in data.composites}, [drawn], dict[str, None]()
    for composite in wanted:  # grows while it is walked
        parts = missing_parts(composite, catalogue)
        missing.update((part, None) for part in parts if part not in own)
        wanted += [own[part] for part in parts if part in own and own[part] not in wanted]
    names = ", ".join(missing) or "itself as one of its parts"
    message = f"{node.title}: it needs {names}, not installed here. Install the package that has it; the node is kept."
    return Problem("error", message, node.id, code="unknown_component")


def _unknown(node: Node, catalogue: Catalogue) -> Problem:
    known = {c.rpartition(".")[2]: c for c in catalogue}
    last = node.component.rpartition(".")[2]
    close = difflib.get_close_matches(node.component, list(catalogue), 1, 0.75)
    close = close or [known[n] for n in difflib.get_close_matches(last, list(known), 1, 0.75)]
    hint = f"Did you mean {close[0]}?" if close else "Install the package that has it, or replace the node."
    fixes: tuple[Fix, ...] = ()
    if close:
        edit = {"op": "replace", "node": node.id, "component": close[0]}
        fixes = (Fix(f"Replace by {catalogue[close[0]].name}", (edit,)),)
    message = f"{node.title or node.id}: unknown component {node.component!r}. {hint} The node and its wires are kept."
    return Problem("error", message, node.id, code="unknown_component", fixes=fixes)


def _missing_inputs(wired: set[str], node: Node, spec: ComponentSpec) -> Iterator[Problem]:
    for port in spec.inputs:
        if port.name not in wired:
            name = port.name + (".0" if port.variadic else "")
            given = kind_words(port.kind)
            message = f"{node.title}: input {port.name} is not wired. Drag a wire from a node that gives {given}."
            yield Problem("error", message, node.id, name, "missing")


def _params(node: Node, spec: ComponentSpec) -> Iterator[Problem]:
    for name, value in node.params.items():
        param = spec.param(name)
        if param is None:
            known = ", ".join(p.name for p in spec.settings) or "none"
            message = f"{node.title}: {spec.title} has no parameter {name!r} (it has {known}). Remove it."
            edit = {"op": "reset_param", "node": node.id, "name": name}
            yield Problem("error", message, node.id, code="param", fixes=(Fix(f"Remove {name}", (edit,)),))
        elif not param.derived and (wrong := param.check(value)):
            yield Problem(
                "error", f"{node.title}: {wrong}", node.id, code="param", fixes=_param_fixes(node, param, value)
            )
    for param in spec.settings:
        if param.required and param.name not in node.params:
            yield Problem("error", f"{node.title}: {param.name} must be set.", node.id, code="param")


def _param_fixes(node: Node, param: Param, value: object) -> tuple[Fix, ...]:
    fixes = []
    if param.type in ("int", "float") and isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = param.minimum, param.maximum
        near = low if low is not None and value < low else high if high is not None and value > high else None
        if near is not None:
            near = int(near) if param.type == "int" else near
            edit = {"op": "set_param", "node": node.id, "name": param.name, "value": near}
            fixes.append(Fix(f"Set {param.name} to {near}", (edit,)))
    if not param.required:
        edit = {"op": "reset_param", "node": node.id, "name": param.name}
        fixes.append(Fix(f"Set {param.name} to its default, {param.default}", (edit,)))
    return tuple(fixes)
