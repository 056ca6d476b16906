"""Weights for documents that nobody has trained; for the scripts of this folder."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from designer.engine.compile import compile_document
from designer.export.weights import sample_image
from designer.graph.model import GraphData


def draw_weights(data: GraphData, path: Path, scale: float = 1.0) -> None:
    """Saves drawn weights after the norms have seen images; `scale` is by what batch norms multiply."""
    torch.manual_seed(1)
    compiled = compile_document(data)
    compiled.train()
    for module in compiled.model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            torch.nn.init.constant_(module.weight, scale)
    with torch.no_grad():
        (compiled.train_model or compiled.model)(sample_image(compiled.input_shape, 4))
    save_file({k: v.contiguous().clone() for k, v in compiled.model.state_dict().items()}, path)
