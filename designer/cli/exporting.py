"""`netwright export`: a document or a run as PyTorch code or an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from designer.cli.output import console, print_json
from designer.graph import Document
from designer.train.run import RunFolder

SUFFIX = {"pytorch": "-pytorch", "onnx": ".onnx", "pt2": ".pt2", "weights": ".safetensors"}


def export_model(
    file: Path, to: str, out: Path | None, weights: Path | None, options: dict[str, Any], as_json: bool
) -> None:
    """Exports a document, or a run with its best weights. `options` are those of an ONNX file."""
    from designer.graph.onnx_options import onnx_options

    chosen = onnx_options(**options)
    if file.is_dir():
        run = RunFolder.open(file)
        document, weights, stem, place = Document(run.document()), weights or run.path, file.name, file
    else:
        document, stem, place = Document.load(file), file.stem, file.parent
    from designer import export  # torch, which takes seconds, once there is something to export
    from nodes.sdk.discover import library

    document.catalogue = library().catalogue
    target = out or place / (stem + SUFFIX[to])
    if to == "onnx":
        report: Any = export.export_onnx(document.data, target, weights, options=chosen)
    elif to == "pt2":
        report = export.export_program(document.data, target, weights)
    elif to == "weights":
        report = export.export_weights(document.data, target, weights)
    else:
        report = export.export_pytorch(document.data, target, weights)
    if as_json:
        print_json(report.to_json())
        return
    console.print(report.text(), highlight=False, markup=False, soft_wrap=True)
    if weights is None:
        console.print("The weights are those of a fresh model; give --weights RUN for trained ones.", style="yellow")
