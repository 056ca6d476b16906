"""Export to ONNX with everything inside, compared with torch in onnxruntime before it is called done."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from designer import __version__
from designer.data.dataset import DataSplits, load_dataset, make_loader
from designer.engine.compile import Compiled
from designer.export import onnx_smaller
from designer.export.errors import ExportError
from designer.export.onnx_check import (
    Difference,
    OnnxModel,
    OpenvinoModel,
    compare,
    detections_of,
    latencies,
    worst,
)
from designer.export.onnx_report import OnnxReport
from designer.export.weights import class_names, prepared, sample_image
from designer.graph.model import GraphData
from designer.graph.onnx_options import OnnxOptions
from designer.graph.training import unaugmented
from designer.train.tasks import evaluate, task_of
from nodes.post.select import DetectionRows
from nodes.reparam import fuse
from nodes.sdk.discover import library
from nodes.types import Structured

BATCHES = (1, 3)
"""Batch sizes at which the file is compared with torch where the batch is free."""
LEAST_MULTIPLE = 32
"""A free height and width are multiples of the largest stride, and of this at least."""
MEASURED = 128
"""Validation images on which an int8 file is measured if nothing else is said."""


def export_onnx(
    data: GraphData,
    path: str | Path,
    weights: str | Path | None = None,
    names: list[str] | None = None,
    options: OnnxOptions | None = None,
) -> OnnxReport:
    """Writes an ONNX file of the model as it is deployed: branches merged, norms folded.

    Args:
        data: the document.
        path: the file; replaced whole or not at all.
        weights: run folder, checkpoint or safetensors file; by default those that the nodes name, the rest drawn.
        names: class names for the metadata; those of the training by default.
        options: batch, size, precision and the like.

    Raises:
        GraphError: when the document cannot run.
        ExportError: when an operation has no ONNX form (its node is named), or onnxruntime disagrees.
        DataError: when calibration or measuring needs data that cannot be read.
    """
    return _Export(data, Path(path), weights, names, options or OnnxOptions()).run()


class _Export:
    def __init__(
        self, data: GraphData, path: Path, weights: str | Path | None, names: list[str] | None, options: OnnxOptions
    ) -> None:
        self.data = data if options.post else _without_post(data)
        self.path, self.options = path, options
        self.compiled, loaded = prepared(self.data, weights)
        self.deployed = fuse(self.compiled.model)
        self.names = names or class_names(self.data, loaded, self.compiled)
        self.outputs = _output_names(self.compiled)
        self.heads = {h.name for h in self.compiled.heads}
        self.posts = _posts(self.compiled, self.data)
        self.multiple = max([LEAST_MULTIPLE, *_strides(self.compiled)])
        if options.openvino:
            onnx_smaller.needed("openvino", "OpenVINO")
        if options.slim:
            onnx_smaller.needed("onnxslim", "Simplify")

    def run(self) -> OnnxReport:
        began = time.perf_counter()
        program = self._program()
        _describe(program.model, self.compiled, self.names, self.options)
        target = self.path.with_suffix(".xml") if self.options.openvino else None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".netwright-", dir=self.path.parent) as place:
                made = Path(place) / self.path.name
                with _quiet():
                    program.save(str(made), external_data=False)
                    self._rewrite(made)
                report = self._checked(made)
                if target:
                    with _quiet():
                        onnx_smaller.to_openvino(made, made.with_suffix(".xml"))
                    other, batch = OpenvinoModel(made.with_suffix(".xml")), self.options.batch or 1
                    report.openvino_diff = self._compare(other, self.compiled.image_size, batch).scores
                    os.replace(made.with_suffix(".bin"), target.with_suffix(".bin"))
                    os.replace(made.with_suffix(".xml"), target)
                    report.openvino = target
                os.replace(made, self.path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ExportError(f"{self.path}: the file cannot be written: {reason}. Choose another place.") from None
        report.seconds = round(time.perf_counter() - began, 1)
        return report

    def _program(self) -> Any:
        # Two images where the batch is free: a batch of one would be taken for a constant.
        shapes = [sample_image(shape, self.options.batch or 2) for shape in self.compiled.input_shapes]
        free: dict[int, Any] = {} if self.options.batch else {0: torch.export.Dim("batch", min=1)}
        if self.options.free_size:
            free[2] = self.multiple * torch.export.Dim("height_cells", min=1)
            free[3] = self.multiple * torch.export.Dim("width_cells", min=1)
        try:
            with _quiet(), torch.no_grad():
                program = torch.onnx.export(
                    self.deployed, tuple(shapes), dynamo=True, opset_version=self.options.opset,
                    input_names=self.compiled.inputs, output_names=self.outputs,
                    dynamic_shapes=tuple(free for _ in shapes) if free else None, verbose=False,
                )  # fmt: skip
        except Exception as error:  # the exporter raises many kinds
            raise self._explained(error) from None
        assert program is not None
        # The exporter may give up on free sides without a word and write down those of the sample.
        written = list(program.model.graph.inputs[0].shape or ())
        if any(isinstance(written[side], int) for side in free):
            raise (
                self._fixed()
                if self.options.free_size
                else ExportError(
                    "The batch size of this model cannot be left free. Export with a fixed one, such as 1."
                )
            )
        return program

    def _explained(self, error: Exception) -> ExportError:
        """Names the node whose module stands last in the exporter's message."""
        text = str(error)
        titles = {n.id: n.title for n in self.data.nodes}
        found = [name for name in self.compiled.node_of if re.search(rf"\b{re.escape(name)}\b", text)]
        node = self.compiled.node_of[found[-1]] if found else None
        if self.options.free_size and ("onstraint" in text or "_cells" in text):
            return self._fixed(node)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        reason = lines[0][:200] if lines else type(error).__name__
        where = f"{titles[node]} has no ONNX form" if node else "The model has no ONNX form"
        return ExportError(f"{where}: {reason} Replace that node, or export to PyTorch.", node)

    def _rewrite(self, made: Path) -> None:
        if self.options.precision == "fp16":
            onnx_smaller.to_half(made, self.heads, self.posts)
        elif self.options.precision == "int8":
            onnx_smaller.to_int8(made, self.heads, self.posts, self._calibration(), self.compiled.inputs[0])
        if self.options.slim:  # last: it drops the notes that say what decodes
            onnx_smaller.slim(made)

    def _calibration(self) -> Iterator[Any]:
        """Training images as the model sees them, not augmented."""
        loader = make_loader(self._splits().train, self._task(), self.options.batch or 1, shuffle=True)
        for batch in islice(loader, self.options.calibration):
            if len(batch.items) == (self.options.batch or 1):
                yield batch.images.numpy()

    def _task(self) -> str:
        return task_of(self.compiled)

    def _splits(self) -> DataSplits:
        return load_dataset(self.data.data, self.compiled.image_size, self._task(), unaugmented(self.data.training))

    def _checked(self, made: Path) -> OnnxReport:
        """Compares the file with torch, measures both, and refuses a file that is wrong."""
        session = OnnxModel(made)
        differences = []
        for size in self._sizes():
            for batch in (self.options.batch,) if self.options.batch else BATCHES:
                differences.append(self._compare(session, size, batch))
        found = worst(differences)
        images = [sample_image(s, self.options.batch or 1) for s in self.compiled.input_shapes]
        onnx_ms, torch_ms = latencies(lambda: session(*images), lambda: self.deployed(*images))
        before, after = self._metrics(session)
        report = OnnxReport(
            self.path, self.options.opset, self.options.precision, made.stat().st_size, self.compiled.inputs,
            self._input_shape(), self.outputs, found.scores, found.boxes, found.unmatched, found.compared,
            onnx_ms, torch_ms, 0.0, before, after,
        )  # fmt: skip
        if self.options.precision == "fp32":
            report.refuse_if_wrong(max(self.compiled.image_size), self._rounding)
        return report

    def _sizes(self) -> list[tuple[int, int]]:
        """The designed size, and a smaller one of other proportions where the size is free."""
        height, width = self.compiled.image_size
        if not self.options.free_size:
            return [(height, width)]
        step = self.multiple
        return [(height, width), (max(step, height // 2 // step * step), max(step, width // step * step - step))]

    def _rounding(self) -> Difference:
        """How far torch is from itself in float64: what rounding alone does to this model's outputs."""
        images = [sample_image(shape, self.options.batch or max(BATCHES)) for shape in self.compiled.input_shapes]
        with torch.no_grad():
            rounded = self.compiled.model(*images)
            exact = copy.deepcopy(self.compiled.model).double()(*(image.double() for image in images))
        return self._apart(exact, rounded)

    def _compare(self, session: nn.Module, size: tuple[int, int], batch: int) -> Difference:
        images = [sample_image((*shape[:2], *size), batch) for shape in self.compiled.input_shapes]
        try:
            with torch.no_grad():
                expected = self.compiled.model(*images)
            got = session(*images)
        except Exception as error:  # whatever the runtime raises
            if size != self.compiled.image_size:
                raise self._fixed() from None
            reason = str(error).strip().splitlines()[0][:200]
            raise ExportError(f"The written file does not run: {reason} Try another opset, or fewer options.") from None
        return self._apart(expected, got)

    def _apart(self, expected: Any, got: Any) -> Difference:
        """How far two sets of outputs are from each other; rows of detections as the detections that they tell."""
        writer = next((m for m in self.compiled.model.modules() if isinstance(m, DetectionRows)), None)
        if writer is not None and isinstance(expected, Tensor):
            expected, got = detections_of(expected, writer), detections_of(got, writer)
        return compare(expected, got, self.outputs, of_head=bool(self.compiled.heads))

    def _fixed(self, node: str | None = None) -> ExportError:
        height, width = self.compiled.image_size
        return ExportError(
            f"The model is built for {height} x {width} pixels, so its image size cannot be left free. "
            "Export with the fixed size.", node
        )  # fmt: skip

    def _input_shape(self) -> list[int | str]:
        shape: list[int | str] = list(self.compiled.input_shape)
        shape[0] = self.options.batch or "batch"
        if self.options.free_size:
            shape[2:] = ["height", "width"]
        return shape

    def _metrics(self, session: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
        count = self.options.measure or (MEASURED if self.options.precision == "int8" else 0)
        if not count or not self.compiled.heads:
            return {}, {}
        splits, task, batch = self._splits(), self._task(), self.options.batch or 1
        images = torch.utils.data.Subset(splits.val, range(min(count, len(splits.val))))  # type: ignore[arg-type]

        def measured(model: nn.Module) -> dict[str, Any]:
            loader = make_loader(images, task, batch, shuffle=False)
            found = evaluate(model, loader, task, splits.class_names, torch.device("cpu"))
            return {k: v for k, v in found.items() if isinstance(v, (int, float))}

        return measured(self.deployed), measured(session)


def _without_post(data: GraphData) -> GraphData:
    """The document without what follows its heads in evaluation."""
    catalogue = library().catalogue
    gone = {n.id for n in data.nodes if n.component in catalogue and catalogue[n.component].role == "post"}
    wires = [w for w in data.wires if w.source not in gone and w.target not in gone]
    return data.model_copy(update={"nodes": [n for n in data.nodes if n.id not in gone], "wires": wires})


def _posts(compiled: Compiled, data: GraphData) -> set[str]:
    catalogue = library().catalogue
    posts = {n.id for n in data.nodes if n.component in catalogue and catalogue[n.component].role == "post"}
    return {name for name, node in compiled.node_of.items() if node in posts}


def _strides(compiled: Compiled) -> list[int]:
    found: list[int] = []
    for head in compiled.heads:
        strides = getattr(head.module, "strides", ())
        found += [int(s) for s in (strides if isinstance(strides, (tuple, list)) else (strides,))]
    return found


def _output_names(compiled: Compiled) -> list[str]:
    with torch.no_grad():
        output = compiled.model(*(sample_image(shape) for shape in compiled.input_shapes))
    values = [output] if isinstance(output, (Tensor, Structured)) else list(output)
    names: list[str] = []
    for label, value in zip(compiled.outputs, values, strict=True):
        prefix = f"{label}_" if len(values) > 1 else ""
        if isinstance(value, Structured):
            names += [prefix + field for field in value._fields]
        else:
            names.append(label.replace(".", "_") if prefix else "probabilities" if compiled.heads else "output")
    return names


def _describe(model: Any, compiled: Compiled, names: list[str], options: OnnxOptions) -> None:
    """Metadata that a program needs to use the file: names, size, stride, what goes in."""
    model.producer_name, model.producer_version = "netwright", __version__
    model.metadata_props.update(
        {
            "names": json.dumps(names),
            "task": compiled.heads[0].task if compiled.heads else "",
            "image_size": json.dumps(compiled.image_size),
            "free_size": json.dumps(options.free_size),
            "stride": str(max(_strides(compiled), default=1)),
            "preprocessing": json.dumps(
                {"layout": "NCHW", "colour": "RGB", "range": [0, 1], "fit": "letterbox", "pad": 114}
            ),
            "version": __version__,
        }
    )


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
