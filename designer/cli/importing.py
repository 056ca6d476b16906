"""`netwright import`: another program's model as a document."""

from __future__ import annotations

from pathlib import Path

from designer.cli.output import console, count, print_json
from designer.graph.errors import NetwrightError


def import_model(file: Path, out: Path | None, scale: str, size: int, as_json: bool) -> None:
    """Reads a model table and writes a document beside it; an existing file is never overwritten."""
    from designer.engine.propagate import propagate
    from designer.importing import import_table, read_table

    target = out or Path(f"{file.stem}{scale}.netwright")
    if target.exists():
        raise NetwrightError(f"{target} exists already. Choose another name with --out, or delete it first.")
    found = import_table(read_table(file, scale), size)
    found.document.save(target)
    totals = propagate(found.document.data).totals
    if as_json:
        print_json({"path": str(target), "params": totals["params"], "notes": found.notes})
        return
    layers = len(found.document.data.nodes)
    console.print(f"Wrote {target}: {layers} nodes, {count(totals['params'])} parameters.", soft_wrap=True)
    for note in found.notes:
        console.print(f"Note: {note}", highlight=False, markup=False, soft_wrap=True)
