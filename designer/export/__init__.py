"""Models leaving Netwright: a PyTorch folder, an ONNX file. Imports torch when used."""

from __future__ import annotations

from designer.export.onnx import OnnxReport, export_onnx
from designer.export.pytorch import PytorchReport, export_pytorch

__all__ = ["OnnxReport", "PytorchReport", "export_onnx", "export_pytorch"]
