"""Weights for an export: from a run folder, a checkpoint or a safetensors file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from designer.engine.compile import Compiled, compile_document
from designer.engine.pretrained import load_pretrained
from designer.export.errors import ExportError
from designer.graph.model import GraphData
from designer.train import checkpoint
from designer.train.run import RunFolder


@dataclass
class Weights:
    """A state dict and the class names that came with it, none for plain weights."""

    state: dict[str, Tensor]
    class_names: list[str]


@dataclass
class WeightsReport:
    """What was written: how many tensors, and the parameters among them."""

    path: Path
    tensors: int
    parameters: int

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}

    def text(self) -> str:
        return f"{self.path}: {self.tensors} tensors, {self.parameters:,} parameters."


def read_weights(path: Path) -> Weights:
    """The best averaged weights of a run folder, or those of a checkpoint or safetensors file. Runs no code.

    Raises:
        NetwrightError: when there are none, or the file is damaged.
    """
    path = Path(path)
    if path.is_dir():
        path = RunFolder.open(path).weights()
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return Weights(load_file(path), [])
        except (OSError, SafetensorError) as error:
            raise ExportError(f"{path}: these weights cannot be read: {error}.") from None
    state = checkpoint.load(path)
    return Weights(state["ema"] or state["model"], list(state.get("class_names", ())))


def load_weights(model: nn.Module, weights: Weights, source: object) -> None:
    """Loads weights into a model; every key must fit.

    Raises:
        ExportError: naming the first keys that are missing, unknown or of another shape.
    """
    own = model.state_dict()
    missing = [k for k in own if k not in weights.state]
    unknown = [k for k in weights.state if k not in own]
    wrong = [k for k in own if k in weights.state and own[k].shape != weights.state[k].shape]
    if missing or unknown or wrong:
        parts = [f"{len(keys)} {what} (first {keys[0]})" for what, keys in
                 (("missing", missing), ("unknown", unknown), ("of another shape", wrong)) if keys]  # fmt: skip
        raise ExportError(
            f"{source}: these weights are not this model's: {'; '.join(parts)}. Choose the run of this document."
        )
    model.load_state_dict(weights.state)


def prepared(data: GraphData, weights: str | Path | None) -> tuple[Compiled, Weights | None]:
    """A compiled document in eval mode with the weights of an export, and those weights if they were read.

    Args:
        data: the document.
        weights: run folder, checkpoint or safetensors file; by default those that the nodes name, the rest drawn.

    Raises:
        GraphError: when the document cannot run.
        NetwrightError: when the weights cannot be read, or are another model's.
    """
    compiled = compile_document(data)
    loaded = read_weights(Path(weights)) if weights else None
    if loaded is not None:
        load_weights(compiled.model, loaded, weights)
    else:
        load_pretrained(compiled, data)
    compiled.eval()
    return compiled, loaded


def export_weights(data: GraphData, path: str | Path, weights: str | Path | None = None) -> WeightsReport:
    """Writes a document's weights alone, as safetensors with our names.

    Raises:
        GraphError: when the document cannot run.
        ExportError: when the file cannot be written.
    """
    path = Path(path)
    compiled, _ = prepared(data, weights)
    state = {k: v.contiguous().clone() for k, v in compiled.model.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".netwright-", dir=path.parent) as place:
            save_file(state, Path(place) / path.name)
            os.replace(Path(place) / path.name, path)
    except OSError as error:
        reason = error.strerror or error
        raise ExportError(f"{path}: the file cannot be written: {reason}. Choose another place.") from None
    return WeightsReport(path, len(state), sum(p.numel() for p in compiled.model.parameters()))


def class_names(data: GraphData, weights: Weights | None, compiled: Compiled) -> list[str]:
    """Names of the first head's classes: from the training, from the shapes data, else `class 0`, `class 1`, ..."""
    head = compiled.heads[0] if compiled.heads else None
    count = getattr(head.module, "num_classes", 0) if head else 0
    names = list(weights.class_names) if weights is not None else []
    if not names and data.data.kind == "shapes":
        from designer.data.semantic import BACKGROUND
        from designer.data.shapes import NAMES

        names = [BACKGROUND] * (head is not None and head.task == "semantic") + list(NAMES[: data.data.classes])
    return (names + [f"class {i}" for i in range(len(names), count)])[: count or None]


def sample_image(shape: tuple[int, ...], batch: int = 1) -> Tensor:
    """A batch that looks like images rather than noise: drawn shapes for RGB, smooth waves otherwise."""
    height, width = shape[-2:]
    if shape[1] == 3:
        from designer.data.shapes import draw

        pixels = [torch.from_numpy(draw(i, (height, width), split="val")[0].copy()) for i in range(batch)]
        return torch.stack(pixels).permute(0, 3, 1, 2).float() / 255
    generator = torch.Generator().manual_seed(0)
    return torch.rand((batch, *shape[1:]), generator=generator)
