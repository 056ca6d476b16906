"""Export as one `.pt2` file: a program of torch operators with its weights, which runs without any of our code."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from designer.export.errors import ExportError
from designer.export.onnx_check import flat_tensors
from designer.export.weights import prepared, sample_image
from designer.graph.model import GraphData
from nodes.reparam import fuse


@dataclass
class ProgramReport:
    """What was written, and its largest difference from the deployed model."""

    path: Path
    size_bytes: int
    max_abs_diff: float

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}

    def text(self) -> str:
        size = f"{self.size_bytes / 2**20:.1f} MB"
        return f"{self.path}: {size}; outputs within {self.max_abs_diff:.2g} of the deployed model's at two batches."


class _Flat(nn.Module):
    """A model that returns a plain tuple of tensors: a file of torch operators knows no named tuples of ours."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        return tuple(flat_tensors(self.model(*images)))


def export_program(data: GraphData, path: str | Path, weights: str | Path | None = None) -> ProgramReport:
    """Writes the model as it is deployed, with a free batch size; `torch.export.load(path).module()` runs it.

    Args:
        data: the document.
        path: the file; replaced whole or not at all.
        weights: run folder, checkpoint or safetensors file; by default those that the nodes name, the rest drawn.

    Raises:
        GraphError: when the document cannot run.
        ExportError: when a node cannot be traced, or the file disagrees.
    """
    path = Path(path)
    compiled, _ = prepared(data, weights)
    model = _Flat(fuse(compiled.model)).eval()
    samples = [tuple(sample_image(shape, batch) for shape in compiled.input_shapes) for batch in (2, 3)]
    batch = torch.export.Dim("batch", min=1)
    try:
        with torch.no_grad():
            program = torch.export.export(model, samples[0], dynamic_shapes=(tuple({0: batch} for _ in samples[0]),))
    except Exception as error:  # tracing raises many kinds
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ExportError(f"The model cannot be traced: {reason} Export a PyTorch folder instead.") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".netwright-", dir=path.parent) as place:
            made = Path(place) / path.name
            torch.export.save(program, made)
            loaded = torch.export.load(made).module()
            difference = max(_difference(model, loaded, sample) for sample in samples)
            if difference > 1e-3:
                raise ExportError(f"The written file gives other outputs (off by {difference:.2g}). Please report it.")
            os.replace(made, path)
    except OSError as error:
        raise ExportError(f"{path}: the file cannot be written: {error.strerror}. Choose another place.") from None
    return ProgramReport(path, path.stat().st_size, difference)


def _difference(model: nn.Module, loaded: nn.Module, images: tuple[Tensor, ...]) -> float:
    with torch.no_grad():
        pairs = list(zip(model(*images), loaded(*images), strict=True))
    return max(float((a.double() - b.double()).abs().max()) if a.numel() else 0.0 for a, b in pairs)
