"""Commands about documents: new, templates, components, check, summary, diff."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from designer.cli.output import console, count, fail, giga, megabytes, print_json, table
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from designer.graph.problems import Problem
from designer.graph.storage import read, write_text
from designer.graph.templates import load_template
from designer.graph.templates import templates as all_templates

if TYPE_CHECKING:
    from designer.engine.analysis import Cost
    from designer.engine.propagate import NodeResult, Propagation
    from nodes.sdk.build import Info
    from nodes.sdk.spec import ComponentSpec, Param


def new_document(file: Path, template: str) -> None:
    """Writes a template to `file`; an existing file is never overwritten."""
    if file.suffix != ".netwright":
        file = file.with_name(file.name + ".netwright")
    if file.exists():
        raise NetwrightError(f"{file} exists already. Choose another name, or delete it first.")
    document = load_template(template)
    document.data.name = file.stem
    document.save(file)
    console.print(
        f"Wrote {file}. Open it with [bold]netwright gui {file}[/] or train it with [bold]netwright train {file}[/]."
    )


def list_templates(as_json: bool) -> None:
    found = all_templates()
    if as_json:
        print_json([{"name": t.name, "title": t.title, "summary": t.summary, "task": t.task} for t in found])
        return
    table("Templates", ("name", "task", "what it is"), ((t.name, t.task, t.summary) for t in found))


def list_components(wanted: str, as_json: bool) -> None:
    """All components, those that match some words, or the whole of one."""
    from nodes.sdk.discover import library

    catalogue = library().catalogue
    if wanted in catalogue:
        spec = catalogue[wanted]
        print_json(spec.to_json()) if as_json else _describe(spec)
        return
    words = wanted.lower().split()
    found = [s for s in catalogue.values() if all(w in _searchable(s) for w in words)]
    if not found:
        close = difflib.get_close_matches(wanted, catalogue, n=1)
        hint = f" Did you mean {close[0]}?" if close else " `netwright components` lists all."
        raise NetwrightError(f"No component matches {wanted!r}.{hint}")
    if as_json:
        print_json([s.to_json() for s in found])
        return
    rows = sorted((s.category, s.id, s.summary) for s in found)
    table(f"{len(rows)} components", ("category", "id", "what it does"), rows)


def _searchable(spec: ComponentSpec) -> str:
    return " ".join((spec.id, spec.name, spec.title, spec.summary, spec.paper, *spec.aliases)).lower()


def _describe(spec: ComponentSpec) -> None:
    console.print(f"[bold]{spec.title}[/]  {spec.id}", highlight=False)
    console.print(spec.doc + (f"\n\nPaper: {spec.paper}" if spec.paper else ""), markup=False, highlight=False)
    ports = [("in", p) for p in spec.inputs] + [("out", p) for p in spec.outputs]
    table(
        "\nPorts",
        ("", "name", "kind", "dims"),
        ((side, p.name + (" ..." * p.variadic), p.kind, p.dims) for side, p in ports),
    )
    if spec.params:
        rows = ((p.name, p.type, "from the wires" if p.derived else p.default, _limits(p), p.help) for p in spec.params)
        table("\nParameters", ("name", "type", "default", "allowed", "help"), rows)


def _limits(param: Param) -> str:
    if param.choices:
        return ", ".join(map(str, param.choices))
    low, high = param.minimum, param.maximum
    text = (
        f"{low:g} to {high:g}"
        if low is not None and high is not None
        else f"{low:g} or more"
        if low is not None
        else ""
    )
    return f"{text} {param.unit}".strip()


def load_and_propagate(file: Path) -> tuple[Document, Propagation, list[Problem]]:
    """Opens a document and runs its shapes. The problems are the document's own and the engine's, errors first."""
    document = Document.load(file)  # before torch, which takes seconds: it may be no document
    from designer.engine.propagate import propagate
    from nodes.sdk.discover import library

    registry = library()
    document.catalogue = registry.catalogue
    result = propagate(document.data, registry)
    order = {"error": 0, "warning": 1, "advice": 2}
    return document, result, sorted(result.problems, key=lambda p: order[p.severity])


def check_document(file: Path, as_json: bool) -> None:
    document, _, problems = load_and_propagate(file)
    failed = any(p.severity == "error" for p in problems)
    if as_json:
        print_json({"file": str(file), "ok": not failed, "problems": [p.to_json() for p in problems]})
    elif not problems:
        console.print(f"{file}: {len(document.data.nodes)} nodes, no problem found.")
    else:
        titles = {node.id: node.title for node in document.data.nodes}
        for p in problems:
            style = {"error": "bold red", "warning": "yellow", "advice": "cyan"}[p.severity]
            console.print(f"[{style}]{p.severity}[/] ", end="")
            where = f"{titles[p.node]}: " if p.node in titles and titles[p.node] not in p.message else ""
            console.print(where + p.message, markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(2)


def summarise(file: Path, as_json: bool, with_parts: bool = False) -> None:
    """Prints a row for each node, or with parts one for each component inside it."""
    document, result, problems = load_and_propagate(file)
    from designer.engine.parts import parts

    if errors := [p for p in problems if p.severity == "error"]:
        raise fail(f"{file} cannot run: {errors[0].message} `netwright check {file}` lists all.")
    inside = parts(document.data, result) if with_parts else {}
    if as_json:
        told = {node: [part.to_json() for part in own] for node, own in inside.items()}
        print_json({"file": str(file), **result.to_json(), **({"parts": told} if with_parts else {})})
        return
    rows = []
    for node_id in document.order():
        node, found = document.node(node_id), result.nodes[node_id]
        rows += [
            _layer_row(" › ".join([node.title, *part.path]), part.spec.id, part.outcome.outputs, part.outcome.cost)
            for part in inside.get(node_id, ())
        ] or [_layer_row(node.title, node.component, found.outputs, found)]
    columns = ("node", "component", "output", "parameters", "GMACs", "activations")
    table(document.data.name, columns, rows, right=columns[3:])
    totals = result.totals
    console.print(
        f"\n{count(totals['params'])} parameters ({count(totals['trainable'])} trained; "
        f"{count(totals['deployed'])} once deployed, with norms folded and branches merged), "
        f"{giga(totals['macs'])} GMACs, {megabytes(totals['activation_bytes'])} of activations an image",
        highlight=False,
    )


def _layer_row(title: str, component: str, outputs: Mapping[str, Info], cost: Cost | NodeResult) -> tuple[str, ...]:
    shapes = ", ".join(map(_shape, outputs.values()))
    return title, component, shapes, count(cost.params), giga(cost.macs), megabytes(cost.activation_bytes)


def diff_documents(a: Path, b: Path, as_json: bool, picture: Path | None = None, *, dark: bool = False) -> None:
    """Lists what differs, or draws it; a run folder stands for its frozen document."""
    from designer.graph.compare import differences
    from designer.train.run import RunFolder

    first, second = (RunFolder.open(p).document() if p.is_dir() else read(p) for p in (a, b))
    found = differences(first, second)
    if picture is not None:
        draw_differences(first, second, picture, dark)
    if as_json:
        print_json({"a": str(a), "b": str(b), "equal": not found, "differences": [d.to_json() for d in found]})
        return
    for one in found:
        console.print(one.text, highlight=False, markup=False, soft_wrap=True)
    if not found:
        console.print("No difference: both train alike.")
    if picture is not None:
        console.print(f"Wrote {picture}.", highlight=False, markup=False, soft_wrap=True)


def draw_differences(a: GraphData, b: GraphData, picture: Path, dark: bool) -> None:
    """Writes the picture. An SVG is text, so it needs no Qt."""
    if picture.suffix.lower() == ".svg":
        from designer.graph.diff_picture import diff_picture

        write_text(picture, diff_picture(a, b, dark=dark))
    else:
        from designer.ui.compare_page import save_diff_picture

        save_diff_picture(a, b, picture, dark=dark)


def _shape(info: Any) -> str:
    from nodes.sdk.build import shape_text

    return shape_text(info)
