"""Models leaving Netwright: a PyTorch folder, an ONNX file, a .pt2 program, weights alone. Imports torch when used."""

from __future__ import annotations

from designer.export.onnx import OnnxReport, export_onnx
from designer.export.program import ProgramReport, export_program
from designer.export.pytorch import PytorchReport, export_pytorch
from designer.export.weights import WeightsReport, export_weights

__all__ = [
    "OnnxReport",
    "ProgramReport",
    "PytorchReport",
    "WeightsReport",
    "export_onnx",
    "export_program",
    "export_pytorch",
    "export_weights",
]
