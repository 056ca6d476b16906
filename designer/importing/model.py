"""From a model's operations to a document: the way that ONNX files and torch modules share."""

from __future__ import annotations

from pathlib import Path

from designer.importing.drawing import Drawing
from designer.importing.operations import OpGraph
from designer.importing.patterns import recognise
from designer.importing.writing import ModelImport, to_document


def import_graph(graph: OpGraph) -> ModelImport:
    """Recognises blocks and draws them."""
    recognise(graph)
    return to_document(graph, Drawing(graph).run())


def import_onnx(path: str | Path, size: int = 224) -> ModelImport:
    """An ONNX file as a document; `writing.save_weights` then writes its weights.

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
