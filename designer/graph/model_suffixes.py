"""What the names of model files end in that are shown beside the documents."""

from __future__ import annotations

ONNX = (".onnx",)
SAFETENSORS = (".safetensors",)
PYTORCH = (".pt", ".pth", ".ckpt")
SUFFIXES = (*ONNX, *SAFETENSORS, *PYTORCH)
