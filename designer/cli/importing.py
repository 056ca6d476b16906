"""`netwright import`: another program's model as a document."""

from __future__ import annotations

from pathlib import Path

from designer.cli.output import console, count, print_json
from designer.graph.document import Document
from designer.graph.errors import NetwrightError


def import_model(file: Path, out: Path | None, scale: str, name: str, size: str, trust: bool, as_json: bool) -> None:
    """Reads a model and writes a document, weights beside it; an existing document is never overwritten."""
    from designer.engine.propagate import propagate
    from designer.importing.model import open_model
    from designer.importing.python_file import NotTrusted

    target = out or Path(f"{file.stem}{scale}.netwright")
    if target.exists():
        raise NetwrightError(f"{target} exists already. Choose another name with --out, or delete it first.")
    weights = target.with_suffix(".safetensors")
    try:
        found = open_model(file, scale=scale, name=name, size=size, trust=trust, weights=weights)
    except NotTrusted as error:
        raise NetwrightError(f"{error} Then repeat the command with --trust.") from None
    Document(found.document).save(target)
    worked_out = propagate(found.document)
    totals = worked_out.totals
    if as_json:
        print_json({"path": str(target), "params": totals["params"], "notes": found.notes, "report": found.report})
        return
    layers = len(found.document.nodes)
    known = sum(result.status == "ok" for result in worked_out.nodes.values())
    size = f"{count(totals['params'])} parameters"
    if known < layers:  # what follows a placeholder has no shapes, and is not counted
        size += f" in the {known} whose shapes are known"
    console.print(f"Wrote {target}: {layers} nodes, {size}.", soft_wrap=True)
    for line in found.lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"Note: {note}", highlight=False, markup=False, soft_wrap=True)
