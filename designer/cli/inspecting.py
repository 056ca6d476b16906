"""`netwright inspect`: what is in an ONNX, safetensors or PyTorch file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from designer.cli.output import console, count, print_json, table
from designer.model_files.opened import open_model
from designer.ui.wording import memory

SHOWN = 40
"""Tensors that are listed; `--json` has all."""


def inspect_file(file: Path, as_json: bool) -> None:
    """Prints a summary without reading any large value."""
    found = open_model(file).summary()
    if as_json:
        print_json(found)
        return
    facts = {"file": file, "format": found["format"], "size": memory(found["bytes"])}
    if "ir_version" in found:
        opsets = ", ".join(f"{domain} {version}" for domain, version in found["opsets"].items())
        facts |= {"operators": opsets, "IR version": found["ir_version"], "nodes": count(found["nodes"])}
    facts |= {"parameters": count(found["parameters"]), **found["metadata"]}
    table("Model", ("", ""), ((k, v) for k, v in facts.items()))
    for side in ("inputs", "outputs"):
        if side in found:
            table(f"\n{side.capitalize()}", ("name", "type", "shape"), map(_value, found[side]))
    if found.get("ops"):
        table("\nOperators", ("operator", "nodes"), found["ops"].items(), right=("nodes",))
    tensors = found["tensors"]
    rows = ((t["name"], t["dtype"], _shape(t["shape"]), memory(t["bytes"]), t["problem"]) for t in tensors[:SHOWN])
    if tensors:
        table(f"\n{len(tensors)} tensors", ("name", "type", "shape", "size", ""), rows, right=("size",))
    if len(tensors) > SHOWN:
        console.print(f"… and {len(tensors) - SHOWN} more; --json lists all.", highlight=False)
    for note in found.get("notes", ()):
        console.print(f"Note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def _value(value: dict[str, Any]) -> tuple[str, str, str]:
    return value["name"], value["dtype"], _shape(value["shape"])


def _shape(sizes: list[Any] | None) -> str:
    return "unknown" if sizes is None else " × ".join(map(str, sizes)) or "scalar"
