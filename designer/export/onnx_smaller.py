"""An ONNX file made smaller and faster: float16, 8-bit integers, fewer nodes. What decodes boxes stays as it is."""

from __future__ import annotations

import ast
import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from designer.export.errors import ExportError

EIGHT_BIT = ("Conv", "Gemm", "MatMul", "MaxPool", "Concat", "Resize", "Add", "GlobalAveragePool")
"""Operators with 8-bit kernels. Activations such as SiLU stay in float32: they lose most and gain least."""


def decoding(model: Any, heads: set[str], posts: set[str]) -> list[str]:
    """Names of the nodes that turn maps into boxes, scores and detections.

    Coordinates in pixels need more than the 11 bits of float16 and the 8 of integers. The exporter writes on each node
    which module it came from: what a head does beside its submodules, and all that an NMS does, is decoding. A node
    without that note was made by the exporter's own clean-up and stays too.

    Args:
        model: the file as onnx reads it.
        heads: submodule names of the heads.
        posts: submodule names of what follows them, such as an NMS.
    """
    kept = []
    for node in model.graph.node:
        notes = {p.key: p.value for p in node.metadata_props}
        scopes = ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))
        inner = [s for s in scopes[1:-1] if s]
        if not inner or inner[-1] in heads or inner[0].partition(".")[0] in posts:
            kept.append(node.name)
    return kept


def to_half(path: Path, heads: set[str], posts: set[str]) -> None:
    """Rewrites a file with float16 weights and layers; what goes in, comes out or decodes stays float32.

    The layers are cut out, converted by onnxruntime's tool, and put back: that tool does not look into loops.
    """
    import onnx
    import onnx_ir
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(path)
    graph = model.graph
    kept = set(decoding(model, heads, posts))
    rest = [n for n in graph.node if n.name in kept or any(a.HasField("g") for a in n.attribute)]
    layers = [n for n in graph.node if n not in rest]
    elsewhere = {name for n in rest for name in _used(n)} | {o.name for o in graph.output}
    known = {v.name: v for v in (*graph.value_info, *graph.input, *graph.output)}
    constants = {t.name: t for t in graph.initializer}
    made = [o for n in layers for o in n.output]
    taken = {i for n in layers for i in n.input if i} - set(made)
    _rename(layers, {name: f"{name}_half" for name in taken & set(constants) & elsewhere})
    own = []
    for name in sorted(taken & set(constants)):
        own.append(onnx.TensorProto.FromString(constants[name].SerializeToString()))
        own[-1].name = f"{name}_half" if name in elsewhere else name
    part = onnx.helper.make_graph(
        layers, "layers", [known[n] for n in sorted(taken - set(constants))],
        [known[n] for n in made if n in elsewhere], own,
    )  # fmt: skip
    half = convert_float_to_float16(
        onnx.helper.make_model(part, opset_imports=model.opset_import), keep_io_types=True, disable_shape_infer=True
    )
    shared = [t for t in graph.initializer if t.name in elsewhere]
    for old, new in ((graph.node, [*rest, *half.graph.node]), (graph.initializer, [*shared, *half.graph.initializer])):
        copies = [type(item).FromString(item.SerializeToString()) for item in new]
        del old[:]
        old.extend(copies)
    del graph.value_info[:]
    ordered = onnx_ir.from_proto(model)
    ordered.graph.sort()
    onnx.save(onnx_ir.to_proto(ordered), path)


def _used(node: Any) -> Iterator[str]:
    """Names that a node takes, those its inner graphs take from outside included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _used(inner)
            yield from (o.name for o in graph.output)


def _rename(nodes: list[Any], names: dict[str, str]) -> None:
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]


def to_int8(path: Path, heads: set[str], posts: set[str], images: Iterator[np.ndarray], input_name: str) -> None:
    """Rewrites a file with 8-bit weights and layers, each layer's range fitted on calibration images [1, C, H, W].

    Weights have a scale per output channel and 7 of the 8 bits, so that no product overflows on processors without
    8-bit dot products.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(images, None)
            return None if image is None else {input_name: image}

    model = onnx.load(path)
    whole = path.with_suffix(".float.onnx")
    path.rename(whole)
    quantize_static(
        str(whole), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=list(EIGHT_BIT),
        nodes_to_exclude=decoding(model, heads, posts),
    )  # fmt: skip
    whole.unlink()


def slim(path: Path) -> None:
    """Rewrites a file with constants folded and repeated nodes joined, by onnxslim.

    Raises:
        ExportError: when onnxslim is not installed.
    """
    import onnx

    tool = needed("onnxslim", "Simplify")
    before = logging.root.manager.disable
    made = tool.slim(onnx.load(path))
    logging.disable(before)
    onnx.save(made, path)


def to_openvino(path: Path, target: Path) -> None:
    """Writes an ONNX file as OpenVINO's pair of files, `target` (.xml) and the weights (.bin) beside it.

    Raises:
        ExportError: when openvino is not installed, or cannot convert the file.
    """
    tool = needed("openvino", "OpenVINO")
    try:
        tool.save_model(tool.convert_model(path), target, compress_to_fp16=False)
    except Exception as error:  # whatever its converter raises
        reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else type(error).__name__
        raise ExportError(f"OpenVINO cannot convert this model: {reason} The ONNX file itself is good.") from None


def needed(package: str, option: str) -> Any:
    """A package that is not installed with Netwright by default.

    Raises:
        ExportError: with the command that installs it.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ExportError(
            f"{option} needs the package {package}: pip install {package}. Or export without it."
        ) from None
