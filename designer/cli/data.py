"""The data commands: what is wrong with a data set, and its figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from designer.cli.output import console, errors, print_json, table
from designer.graph.document import Document
from designer.graph.training import DataSettings

if TYPE_CHECKING:
    from designer.data.summary import PartSummary


def settings_of(path: Path) -> DataSettings:
    """The data section of a document, or settings for the data set at a path or KIND:PATH.

    Raises:
        NetwrightError: when the document cannot be read or the path holds no data set.
    """
    from designer.data.readers import READERS, kind_of

    kind, _, rest = str(path).partition(":")
    if kind in READERS and rest and not path.exists():
        return DataSettings.model_validate({"kind": kind, "path": rest})
    if path.suffix == ".netwright":
        return Document.load(path).data.data
    return DataSettings.model_validate({"kind": kind_of(path), "path": str(path)})


def check_files(path: Path, as_json: bool) -> None:
    """Lists every bad file and label; exit code 1 when there are errors."""
    from designer.data.check import check_data

    settings = settings_of(path)
    bar = Progress(
        TextColumn("Looking at images"), BarColumn(), MofNCompleteColumn(), console=errors,
        disable=as_json or not sys.stderr.isatty(), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("")
        report = check_data(settings, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        print_json({"kind": settings.kind, "path": settings.path, **report.to_json()})
    else:
        rows = [(f.severity, f"{f.file}:{f.line}" if f.line else f.file, f.what, f.remedy) for f in report.findings]
        if rows:
            table(f"{settings.kind} data at {settings.path}", ("severity", "where", "what", "what to do"), rows)
        warnings = len(rows) - report.errors
        console.print(f"{report.images} images: {report.errors} errors, {warnings} warnings", highlight=False)
    if report.errors:
        raise typer.Exit(1)


def summarise_files(path: Path, size: int, as_json: bool) -> None:
    """Figures of a data set, at the model's image size and with its strides where a document is given."""
    from designer.data.summary import middle, summarise_data

    settings = settings_of(path)
    image_size, stride, seed = (size, size), 0, 0
    if path.suffix == ".netwright":
        image_size, stride, seed = _model_of(path)
    found = summarise_data(settings, image_size, stride, seed)
    assert found is not None  # nobody cancels it here
    if as_json:
        print_json({"kind": settings.kind, "path": settings.path, "image_size": image_size, **found.to_json()})
        return
    parts = {"train": found.train, "val": found.val}
    table(
        f"{settings.kind} data at {settings.path}",
        ("part", "images", "objects", "without", "small", "medium", "large", "median box", "median ratio"),
        [
            (name, p.images, p.objects, p.empty, *p.by_size.values(), _median_box(p), f"{middle(p.aspect_ratios):.2f}")
            for name, p in parts.items()
        ],
        right=("images", "objects", "without", "small", "medium", "large", "median box", "median ratio"),
    )
    shares = [n / max(1, found.train.objects) for n in found.train.by_class]
    rows = zip(found.class_names, found.train.by_class, shares, found.val.by_class, strict=True)
    columns = ("train", "share", "val")
    table("Objects by class", ("class", *columns), [(n, t, f"{s:.1%}", v) for n, t, s, v in rows], right=columns)
    for line in (*found.notes, *found.remarks):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _median_box(part: PartSummary) -> str:
    from designer.data.summary import middle

    return " x ".join(f"{middle(sides):.0f}" for sides in zip(*part.box_sides, strict=True)) or "-"


def _model_of(path: Path) -> tuple[tuple[int, int], int, int]:
    """Image size, smallest stride of the heads (0 without one) and seed of a document."""
    from designer.engine.compile import compile_document
    from nodes.sdk.discover import library

    document = Document.load(path, library().catalogue)
    compiled = compile_document(document.data)
    strides = [s for head in compiled.heads for s in _strides(getattr(head.module, "strides", ()))]
    return compiled.image_size, min(strides, default=0), document.data.training.seed


def _strides(value: Any) -> list[int]:
    return [int(s) for s in (value if isinstance(value, (tuple, list)) else ())]
