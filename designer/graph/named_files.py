"""The files that a document names: its data set, and weights that its nodes start from.

In a file, what lies in the document's own folder or below is named from there (`./weights/stem.safetensors`), so that
the folder can be moved, given away or kept under version control; in memory every path is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from designer.graph.model import GraphData

BESIDE = "./"
KEY = "#"
"""Between a file and the key in it below which a node's tensors are: `file:mine.safetensors#backbone`."""
_FILE = "file:"


def split_key(where: str) -> tuple[str, str]:
    """The path and the key of what a node names after `file:`; a key is "" where none is named."""
    path, _, key = where.rpartition(KEY)
    return (path, key) if key.isidentifier() else (where, "")  # a mark that belongs to the file's name


def file_source(path: Path | str, key: str = "") -> str:
    """What a node names to start from a file, or from what is below one key of it."""
    return f"{_FILE}{path}{KEY if key else ''}{key}"


def weight_files(data: GraphData) -> list[str]:
    """The paths of all files that nodes start from, each once."""
    named = (node.weights.removeprefix(_FILE) for node in data.nodes if node.weights.startswith(_FILE))
    return list(dict.fromkeys(split_key(where)[0] for where in named))


def with_weights(data: GraphData, change: Callable[[str], str]) -> GraphData:
    """The document with the path of each file that a node starts from replaced by what `change` gives."""

    def changed(weights: str) -> str:
        path, key = split_key(weights.removeprefix(_FILE))
        return file_source(change(path), key)

    nodes = [
        node.model_copy(update={"weights": changed(node.weights)}) if node.weights.startswith(_FILE) else node
        for node in data.nodes
    ]
    return data.model_copy(update={"nodes": nodes})


def named_from(data: GraphData, folder: Path) -> GraphData:
    """As it is written into a file in this folder."""
    base = os.path.abspath(folder)

    def change(path: str) -> str:
        inside = os.path.isabs(path) and Path(path).is_relative_to(base)
        return BESIDE + Path(path).relative_to(base).as_posix() if inside else path

    return _with_files(data, change)


def found_from(data: GraphData, folder: Path) -> GraphData:
    """As it is in memory, read from a file in this folder."""
    base = os.path.abspath(folder)

    def change(path: str) -> str:
        return os.path.normpath(os.path.join(base, path)) if path.startswith(BESIDE) else path

    return _with_files(data, change)


def _with_files(data: GraphData, change: Callable[[str], str]) -> GraphData:
    settings = data.data.model_copy(update={"path": change(data.data.path)})
    return with_weights(data, change).model_copy(update={"data": settings})
