"""What an ONNX export says of the file that it wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from designer.export.errors import ExportError
from designer.export.onnx_check import TIES, Difference

ROUNDINGS = 4
"""Two runtimes round differently: each is off by as much as torch is, here or elsewhere in the batch by more."""


@dataclass
class OnnxReport:
    """What was written and how it compares.

    Attributes:
        path: the file.
        size_bytes: of the file.
        inputs: their names.
        input_shape: of the first, with the words `batch`, `height`, `width` where it is free.
        max_abs_diff: largest difference of any score or logit; of a map that no head gives in parts of its largest
            value, where that is over 1.
        boxes_max_abs_diff: largest difference of a matched box's corner, in pixels; 0 without boxes.
        unmatched: detections with a score of 0.05 or more that have no partner.
        compared: how many detections, or values, were compared; fresh weights may find nothing.
        latency_ms: median of onnxruntime for the smallest batch on this machine.
        torch_ms: median of torch, in turns with it.
        before: metrics of the torch model on validation images, where they were asked for.
        after: the file's metrics on the same images.
        openvino: the file for OpenVINO, if asked for.
        openvino_diff: its largest difference of a score from torch.
    """

    path: Path
    opset: int
    precision: str
    size_bytes: int
    inputs: list[str]
    input_shape: list[int | str]
    outputs: list[str]
    max_abs_diff: float
    boxes_max_abs_diff: float
    unmatched: int
    compared: int
    latency_ms: float
    torch_ms: float
    seconds: float
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    openvino: Path | None = None
    openvino_diff: float = 0.0

    def refuse_if_wrong(self, side: int, rounding: Callable[[], Difference]) -> None:
        """Raises ExportError where onnxruntime and torch disagree.

        A model whose outputs are moved by rounding alone may differ by as much, up to ten times the bars.

        Args:
            side: the image's longer one in pixels.
            rounding: tells how far torch is from itself in float64; only asked where a bar is missed.
        """
        bars = [1e-3, 1e-3 * side]
        found = (self.max_abs_diff, self.boxes_max_abs_diff)
        if any(value > bar for value, bar in zip(found, bars, strict=True)):
            moved = rounding()
            bars = [
                min(max(bar, ROUNDINGS * own), 10 * bar)
                for bar, own in zip(bars, (moved.scores, moved.boxes), strict=True)
            ]
        wrong = any(value > bar for value, bar in zip(found, bars, strict=True))
        if wrong or self.unmatched > TIES * self.compared:
            raise ExportError(
                f"onnxruntime disagrees with torch: scores by {self.max_abs_diff:.2g}, "
                f"boxes by {self.boxes_max_abs_diff:.2g} px, {self.unmatched} detections unmatched. "
                "Nothing was written; try another opset, or export to PyTorch."
            )

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self), "path": str(self.path), "openvino": str(self.openvino) if self.openvino else None,
        }  # fmt: skip

    def text(self) -> str:
        boxes = f", boxes {self.boxes_max_abs_diff:.2g} px" if "boxes" in self.outputs else ""
        boxes += " (these weights find nothing, so there were no boxes to compare)" if not self.compared else ""
        lost = f", {self.unmatched} of {self.compared} detections without partner" if self.unmatched else ""
        shape = " x ".join(map(str, self.input_shape))
        lines = [
            f"{self.path}: {self.size_bytes / 2**20:.1f} MB, opset {self.opset}, {self.precision}, input {shape}, "
            f"{self.latency_ms:.1f} ms a batch (torch {self.torch_ms:.1f} ms); "
            f"onnxruntime against torch: largest difference {self.max_abs_diff:.2g}{boxes}{lost}."
        ]
        if self.before:
            shown = [
                f"{k} {v:.4f} -> {self.after[k]:.4f}" for k, v in self.before.items() if isinstance(v, float) and v >= 0
            ]
            lines.append(f"On {self.before['images']} validation images, torch -> this file: {', '.join(shown)}.")
        if self.openvino:
            lines.append(f"OpenVINO: {self.openvino}, largest difference {self.openvino_diff:.2g}.")
        return "\n".join(lines)
