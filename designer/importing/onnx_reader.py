"""Reads an ONNX file: operations, weights, and shapes for one batch. The file is data; nothing in it is run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError, Message
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor
from torch import Tensor

from designer.importing.folding import CannotFold, filled, fold, tensor_of
from designer.importing.operations import IMAGES, LARGEST_TENSOR, MOST_OPERATIONS, Op, OpGraph, in_order, needed, said
from designer.importing.table import ImportFailed

OLDEST = 7
"""Before it, Add and the like broadcast along an attribute."""
ROUNDS = 12
"""Passes of shapes and folding; each takes the shapes a few reshapes further."""
WIDEST_SHAPE = 1024
"""Numbers of a constant that shape inference may look at."""
LONGEST_TEXT = 20_000


def read_onnx(path: str | Path, size: int = 224, images: int = IMAGES) -> OpGraph:
    """Reads a file.

    Args:
        path: an ONNX file; weights that it keeps outside are looked for beside it.
        size: height and width in pixels where the file leaves them free.
        images: in the batch where the file leaves it free.

    Raises:
        ImportFailed: with what is wrong in it.
    """
    path = Path(path)
    model = _load(path)
    opsets = {o.domain: o.version for o in model.opset_import}
    if "ai.onnx" in opsets:
        opsets[""] = opsets["ai.onnx"]
    opset, newest = opsets.get("", 0), onnx.defs.onnx_opset_version()
    if opset > newest:
        raise ImportFailed(
            f"{path}: it is written in opset {opset}, the onnx package here knows up to {newest}. Update onnx, or "
            "write the file with an older opset."
        )
    graph = OpGraph(path.stem, [], {}, [v.name for v in model.graph.output], opset=opset)
    _check_counts(model, path, opset or newest)
    if opset < OLDEST:
        graph.notes.append(f"It is written in opset {opset}, older than {OLDEST}; compare its results.")
    _take_weights(model, path, graph)
    _take_inputs(model, path, graph, size, images)
    graph.total = len(model.graph.node)
    _Folding(model, graph, {**opsets, "": opset or newest}).run()
    known = [*graph.constants, *graph.inputs, *_texts(model)]
    ops = in_order([_op(n, graph) for n in model.graph.node], known, path)
    graph.folded = graph.total - len(ops)
    for value in graph.outputs:
        if value not in {v for op in ops for v in op.outputs} | set(known):
            raise ImportFailed(f"{path}: its output {value!r} is given by nothing in the file.")
    graph.ops = needed(ops, graph.outputs)
    if left := len(ops) - len(graph.ops):
        names = ", ".join(said(op) for op in ops if op not in graph.ops)
        graph.notes.append(f"{left} operations lead to no output and are left out: {names[:160]}.")
    return graph


def _load(path: Path) -> ModelProto:
    try:
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except FileNotFoundError:
        raise ImportFailed(f"{path}: there is no such file.") from None
    except OSError as error:
        raise ImportFailed(f"{path}: the file cannot be read: {error.strerror or error}.") from None
    except (DecodeError, ValueError, RecursionError):
        raise ImportFailed(f"{path}: this is no ONNX file, or it is damaged or cut off.") from None
    if not model.graph.node or not model.graph.output:
        raise ImportFailed(f"{path}: this is no ONNX file, or it is damaged: it has no operations.")
    if len(model.graph.node) > MOST_OPERATIONS:
        raise ImportFailed(f"{path}: it has {len(model.graph.node)} operations; {MOST_OPERATIONS} can be read.")
    if not all(isinstance(name, str) for name in _names(model.graph)):
        raise ImportFailed(f"{path}: it is damaged: some of its names are no text.")
    if model.functions:
        from onnx.inliner import inline_local_functions

        try:
            model = inline_local_functions(model)
        except Exception as error:  # of its C++ part
            raise ImportFailed(f"{path}: its functions cannot be unfolded: {_first_line(error)}.") from None
    return model


def _check_counts(model: ModelProto, path: Path, opset: int) -> None:
    """Refuses operations of ONNX's own that lack an input or output: what looks for blocks takes those for given."""
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type, opset, ""):
            continue
        schema = onnx.defs.get_schema(node.op_type, opset, "")
        for side, needed_here, given in (
            ("input", schema.min_input, node.input), ("output", schema.min_output, node.output),
        ):  # fmt: skip
            count = sum(bool(name) for name in given[:needed_here])
            if count < needed_here:
                raise ImportFailed(
                    f"{path}: it is damaged: {node.op_type} {node.name!r} has {count} {side}s, it needs {needed_here}."
                )


def _names(graph: onnx.GraphProto) -> Iterator[Any]:
    """All names in a graph and in its bodies; protobuf gives those that are no text as bytes."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            for body in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _names(body)


# -- weights -----------------------------------------------------------------------------------------------------------


def _tensors(message: Any) -> Iterator[TensorProto]:
    """All tensors of a graph, those of nodes and bodies included."""
    yield from message.initializer
    for node in message.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for body in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _tensors(body)


def _take_weights(model: ModelProto, path: Path, graph: OpGraph) -> None:
    """Moves the constants out of the file's graph, where shape inference would copy them."""
    missing: dict[str, None] = {}
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            location = next((e.value for e in tensor.external_data if e.key == "location"), "")
            if not (path.parent / location).is_file():
                missing[location] = None
    if missing:
        names = ", ".join(list(missing)[:3]) + (", ..." if len(missing) > 3 else "")
        raise ImportFailed(
            f"{path}: its weights are kept in {names}, which is not in {path.parent.resolve()}. Put the file there."
        )
    if model.graph.sparse_initializer:
        raise ImportFailed(f"{path}: it has sparse weights, which cannot be read here. Write it with dense ones.")
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.STRING:
            graph.constants[tensor.name] = _tensor(tensor, path)
            if graph.constants[tensor.name].is_floating_point():
                graph.learned.add(tensor.name)
    texts = [t for t in model.graph.initializer if t.data_type == TensorProto.STRING]
    del model.graph.initializer[:]
    model.graph.initializer.extend(texts)


def _tensor(tensor: TensorProto, path: Path) -> Tensor:
    try:
        if any(d < 0 for d in tensor.dims) or math.prod(tensor.dims) > LARGEST_TENSOR:
            raise ImportFailed(
                f"{path}: the tensor {tensor.name!r} would have {_sizes(tensor.dims)} numbers, too many."
            )
        if tensor.data_location == TensorProto.EXTERNAL:
            load_external_data_for_tensor(tensor, str(path.parent))
        return tensor_of(numpy_helper.to_array(tensor))
    except ImportFailed:
        raise
    except (Exception, CannotFold) as error:  # of numpy, of onnx's checks, of the file system
        reason = _first_line(error)
        raise ImportFailed(f"{path}: the tensor {tensor.name!r} cannot be read: {reason}.") from None


def _texts(model: ModelProto) -> list[str]:
    return [t.name for t in model.graph.initializer if t.data_type == TensorProto.STRING]


def _sizes(dims: Any) -> str:
    return " x ".join(map(str, dims))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


# -- inputs ------------------------------------------------------------------------------------------------------------


def _take_inputs(model: ModelProto, path: Path, graph: OpGraph, size: int, images: int) -> None:
    """The shapes of the inputs with whatever the file leaves free filled in, here and in the file's graph."""
    for value in model.graph.input:
        if value.name in graph.constants:
            continue
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
            raise ImportFailed(f"{path}: its input {value.name!r} is no tensor of a known form, so it cannot be drawn.")
        shape = []
        for axis, dim in enumerate(kind.shape.dim):
            known = dim.dim_value if dim.HasField("dim_value") else 0
            free = images if axis == 0 else size if axis >= len(kind.shape.dim) - 2 and len(kind.shape.dim) == 4 else 0
            if axis == 1 and len(kind.shape.dim) == 4 and not known:
                free = 3
            if known < 0 or known > 2**24 or not (known or free):
                raise ImportFailed(
                    f"{path}: its input {value.name!r} has a size of {known or dim.dim_param or 'unknown'} at place "
                    f"{axis}, which cannot be drawn."
                )
            shape.append(known or free)
            dim.dim_value = known or free
        if math.prod(shape) > LARGEST_TENSOR:
            raise ImportFailed(f"{path}: its input {value.name!r} is {_sizes(shape)}, larger than can be drawn.")
        graph.inputs[value.name] = graph.shapes[value.name] = tuple(shape)
    if not graph.inputs:
        raise ImportFailed(f"{path}: it has no input.")


# -- folding -----------------------------------------------------------------------------------------------------------


class _Folding:
    """Turns what depends on constants and known shapes into constants, in rounds with shape inference between."""

    def __init__(self, model: ModelProto, graph: OpGraph, opsets: dict[str, int]) -> None:
        self.model, self.graph, self.opsets = model, graph, opsets
        # Whatever shapes the file states were those of another batch.
        del model.graph.value_info[:]
        for output in model.graph.output:
            if output.type.HasField("tensor_type"):
                output.type.tensor_type.ClearField("shape")
        self.told: set[str] = {v.name for v in model.graph.input}
        self.same_form = {v.name for v in model.graph.input}

    def run(self) -> None:
        for _ in range(ROUNDS):
            self._infer()
            if not self._fold():
                break

    def _infer(self) -> None:
        graph = self.model.graph
        for name, value in self.graph.constants.items():
            if name not in self.told:
                self._tell(name, value)
        try:
            found = onnx.shape_inference.infer_shapes(self.model, data_prop=True).graph
        except Exception:  # a file that it does not like may be drawn in part all the same
            return
        for value in [*found.value_info, *found.output]:
            kind = value.type.tensor_type
            if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
                self.graph.shapes[value.name] = tuple(d.dim_value for d in kind.shape.dim)
        del graph.value_info[:]

    def _tell(self, name: str, value: Tensor) -> None:
        """Small constants are given to shape inference as they are, of others it learns the shape."""
        self.told.add(name)
        if value.numel() <= WIDEST_SHAPE:
            array = np.ascontiguousarray(value.numpy())
            self.model.graph.initializer.append(numpy_helper.from_array(array.reshape(value.shape), name))
        else:
            kind = onnx.helper.np_dtype_to_tensor_dtype(value[(0,) * value.ndim].numpy().dtype)
            self.model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, list(value.shape)))

    def _fold(self) -> bool:
        kept = []
        for node in self.model.graph.node:
            found = self._folded(node)
            if found is None:
                kept.append(node)
                continue
            for name, value in zip(node.output, found, strict=False):
                if name:
                    self.graph.constants[name] = value
        changed = len(kept) < len(self.model.graph.node)
        del self.model.graph.node[:]
        self.model.graph.node.extend(kept)
        return changed

    def _folded(self, node: NodeProto) -> list[Tensor] | None:
        constants = self.graph.constants
        try:
            if node.op_type in ("Shape", "Size") and len(node.input) == 1:
                shape = self.graph.shapes.get(node.input[0])
                if node.input[0] in constants:
                    shape = tuple(constants[node.input[0]].shape)
                return None if shape is None else [self._shape(node, shape)]
            if node.op_type == "Constant":
                return [_constant(node)]
            if not all(name in constants for name in node.input if name) or not any(node.input):
                return None
            values = [constants[name] if name else None for name in node.input]
            if node.op_type == "ConstantOfShape" and values[0] is not None:
                return [filled(values[0].tolist(), _fill(node))]
            return fold(node, values, self.opsets)
        except (CannotFold, ValueError, TypeError, OverflowError):
            return None

    @staticmethod
    def _shape(node: NodeProto, shape: tuple[int, ...]) -> Tensor:
        if node.op_type == "Size":
            return torch.tensor(math.prod(shape))
        ends = {a.name: a.i for a in node.attribute}
        return torch.tensor(shape[ends.get("start", 0) : ends.get("end", len(shape))], dtype=torch.int64)


def _fill(node: NodeProto) -> Tensor:
    for attribute in node.attribute:
        if attribute.name == "value":
            return tensor_of(numpy_helper.to_array(attribute.t))
    return torch.zeros(1)


def _constant(node: NodeProto) -> Tensor:
    attribute = node.attribute[0] if node.attribute else AttributeProto()
    if attribute.HasField("t"):
        return tensor_of(numpy_helper.to_array(attribute.t))
    if attribute.name in ("value_float", "value_int", "value_floats", "value_ints"):
        return tensor_of(np.asarray(onnx.helper.get_attribute_value(attribute)))
    raise CannotFold


# -- operations --------------------------------------------------------------------------------------------------------


def _op(node: NodeProto, graph: OpGraph) -> Op:
    domain = "" if node.domain == "ai.onnx" else node.domain
    attrs = {a.name: _plain(a) for a in node.attribute}
    # What a body takes from outside is not listed, but the node waits for it all the same.
    taken = [*node.input, *(v for a in node.attribute if a.HasField("g") for v in _free_values(a.g))]
    op = Op(node.op_type, taken, list(node.output), attrs, _scope(node), domain)
    for attribute in node.attribute:  # a large tensor is carried like a weight
        if attribute.HasField("t") and isinstance(attrs[attribute.name], str):
            try:
                name = f"{node.output[0] if node.output else node.name}/{attribute.name}"
                graph.constants[name] = tensor_of(numpy_helper.to_array(attribute.t))
                op.inputs.append(name)
            except (CannotFold, ValueError, TypeError):
                continue
    return op


def _free_values(body: onnx.GraphProto) -> list[str]:
    """Values that a loop's or condition's body takes from around it."""
    own = {v.name for v in body.input} | {t.name for t in body.initializer} | {v for n in body.node for v in n.output}
    inner = [v for n in body.node for a in n.attribute if a.HasField("g") for v in _free_values(a.g)]
    taken = [*(v for n in body.node for v in n.input), *(v.name for v in body.output), *inner]
    return [v for v in dict.fromkeys(taken) if v and v not in own]


def _scope(node: NodeProto) -> str:
    """Where the operation stood in the module that was exported, else its own name."""
    props = {p.key: p.value for p in node.metadata_props}
    scope = props.get("namespace", "").split("/")[-1]
    module = scope.partition(":")[0].strip()
    return module or node.name


def _plain(attribute: AttributeProto) -> Any:
    """An attribute as data that a document can keep."""
    try:
        value = onnx.helper.get_attribute_value(attribute)
    except ValueError:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, TensorProto):
        if 0 <= math.prod(value.dims) <= 64 and value.data_type != TensorProto.STRING:
            try:
                return tensor_of(numpy_helper.to_array(value)).tolist()
            except (Exception, CannotFold):
                return "a tensor that cannot be read"
        return f"a tensor of {_sizes(value.dims)} numbers"
    if isinstance(value, Message):
        return onnx.printer.to_text(value)[:LONGEST_TEXT] if isinstance(value, onnx.GraphProto) else str(value)[:2000]
    if isinstance(value, (list, tuple)) or hasattr(value, "__iter__"):
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else _short(v) for v in value]
    return value


def _short(value: Any) -> Any:
    return str(value)[:2000] if isinstance(value, Message) else value
