"""Somebody's model as a document, whatever file it comes in: a model table, an ONNX file, a Python file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from designer.graph.model import GraphData
from designer.importing.drawing import Drawing
from designer.importing.operations import OpGraph
from designer.importing.patterns import recognise
from designer.importing.python_file import import_python
from designer.importing.table import ImportFailed, read_table
from designer.importing.table_document import import_table
from designer.importing.writing import ModelImport, save_weights, to_document
from nodes.sdk import user_files

TABLES, ONNX, PYTHON = (".yaml", ".yml"), (".onnx",), (".py",)
Progress = Callable[[float, str], None]


@dataclass
class Opened:
    """What became of a file.

    Attributes:
        document: to be shown or saved.
        lines: the report in sentences.
        notes: what differs, or is kept as a placeholder.
        report: the same as data; empty for a table.
    """

    document: GraphData
    lines: list[str]
    notes: list[str]
    report: dict[str, Any] = field(default_factory=dict)


def open_model(
    path: Path,
    *,
    scale: str = "",
    name: str = "",
    size: str = "",
    trust: bool = False,
    weights: Path | None = None,
    progress: Progress = lambda fraction, text: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Opened:
    """Reads a model.

    Args:
        path: the file; its suffix says what it is.
        scale: of a table.
        name: of what builds the model in a Python file.
        size: of the image: `640`, `480x640` or `3x480x640`; what the file says comes first.
        trust: the user has read a Python file and lets it run.
        weights: where carried weights are written; beside the file by default.
        progress: told what is done, with a share from 0 to 1.
        cancelled: asked while a Python file runs.

    Raises:
        ImportFailed: with what is wrong in the file.
        NotTrusted: for a Python file that is not trusted.
    """
    kind = path.suffix.lower()
    weights = weights or _beside(path)
    if kind in TABLES:
        found = import_table(read_table(path, scale), image_size(size or "640")[1])
        return Opened(found.document.data, [], found.notes)
    channels_and_sides = image_size(size or "224")
    if kind in ONNX:
        progress(0.1, f"Reading {path.name}")
        model = import_onnx(path, channels_and_sides[1])
        progress(0.8, "Writing the weights")
        save_weights(model, weights)
        return Opened(model.data, model.lines(), model.notes, model.to_json())
    if kind in PYTHON:
        if trust:
            try:
                user_files.trust(path)
            except OSError as error:
                raise ImportFailed(f"{path}: {error.strerror}.") from None
        progress(0.1, f"Running {path.name} and tracing its model")
        told = import_python(path, name, channels_and_sides, weights, cancelled)
        document = GraphData.model_validate(told["document"])
        return Opened(document, told["lines"], told["report"]["notes"], told["report"])
    known = ", ".join((*TABLES, *ONNX, *PYTHON))
    raise ImportFailed(f"{path}: files that end in {known} can be imported.")


def _beside(path: Path) -> Path:
    """Where the weights of a file go: beside it, or with the user's data where nothing can be written there."""
    folder = path.parent
    if not os.access(folder, os.W_OK):
        folder = Path(platformdirs.user_data_dir("netwright")) / "imported"
    return folder / f"{path.stem}.safetensors"


def image_size(text: str) -> tuple[int, int, int]:
    """Channels, height and width.

    Raises:
        ImportFailed: for anything but `640`, `480x640` and `3x480x640`.
    """
    numbers = [int(n) for n in re.findall(r"\d+", text)] if re.fullmatch(r"\d+(x\d+){0,2}", text) else []
    if not numbers or min(numbers) < 1 or max(numbers) > 16384:
        raise ImportFailed(f"The size is {text!r}; write 640, 480x640 or 3x480x640, up to 16384.")
    height, width = (numbers * 2)[:2] if len(numbers) == 1 else numbers[-2:]
    return (numbers[0] if len(numbers) == 3 else 3), height, width


def import_graph(graph: OpGraph) -> ModelImport:
    """Recognises blocks and draws them."""
    recognise(graph)
    return to_document(graph, Drawing(graph).run())


def import_onnx(path: str | Path, size: int = 224) -> ModelImport:
    """An ONNX file as a document; `save_weights` then writes its weights.

    Args:
        path: the file.
        size: height and width in pixels where the file leaves them free.

    Raises:
        ImportFailed: when it cannot be read.
    """
    from designer.importing.onnx_reader import read_onnx

    found = import_graph(read_onnx(path, size))
    if found.placeholders:  # some files leave the batch free in name only, and compute with one image
        alone = import_graph(read_onnx(path, size, images=1))
        if len(alone.placeholders) < len(found.placeholders):
            return alone
    return found
