"""Computes what depends on constants alone: weights that a file unpacks, and the arithmetic of shapes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from designer.importing.operations import LARGEST_TENSOR

FOLDED = {
    "Abs", "Add", "And", "BitShift", "Cast", "CastLike", "Ceil", "Clip", "Concat", "Cos", "CumSum",
    "DequantizeLinear", "Div", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements",
    "GatherND", "Gemm", "Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN", "Less", "LessOrEqual", "Log",
    "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "Pad", "Pow", "Range",
    "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Reshape", "Round",
    "ScatterElements", "ScatterND", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax", "Split", "Sqrt",
    "Squeeze", "Sub", "Sum", "Tanh", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
}  # fmt: skip
"""What is folded. Random numbers, bodies of loops and everything else stay operations."""
SMALL = 2**22
"""Numbers that may go into, and come out of, what multiplies matrices or looks things up."""


class CannotFold(Exception):
    """An operation that stays, although all that it takes is known."""


def fold(node: NodeProto, values: Sequence[Tensor | None], opsets: dict[str, int]) -> list[Tensor]:
    """The outputs of an operation on constants.

    Raises:
        CannotFold: when it is none of those that are folded, too large, or fails.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in FOLDED:
        raise CannotFold
    _check_size(node, values)
    arrays = {name: value.numpy() for name, value in zip(node.input, values, strict=True) if value is not None}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = ReferenceEvaluator(_alone(node, opsets)).run(None, arrays)
    except Exception as error:  # whatever the evaluator raises on somebody's file
        raise CannotFold from error
    return [tensor_of(array) for array in found]


def _alone(node: NodeProto, opsets: dict[str, int]) -> ModelProto:
    """A model of one operation: given the node itself, the evaluator would take the newest form of it."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in dict.fromkeys(node.input) if name
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output if name]
    versions = [helper.make_opsetid("", opsets[""])]
    return helper.make_model(helper.make_graph([node], "one", inputs, outputs), opset_imports=versions)


def tensor_of(array: Any) -> Tensor:
    """Numbers as torch keeps them here: floats of any width as float32.

    Raises:
        CannotFold: for text and the like.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize < 1 or array.dtype == np.float64:
        if array.dtype.kind in "OSUM":
            raise CannotFold
        array = array.astype(np.float32)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape).copy())


def filled(shape: Sequence[int], value: Tensor) -> Tensor:
    """A constant that is one number everywhere; takes no memory."""
    if any(size < 0 for size in shape) or math.prod(shape) > LARGEST_TENSOR:
        raise CannotFold
    return value.reshape(()).expand(tuple(shape))


def _check_size(node: NodeProto, values: Sequence[Tensor | None]) -> None:
    shapes = [tuple(v.shape) for v in values if v is not None]
    sizes = [math.prod(s) for s in shapes]
    kind, out = node.op_type, sum(sizes)
    try:
        if kind == "Range":
            start, limit, delta = (float(v) for v in values if v is not None)
            out = int(abs((limit - start) / delta)) if delta else LARGEST_TENSOR + 1
        elif kind == "Tile":
            out = sizes[0] * math.prod(_numbers(values[1]))
        elif kind == "Expand":
            out = math.prod(np.broadcast_shapes(shapes[0], tuple(_numbers(values[1]))))
        elif kind == "Pad":
            out = SMALL if sum(sizes) <= 4096 and max(map(abs, _numbers(values[1]))) < 64 else LARGEST_TENSOR + 1
        elif kind == "OneHot":
            out = sizes[0] * max(_numbers(values[1]))
        elif kind in ("Gather", "GatherElements", "GatherND", "Gemm", "MatMul"):
            out = 0 if sum(sizes) <= SMALL else LARGEST_TENSOR + 1
            if kind in ("Gemm", "MatMul") and max(sizes) ** 2 > 2**34:
                out = LARGEST_TENSOR + 1
            if kind.startswith("Gather"):
                out = max(out, sizes[1] * max(1, math.prod(shapes[0][1:])) if len(sizes) > 1 else 0)
        elif len(shapes) > 1 and kind not in ("Concat", "Reshape", "Slice", "Unsqueeze", "Squeeze", "Split"):
            out = math.prod(np.broadcast_shapes(*shapes))
    except (ValueError, OverflowError, IndexError, TypeError):
        out = sum(sizes)  # it fails, or it is as large as what goes in
    if max(out, sum(sizes)) > LARGEST_TENSOR:
        raise CannotFold


def _numbers(value: Tensor | None) -> list[int]:
    if value is None or value.numel() > 64:
        raise ValueError
    return [int(v) for v in value.flatten().tolist()]
