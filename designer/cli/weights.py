"""`netwright weights` and `netwright finetune`: what fits of a checkpoint, and a trained model for other data."""

from __future__ import annotations

from pathlib import Path

from designer.cli.output import console, count, print_json, table
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.training import DataSettings


def weights_of(file: Path, checkpoint: Path, write: bool, as_json: bool) -> None:
    """Says what of a checkpoint fits a document, and makes the document start from it if asked."""
    from designer.engine.load_weights import load_weights, start_from
    from nodes.sdk.discover import library

    document = Document.load(file, library().catalogue)
    found = load_weights(document.data, checkpoint, file.absolute().parent if write else None)
    if write:
        start_from(document, found.sources, f"Load weights of {checkpoint.name}")
        document.save(file)
    if as_json:
        print_json(found.to_json())
        return
    for line in found.matched.text().splitlines():
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if write:
        said = f"{file} starts from {found.path}."
    else:
        said = f"To start from them: netwright weights {file} {checkpoint} --write"
    console.print(said, highlight=False, markup=False, soft_wrap=True)


def finetune(
    base: Path, data: str, out: Path, weights: str, task: str, channels: int, freeze: bool, as_json: bool
) -> None:
    """Writes a document that goes on from a trained one on other data."""
    from designer.engine.finetune import Wanted, base_document, fine_tune

    if out.suffix != ".netwright":
        out = out.with_name(out.name + ".netwright")
    if out.exists():
        raise NetwrightError(f"{out} exists already. Choose another name, or delete it first.")
    start = base_document(base) if base.is_dir() else Document.load(base).data
    begin = weights or (str(base) if base.is_dir() else "")
    wanted = Wanted(begin, data_settings(data), task, channels, freeze)
    found = fine_tune(start, wanted, out.absolute().parent)
    document = Document(found.document)
    document.data.name = out.stem
    document.save(out)
    if as_json:
        print_json({**found.to_json(), "path": str(out)})
        return
    for change in found.changes:
        console.print(f"{change.what}. {change.why}", highlight=False, markup=False, soft_wrap=True)
    rows = [(n.title, n.state, count(n.kept), count(n.new), "frozen" if n.frozen else "", n.how) for n in found.nodes]
    columns = ("node", "weights", "kept", "new", "", "how")
    table(f"\n{out.stem}: parameters", columns, rows, right=("kept", "new"))
    table("\nTraining", ("setting", "value", "why"), [(p.field, p.value, p.why) for p in found.training if p.is_change])
    console.print(f"\nWrote {out}. Train it with: netwright train {out}", highlight=False, soft_wrap=True)


def data_settings(text: str) -> DataSettings:
    """`KIND:PATH` as a data section; `shapes:2` are drawn shapes of two classes.

    Raises:
        NetwrightError: for an unknown kind.
    """
    kind, _, path = text.partition(":")
    if kind == "shapes":
        return DataSettings(classes=int(path)) if path.isdigit() and 1 <= int(path) <= 6 else DataSettings()
    if kind not in ("coco", "yolo", "voc", "folder", "masks") or not path:
        raise NetwrightError(f"{text!r} names no data. Give KIND:PATH, such as yolo:data.yaml or folder:IMAGES.")
    return DataSettings.model_validate({"kind": kind, "path": str(Path(path).expanduser().resolve())})
