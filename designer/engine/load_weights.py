"""Weights of a whole checkpoint for a document: matched, kept as a safetensors file, and named by the nodes."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from designer.engine.compile import compile_document
from designer.engine.matching import Matched, match
from designer.engine.state_files import read_state
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from designer.graph.named_files import file_source


@dataclass
class WeightsIn:
    """What of a checkpoint fits a document, and what its nodes start from once it is stored."""

    matched: Matched
    sources: dict[str, str]
    """`Node.weights` by node id; empty while nothing is stored."""
    path: Path | None = None

    def to_json(self) -> dict[str, Any]:
        stored = str(self.path) if self.path is not None else None
        return {**self.matched.to_json(), "sources": self.sources, "stored": stored}


def load_weights(data: GraphData, checkpoint: Path, folder: Path | None = None) -> WeightsIn:
    """Matches a checkpoint to a document. The document itself is not changed.

    Args:
        data: the document.
        checkpoint: a safetensors file, a torch file of plain tensors, or a run folder.
        folder: where to keep what was matched; without one nothing is written.

    Raises:
        GraphError: when the document cannot run.
        NetwrightError: when the file cannot be read, or holds another model's weights.
    """
    state = read_state(checkpoint)
    with torch.device("meta"):  # shapes are enough
        compiled = compile_document(data)
    found = match(compiled, data, state)
    if folder is None:
        return WeightsIn(found, {})
    path = store(found.state(state.tensors), folder, f"{data.name}-{_name_of(checkpoint)}")
    return WeightsIn(found, sources_in(path, found), path)


def _name_of(checkpoint: Path) -> str:
    """A word for a checkpoint: of a run's `checkpoints/best.pt` it is the run that matters."""
    inside = checkpoint.parent.name == "checkpoints"
    return checkpoint.parent.parent.name if inside else checkpoint.stem if checkpoint.is_file() else checkpoint.name


def sources_in(path: Path, found: Matched) -> dict[str, str]:
    """What each node that takes something starts from."""
    return {taken.node: file_source(path, taken.module) for taken in found.nodes if taken.loaded}


def start_from(document: Document, sources: Mapping[str, str], name: str) -> None:
    """Makes nodes start from these weights, as one step of the history."""
    with document.edit(name):
        for node, source in sources.items():
            document.set_weights(node, source)


def store(state: Mapping[str, Tensor], folder: Path, name: str) -> Path:
    """Writes tensors as safetensors, whole or not at all, beside what is there.

    A file of that name with the same tensors serves as it is; one with others is left, so that what an undo goes back
    to is still there.

    Raises:
        NetwrightError: when the folder does not take it.
    """
    stem = re.sub(r"[^\w.-]+", "-", name.strip().lower()).strip("-.") or "weights"
    kept = {key: value.contiguous().clone() for key, value in state.items()}
    number, path = 1, folder / f"{stem}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while path.exists():
            if _same(path, kept):
                return path.absolute()
            number += 1
            path = folder / f"{stem}-{number}.safetensors"
        with tempfile.TemporaryDirectory(prefix=".netwright-", dir=folder) as place:
            save_file(kept, Path(place) / path.name)
            os.replace(Path(place) / path.name, path)
    except OSError as error:
        raise NetwrightError(
            f"{path}: the weights cannot be written: {error.strerror or error}. Save the document in another folder."
        ) from None
    return path.absolute()


def _same(path: Path, state: Mapping[str, Tensor]) -> bool:
    try:
        there = load_file(path)
    except Exception:  # damaged, or not safetensors at all
        return False
    return there.keys() == state.keys() and all(torch.equal(there[k], v) for k, v in state.items())
