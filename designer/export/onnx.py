"""Export to ONNX with everything inside, compared with torch in onnxruntime before it is called done."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from designer import __version__
from designer.engine.compile import Compiled, compile_document
from designer.engine.pretrained import load_pretrained
from designer.export.errors import ExportError
from designer.export.pytorch import flat_tensors
from designer.export.weights import class_names, load_weights, read_weights, sample_image
from designer.graph.model import GraphData
from nodes.types import Detections, MaskDetections, Structured

BATCHES = (1, 3)
"""Batch sizes at which the file is compared with torch."""
TIES = 0.01
"""Share of detections that may differ: of two overlapping boxes with equal scores, runtimes may keep either."""


@dataclass
class OnnxReport:
    """What was written and how it compares.

    Attributes:
        max_abs_diff: largest difference of any score or logit.
        boxes_max_abs_diff: largest difference of a matched box's corner, in pixels; 0 without boxes.
        unmatched: detections with a score of 0.05 or more that have no partner.
        compared: how many detections, or values, were compared; fresh weights may find nothing.
        latency_ms: median of onnxruntime for one image on this machine.
    """

    path: Path
    opset: int
    size_bytes: int
    inputs: list[str]
    outputs: list[str]
    max_abs_diff: float
    boxes_max_abs_diff: float
    unmatched: int
    compared: int
    latency_ms: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}

    def text(self) -> str:
        boxes = f", boxes {self.boxes_max_abs_diff:.2g} px" if "boxes" in self.outputs else ""
        boxes += " (these weights find nothing, so there were no boxes to compare)" if not self.compared else ""
        return (
            f"{self.path}: {self.size_bytes / 2**20:.1f} MB, opset {self.opset}, {self.latency_ms:.1f} ms an image; "
            f"onnxruntime against torch: largest difference {self.max_abs_diff:.2g}{boxes}."
        )


def export_onnx(
    data: GraphData,
    path: str | Path,
    weights: str | Path | None = None,
    names: list[str] | None = None,
    opset: int = 20,
) -> OnnxReport:
    """Writes an ONNX file with a free batch size.

    Args:
        data: the document.
        path: the file; replaced whole or not at all.
        weights: run folder, checkpoint or safetensors file; by default those that the nodes name, the rest drawn.
        names: class names for the metadata; those of the training by default.
        opset: ONNX operator set.

    Raises:
        GraphError: when the document cannot run.
        ExportError: when an operation has no ONNX form (its node is named), or onnxruntime disagrees.
    """
    began = time.perf_counter()
    path = Path(path)
    compiled = compile_document(data)
    loaded = read_weights(Path(weights)) if weights else None
    if loaded is not None:
        load_weights(compiled.model, loaded, weights)
    else:
        load_pretrained(compiled, data)
    compiled.eval()
    count = getattr(compiled.heads[0].module, "num_classes", 0) if compiled.heads else 0
    names = names or class_names(data, loaded, count)
    outputs = _output_names(compiled)
    program = _program(compiled, data, outputs, opset)
    _describe(program.model, compiled, names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".netwright-", dir=path.parent) as place:
            made = Path(place) / path.name
            with _quiet():
                program.save(str(made), external_data=False)
            differences = [_compare(made, compiled, outputs, batch) for batch in BATCHES]
            report = OnnxReport(
                path, opset, made.stat().st_size, compiled.inputs, outputs,
                max(d[0] for d in differences), max(d[1] for d in differences), max(d[2] for d in differences),
                sum(d[3] for d in differences),
                _latency(made, compiled), round(time.perf_counter() - began, 1),
            )  # fmt: skip
            _refuse(report, max(compiled.image_size))
            os.replace(made, path)
    except OSError as error:
        raise ExportError(f"{path}: the file cannot be written: {error.strerror}. Choose another place.") from None
    return report


def _output_names(compiled: Compiled) -> list[str]:
    with torch.no_grad():
        output = compiled.model(sample_image(compiled.input_shape))
    values = [output] if isinstance(output, (Tensor, Structured)) else list(output)
    names: list[str] = []
    for label, value in zip(compiled.outputs, values, strict=True):
        prefix = f"{label}_" if len(values) > 1 else ""
        if isinstance(value, Structured):
            names += [prefix + field for field in value._fields]
        else:
            names.append(label.replace(".", "_") if prefix else "probabilities" if compiled.heads else "output")
    return names


def _program(compiled: Compiled, data: GraphData, outputs: list[str], opset: int) -> Any:
    # Two images: a batch of one would be taken for a constant.
    sample = sample_image(compiled.input_shape, 2)
    batch = torch.export.Dim("batch", min=1)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                compiled.model, (sample,), dynamo=True, opset_version=opset, input_names=compiled.inputs,
                output_names=outputs, dynamic_shapes=({0: batch},), verbose=False,
            )  # fmt: skip
    except Exception as error:  # the exporter raises many kinds
        raise _explained(error, compiled, data) from None
    assert program is not None
    return program


def _explained(error: Exception, compiled: Compiled, data: GraphData) -> ExportError:
    """Names the node whose module stands last in the exporter's message."""
    text = str(error)
    titles = {n.id: n.title for n in data.nodes}
    found = [name for name in compiled.node_of if re.search(rf"\b{re.escape(name)}\b", text)]
    node = compiled.node_of[found[-1]] if found else None
    reason = text.strip().splitlines()[0][:200] if text.strip() else type(error).__name__
    where = f"{titles[node]} has no ONNX form" if node else "The model has no ONNX form"
    return ExportError(f"{where}: {reason} Replace that node, or export to PyTorch.", node)


def _describe(model: Any, compiled: Compiled, names: list[str]) -> None:
    """Metadata that a program needs to use the file: names, size, stride, what goes in."""
    strides = getattr(compiled.heads[0].module, "strides", ()) if compiled.heads else ()
    model.producer_name, model.producer_version = "netwright", __version__
    model.metadata_props.update(
        {
            "names": json.dumps(names),
            "task": compiled.heads[0].task if compiled.heads else "",
            "image_size": json.dumps(compiled.image_size),
            "stride": str(max(strides, default=1)),
            "preprocessing": json.dumps(
                {"layout": "NCHW", "colour": "RGB", "range": [0, 1], "fit": "letterbox", "pad": 114}
            ),
            "version": __version__,
        }
    )


def _compare(path: Path, compiled: Compiled, names: list[str], batch: int) -> tuple[float, float, int, int]:
    """Largest difference of scores and of boxes in pixels, detections without partner, values compared."""
    sample = sample_image(compiled.input_shape, batch)
    session = _session(path)
    with torch.no_grad():
        expected = compiled.model(sample)
    got = [torch.from_numpy(v) for v in session.run(None, {session.get_inputs()[0].name: sample.numpy()})]
    if isinstance(expected, (Detections, MaskDetections)):
        return _match(expected, type(expected)(*got))
    scores = boxes = 0.0
    for name, a, b in zip(names, flat_tensors(expected), got, strict=True):
        difference = float((a.double() - b.double()).abs().max()) if a.numel() else 0.0
        if name.endswith("boxes"):
            boxes = max(boxes, difference)
        else:
            scores = max(scores, difference)
    return scores, boxes, 0, sum(t.numel() for t in got)


def _match(
    expected: Detections | MaskDetections, got: Detections | MaskDetections, least: float = 0.05
) -> tuple[float, float, int, int]:
    """Compares detections as sets: each with its nearest of the same class, since equal scores may change places.

    A mask counts with the mean difference of its cells: where a border moves by a rounding, single cells jump.
    """
    scores, boxes, lost, compared = 0.0, 0.0, 0, 0
    for i in range(len(expected.labels)):
        wanted = ((expected.labels[i] >= 0) & (expected.scores[i] >= least)).nonzero()[:, 0]
        compared += len(wanted)
        for row in wanted:
            same = (got.labels[i] == expected.labels[i][row]).nonzero()[:, 0]
            if not len(same):
                lost += 1
                continue
            apart = (got.boxes[i][same] - expected.boxes[i][row]).abs().amax(1)
            near = int(apart.argmin())
            if float(apart[near]) > 1.0:
                lost += 1
                continue
            boxes = max(boxes, float(apart[near]))
            scores = max(scores, float((got.scores[i][same[near]] - expected.scores[i][row]).abs()))
            if isinstance(expected, MaskDetections) and isinstance(got, MaskDetections):
                scores = max(scores, float((got.masks[i][same[near]] - expected.masks[i][row]).abs().mean()))
    return scores, boxes, lost, compared


def _refuse(report: OnnxReport, side: int) -> None:
    if (
        report.max_abs_diff > 1e-3
        or report.boxes_max_abs_diff > 1e-3 * side
        or report.unmatched > TIES * report.compared
    ):
        raise ExportError(
            f"onnxruntime disagrees with torch: scores by {report.max_abs_diff:.2g}, "
            f"boxes by {report.boxes_max_abs_diff:.2g} px, "
            f"{report.unmatched} detections unmatched. Nothing was written; try another opset, or export to PyTorch."
        )


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _latency(path: Path, compiled: Compiled, runs: int = 7) -> float:
    """Median milliseconds for one image, after one run that warms up."""
    session, sample = _session(path), sample_image(compiled.input_shape).numpy()
    feed = {session.get_inputs()[0].name: sample}
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - start) * 1e3)
    return round(sorted(times[1:])[runs // 2], 2)


@contextlib.contextmanager
def _quiet() -> Any:
    """Keeps the exporter's prints, logs and deprecation notes to itself."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
