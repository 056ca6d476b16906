"""An ONNX file: its graphs, what flows between their nodes, its tensors. Large weights stay on the disk."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from onnx.helper import tensor_dtype_to_np_dtype

from designer.model_files.tensors import ModelFileError, Tensor, in_file, pieces
from designer.model_files.without_weights import Broken, Span, without_weights

_PACKED = ("int4", "uint4", "float4e2m1", "int2", "uint2")
"""Types of which a byte holds several values."""


@dataclass
class OnnxFile:
    """A model without its large values.

    Attributes:
        graphs: the main graph under "", graphs inside nodes (bodies of loops) under `node number/attribute`, the
            model's own functions under `function/name`; each with its title.
        notes: what could not be done, in sentences.
    """

    path: Path
    model: onnx.ModelProto
    tensors: dict[str, Tensor]
    graphs: dict[str, tuple[str, Any]]
    notes: list[str] = field(default_factory=list)
    format: str = "ONNX"

    def summary(self) -> dict[str, Any]:
        """Everything but the nodes and the values."""
        model, main = self.model, self.model.graph
        ops = Counter(node.op_type for _, graph in self.graphs.values() for node in graph.node)
        own = {t.name for t in main.initializer}
        made_by = f"{model.producer_name} {model.producer_version}".strip()
        facts = {"producer": made_by, "domain": model.domain, "description": model.doc_string, "graph": main.name}
        return {
            "path": str(self.path),
            "format": self.format,
            "bytes": self.path.stat().st_size,
            "ir_version": model.ir_version,
            "opsets": {o.domain or "ai.onnx": o.version for o in model.opset_import},
            "inputs": [value_info(v) for v in main.input if v.name not in own],
            "outputs": [value_info(v) for v in main.output],
            "nodes": sum(ops.values()),
            "ops": dict(ops.most_common()),
            "parameters": sum(t.count for t in self.tensors.values()),
            "tensors": [t.to_json() for t in self.tensors.values()],
            "metadata": {k: v for k, v in facts.items() if v} | {m.key: m.value for m in model.metadata_props},
            "graphs": {key: title for key, (title, _) in self.graphs.items()},
            "notes": self.notes,
        }


def read_onnx(path: Path) -> OnnxFile:
    """Reads the graph, infers shapes, and finds out where the weights lie.

    Raises:
        ModelFileError: it is no ONNX model, or was cut off.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            memoryview(data) as view,
        ):
            skeleton = without_weights(view)
        model = onnx.ModelProto.FromString(skeleton.model)
    except (Broken, DecodeError, UnicodeDecodeError) as error:
        reason = f" ({error})" if isinstance(error, Broken) else ""
        raise ModelFileError(
            f"{path.name} is no ONNX model, or was cut off{reason}. Copy or export it again."
        ) from None
    if not model.ir_version or not (model.graph.node or model.graph.output or model.graph.initializer):
        raise ModelFileError(f"{path.name} is no ONNX model: it holds no graph.")
    notes: list[str] = []
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # a broken model makes onnx raise any of a dozen types
        notes.append(f"Shapes between the nodes are not known: {(str(error).splitlines() or ['no reason'])[0]}")
    tensors = {t.name: _tensor(path, t, skeleton.spans.get(t.name)) for t in model.graph.initializer}
    graphs: dict[str, tuple[str, Any]] = {"": (model.graph.name or "main graph", model.graph)}
    graphs |= _inner("", model.graph)
    for function in model.functions:
        graphs[f"function/{function.name}"] = (f"function {function.name}", function)
    for key, (_, graph) in graphs.items():
        if key and isinstance(graph, onnx.GraphProto):
            tensors |= {t.name: _tensor(path, t, None) for t in graph.initializer if t.name not in tensors}
    if missing := [t for t in tensors.values() if t.problem.startswith("Its file")]:
        notes.append(f"{len(missing)} tensors lie in other files that are not there: {missing[0].problem}")
    return OnnxFile(path, model, tensors, graphs, notes)


def _inner(prefix: str, graph: Any) -> dict[str, tuple[str, Any]]:
    """The graphs inside nodes, and those inside them."""
    found: dict[str, tuple[str, Any]] = {}
    for number, node in enumerate(graph.node):
        for attribute in node.attribute:
            for body in (attribute.g,) if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs:
                key = f"{prefix}{number}/{attribute.name}"
                found[key] = (f"{attribute.name} of {node.op_type} {node.name}".strip(), body)
                found |= _inner(f"{key}/", body)
    return found


def _tensor(path: Path, proto: onnx.TensorProto, span: Span | None) -> Tensor:
    shape = tuple(proto.dims)
    dtype = type_name(proto.data_type)
    if proto.data_type in (onnx.TensorProto.STRING, onnx.TensorProto.UNDEFINED) or dtype.startswith("type "):
        size = sum(map(len, proto.string_data))
        return Tensor(proto.name, dtype, shape, size, lambda: iter(()), f"Values of type {dtype} are not shown.")
    np_dtype = np.dtype(tensor_dtype_to_np_dtype(proto.data_type))
    size = _size(shape, dtype, np_dtype)
    if proto.data_location == onnx.TensorProto.EXTERNAL:
        file, span, problem = _outside(path, proto, size)
        if problem or span is None:
            return Tensor(proto.name, dtype, shape, size, lambda: iter(()), problem)
    else:
        file = path
    if dtype in _PACKED and span is not None:
        return Tensor(proto.name, dtype, shape, size, lambda: iter(()), f"Values of type {dtype} are not shown.")
    if span is None:
        return Tensor(proto.name, dtype, shape, size, lambda: _inline(proto))
    if span.size != size:
        said = f"It has {span.size:,} bytes of values where its shape needs {size:,}."
        return Tensor(proto.name, dtype, shape, span.size, lambda: iter(()), said)
    return Tensor(proto.name, dtype, shape, size, in_file(file, span.offset, span.size, np_dtype))


def _inline(proto: onnx.TensorProto) -> Iterator[np.ndarray]:
    try:
        values = numpy_helper.to_array(proto)
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"{proto.name}: its values do not fit its shape ({error}).") from None
    yield from pieces(values.reshape(-1))


def _size(shape: tuple[int, ...], dtype: str, np_dtype: np.dtype[Any]) -> int:
    count = int(np.prod(shape, dtype=np.int64)) if shape else 1
    return (count + 1) // 2 if dtype.endswith(("int4", "e2m1")) else count * np_dtype.itemsize


def _outside(path: Path, proto: onnx.TensorProto, size: int) -> tuple[Path, Span | None, str]:
    """Where a tensor lies in another file, or why it cannot be read there. No file outside the model's folder is."""
    entries = {e.key: e.value for e in proto.external_data}
    name = entries.get("location", "")
    folder = path.parent.resolve()
    file = (folder / name).resolve()
    if not name or not file.is_relative_to(folder):
        return file, None, f"Its file {name!r} is outside the model's folder, which is not read."
    if not file.is_file():
        return file, None, f"Its file {name} is not there. Put it beside {path.name}."
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or size)
    except ValueError:
        return file, None, "Where it lies in its file is not said in numbers."
    if offset < 0 or offset + length > file.stat().st_size:
        return file, None, f"Its file {name} ends before its values do. Copy it again."
    return file, Span(offset, length), ""


def value_info(value: onnx.ValueInfoProto) -> dict[str, Any]:
    """A graph's input or output: `name`, `dtype`, `shape`, an open size being its name or "?"."""
    kind = value.type.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return {"name": value.name, "dtype": (kind or "").removesuffix("_type"), "shape": None}
    tensor = getattr(value.type, kind)
    known = tensor.HasField("shape")
    sizes = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]
    dtype = type_name(tensor.elem_type) if tensor.elem_type else ""
    return {"name": value.name, "dtype": dtype, "shape": sizes if known else None}


def type_name(number: int) -> str:
    """ONNX's number of a type as everybody calls it: `float32` where ONNX says FLOAT."""
    try:
        name = onnx.TensorProto.DataType.Name(number).lower()
    except ValueError:
        return f"type {number}"
    return {"float": "float32", "double": "float64"}.get(name, name)
