"""Model files that are looked at: opened by what their names end in, the last few remembered with their figures."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from designer.graph.model_suffixes import PYTORCH, SAFETENSORS, SUFFIXES
from designer.model_files.tensors import ModelFileError

if TYPE_CHECKING:
    from designer.model_files.onnx_file import OnnxFile
    from designer.model_files.weight_file import WeightFile

    ModelFile = OnnxFile | WeightFile

KEPT = 4
"""Files that are remembered."""


def open_model(path: Path) -> ModelFile:
    """Opens a file without reading its large values.

    Raises:
        ModelFileError: it is not there, empty, broken, or of another kind.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ModelFileError(f"{path.name} is no model file that can be shown. These can: {', '.join(SUFFIXES)}.")
    try:
        if not path.is_file():
            raise ModelFileError(f"There is no file {path}.")
        if not path.stat().st_size:
            raise ModelFileError(f"{path.name} is empty. Copy or export it again.")
        if suffix in PYTORCH:
            from designer.model_files.weight_file import read_pytorch

            return read_pytorch(path)
        if suffix in SAFETENSORS:
            from designer.model_files.weight_file import read_safetensors

            return read_safetensors(path)
        from designer.model_files.onnx_file import read_onnx

        return read_onnx(path)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from None


class OpenedFiles:
    """The files that were opened last, with their drawings and the figures of their tensors."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[str, int, int], tuple[ModelFile, dict[str, Any]]] = OrderedDict()

    def show(self, path: Path, graph: str = "") -> dict[str, Any]:
        """The file's `summary` and, of an ONNX file, the `drawing` of one of its graphs."""
        file, known = self._open(path)
        found: dict[str, Any] = {"summary": file.summary()}
        if file.format == "ONNX":
            from designer.model_files.drawing import draw

            key = f"drawing {graph}"
            if key not in known:
                if graph not in file.graphs:  # type: ignore[union-attr]
                    raise ModelFileError(f"{path.name} has no graph {graph!r}.")
                known[key] = draw(file, graph)  # type: ignore[arg-type]
            found["drawing"] = known[key]
        return found

    def figures(self, path: Path, name: str, cancelled: Callable[[], bool]) -> dict[str, Any]:
        """The statistics of one tensor."""
        from designer.model_files.statistics import statistics

        file, known = self._open(path)
        if name not in file.tensors:
            raise ModelFileError(f"{path.name} has no tensor {name!r}.")
        key = f"figures {name}"
        if key not in known:
            known[key] = statistics(file.tensors[name], cancelled).to_json()
        return dict(known[key])

    def _open(self, path: Path) -> tuple[ModelFile, dict[str, Any]]:
        """A file that has changed since is opened anew."""
        try:
            state = path.stat()
        except OSError:
            raise ModelFileError(f"There is no file {path}.") from None
        key = (str(path), state.st_mtime_ns, state.st_size)
        if key not in self._files:
            self._files[key] = open_model(path), {}
        self._files.move_to_end(key)
        while len(self._files) > KEPT:
            self._files.popitem(last=False)
        return self._files[key]
