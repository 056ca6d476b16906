"""Which component each operation between the layers is: arithmetic, joining, cutting, other shapes, products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from designer.importing.drawing import Call, Flow, NoPlace, as_float

Given = Sequence[Flow]
MOST_PLACES = 4096
"""Places that a node may name one by one."""


# -- arithmetic --------------------------------------------------------------------------------------------------------


def with_constant(
    call: Call, x: Flow, operation: str, constant: Tensor, first: bool = False, learned: bool = False
) -> Flow:
    """A value joined with a constant: one number, or a tensor that is carried like weights."""
    constant = as_float(constant)
    if constant.numel() == 1 and constant.ndim <= x.rank and bool(constant.isfinite().all()) and not learned:
        params = {"operation": operation, "number": float(constant), "number_first": first}
        return call.add("tensor.with_number", {"x": x}, params)[0]
    if constant.ndim == x.rank and constant.shape[x.batch] != 1 and constant.numel() > 1:
        one = constant.narrow(x.batch, 0, 1)
        if x.lead > 1 or constant.shape[x.batch] != call.drawing.images or not bool((constant == one).all()):
            raise NoPlace("it has other numbers for each image of a batch")
        constant = one
    sizes = list(constant.shape) or [1]
    params = {"operation": operation, "sizes": sizes, "numbers_first": first, "learned": learned}
    batch = x.batch + max(0, constant.ndim - x.rank)
    return call.add("tensor.with_tensor", {"x": x}, params, {"numbers": constant.reshape(sizes)}, batch=batch)[0]


def _pairwise(call: Call, operation: str, a: Flow, b: Flow) -> Flow:
    if operation in ("add", "multiply") and a.sizes == b.sizes and a.rank == 4 and a.batch == b.batch == 0:
        return call.add(f"fusion.{operation}", {"xs.0": a, "xs.1": b})[0]
    wide = a if a.rank >= b.rank else b
    thin = b if wide is a else a
    # Meeting at their ends, the two must have the batch at the same place.
    if thin.batch + wide.rank - thin.rank != wide.batch and thin.sizes[thin.batch] * wide.sizes[wide.batch] > 1:
        raise NoPlace("the batch lies along different axes of what it joins")
    return call.add("tensor.arithmetic", {"a": a, "b": b}, {"operation": operation}, batch=wide.batch)[0]


def _arithmetic(operation: str) -> Callable[[Call], Given]:
    def make(call: Call) -> Given:
        constants = [call.const(i) for i in range(len(call.op.inputs)) if call.has(i)]
        flows = [call.flow(i) for i, c in enumerate(constants) if c is None]
        if not flows:
            raise NoPlace("all that it takes is constant")
        same = len({f.sizes for f in flows}) == 1 and flows[0].rank == 4 and not any(f.batch for f in flows)
        if len(flows) == len(constants) > 2 and same and operation in ("add", "multiply"):
            return call.add(f"fusion.{operation}", {f"xs.{i}": f for i, f in enumerate(flows)})
        total: Flow | None = None
        for place, constant in enumerate(constants):
            if total is None:
                if constant is None:
                    total = call.flow(place)
                continue
            one = constant if constant is not None else call.flow(place)
            if isinstance(one, Tensor):
                total = with_constant(call, total, operation, one, learned=_trains(call, place))
            else:
                total = _pairwise(call, operation, total, one)
        assert total is not None
        if constants[0] is not None:
            total = with_constant(call, total, operation, constants[0], first=True, learned=_trains(call, 0))
        return [total]

    return make


def _trains(call: Call, place: int) -> bool:
    """Whether a constant is a parameter; a single number is a setting."""
    return call.learned(place) and (call.needs(place, "operand").numel() > 1)


def _mean(call: Call) -> Given:
    total = _arithmetic("add")(call)[0]
    return [with_constant(call, total, "divide", torch.tensor(float(len(call.op.inputs))))]


def _function(name: str) -> Callable[[Call], Given]:
    return lambda call: call.add("tensor.function", {"x": call.flow()}, {"function": name})


# -- products ----------------------------------------------------------------------------------------------------------


def _matmul(call: Call) -> Given:
    weight = call.const(1)
    if weight is not None and weight.ndim == 2 and call.const(0) is None:
        return [_linear_of(call, call.flow(), as_float(weight).T, call.const(2))]
    a, b = call.flow(0), call.flow(1)
    if a.rank < 2 or b.rank < 2:
        raise NoPlace("it multiplies with a vector")
    wide = a if a.rank >= b.rank else b
    return call.add("tensor.matrix_product", {"a": a, "b": b}, {"transposed": False}, batch=wide.batch)


def _linear(call: Call) -> Given:
    weight = as_float(call.needs(1, "weight"))
    return [_linear_of(call, call.flow(), weight.T if call.attr("turned") else weight, call.const(2))]


def _linear_of(call: Call, x: Flow, weight: Tensor, bias: Tensor | None) -> Flow:
    """A linear layer with weight [out, in] along the last axis."""
    component = {2: "basic.linear", 3: "basic.token_linear", 4: "tensor.cell_linear"}.get(x.rank)
    if component is None:
        raise NoPlace(f"it multiplies a tensor with {x.rank} axes with weights")
    state = {"linear.weight": weight, **({} if bias is None else {"linear.bias": as_float(bias)})}
    return call.add(component, {"x": x}, {"out_features": weight.shape[0], "bias": bias is not None}, state)[0]


def _gemm(call: Call) -> Given:
    weight = call.needs(1, "weight")
    if call.attr("transA", 0) or weight.ndim != 2:
        raise NoPlace("its first matrix is turned")
    weight = as_float(weight) * float(call.attr("alpha", 1.0))
    weight = weight if call.attr("transB", 0) else weight.T
    bias = None
    if call.has(2):
        bias = as_float(call.needs(2, "bias")) * float(call.attr("beta", 1.0))
        if bias.numel() not in (1, weight.shape[0]):
            raise NoPlace("its bias is a matrix")
        bias = bias.flatten().expand(weight.shape[0])
    return [_linear_of(call, call.flow(), weight, bias)]


def _attention(call: Call) -> Given:
    q, k, v = call.flow(0), call.flow(1), call.flow(2)
    params = {"scale": float(call.attr("scale") or 0.0), "causal": bool(call.attr("causal", False))}
    return call.add("tensor.dot_product_attention", {"query": q, "key": k, "value": v}, params)


# -- shapes ------------------------------------------------------------------------------------------------------------


def _alias(call: Call) -> Given:
    return [call.flow()]


def _cast(call: Call) -> Given:
    # FLOAT, FLOAT16, DOUBLE and BFLOAT16: everything is computed in float32 here.
    if call.attr("to", 1) not in (1, 10, 11, 16):
        raise NoPlace("it makes whole numbers of what depends on the image")
    return [call.flow()]


def _reshape(call: Call) -> Given:
    x = call.flow()
    wanted = call.ints("shape", 1) or []
    if not call.attr("allowzero", 0):
        wanted = [x.sizes[i] if s == 0 and i < x.rank else s for i, s in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(s for s in wanted if s != -1)
        wanted = [math.prod(x.sizes) // rest if s == -1 and rest else s for s in wanted]
    return [call.view(x, wanted)]


def _flatten(call: Call) -> Given:
    x = call.flow()
    axis = int(call.attr("axis", 1))
    axis = axis + x.rank if axis < 0 else axis
    end = call.attr("end")  # of torch's flatten; ONNX makes a matrix
    if end is not None:
        end = end % x.rank
        return [call.view(x, [*x.sizes[:axis], math.prod(x.sizes[axis : end + 1]), *x.sizes[end + 1 :]])]
    return [call.view(x, [math.prod(x.sizes[:axis]), math.prod(x.sizes[axis:])])]


def _squeeze(call: Call) -> Given:
    x, axes = call.flow(), call.ints("axes", 1)
    dropped = {call.axis(a, x) for a in axes} if axes is not None else {i for i, s in enumerate(x.sizes) if s == 1}
    dropped -= {x.batch} if axes is None else set()
    return [call.view(x, [s for i, s in enumerate(x.sizes) if i not in dropped])]


def _unsqueeze(call: Call) -> Given:
    x, axes = call.flow(), call.ints("axes", 1) or []
    rank = x.rank + len(axes)
    places, left = {a % rank for a in axes}, list(x.sizes)
    return [call.view(x, [1 if i in places else left.pop(0) for i in range(rank)])]


def _transpose(call: Call) -> Given:
    x = call.flow()
    order = [int(v) for v in call.attr("perm") or range(x.rank - 1, -1, -1)]
    if sorted(order) != list(range(x.rank)):
        raise NoPlace(f"its order is {order}")
    return [permuted(call, x, order)]


def permuted(call: Call, x: Flow, order: list[int]) -> Flow:
    """The axes in another order; the value itself where it is the same."""
    if order == list(range(x.rank)):
        return x
    return call.add("tensor.permute", {"x": x}, {"order": order}, batch=order.index(x.batch))[0]


def _roll(call: Call) -> Given:
    x = call.flow()
    for shift, dim in zip(call.attr("shifts"), call.attr("dims"), strict=True):
        axis = call.axis(dim, x)
        size = x.sizes[axis]
        if shift % size:
            parts = [_cut(call, x, axis, size - shift % size, size), _cut(call, x, axis, 0, size - shift % size)]
            x = call.add("tensor.join", {f"xs.{i}": part for i, part in enumerate(parts)}, {"axis": axis})[0]
    return [x]


def _expand(call: Call) -> Given:
    x, wanted = call.flow(), call.ints("shape", 1) or []
    shape = list(torch.broadcast_shapes(x.sizes, tuple(s if s > 0 else 1 for s in wanted)))
    if shape == list(x.sizes):
        return [x]
    ones = torch.ones([1 if i == x.batch + len(shape) - x.rank else s for i, s in enumerate(shape)])
    return [with_constant(call, x, "multiply", ones)]


def _tile(call: Call) -> Given:
    x, repeats = call.flow(), call.ints("repeats", 1) or []
    for axis, count in enumerate(repeats):
        if count == 1:
            continue
        if axis == x.batch or not 1 < count <= 64:
            raise NoPlace(f"it repeats {repeats}")
        x = call.add("tensor.join", {f"xs.{i}": x for i in range(count)}, {"axis": axis}, batch=x.batch)[0]
    return [x]


def _concat(call: Call) -> Given:
    flows = call.flows()
    axis = call.axis(int(call.attr("axis", 1)), flows[0])
    if axis == flows[0].batch:
        raise NoPlace("it joins along the batch")
    if len(flows) == 1:
        return flows
    inputs = {f"xs.{i}": f for i, f in enumerate(flows)}
    if axis == 1 and all(f.rank == 4 and not f.batch for f in flows):
        return call.add("fusion.concat", inputs)
    return call.add("tensor.join", inputs, {"axis": axis})


# -- parts -------------------------------------------------------------------------------------------------------------


def _cut(call: Call, x: Flow, axis: int, start: int, stop: int, step: int = 1) -> Flow:
    size = x.sizes[axis]
    if step > 0:
        start, stop = (max(0, min(size, v + size if v < 0 else v)) for v in (start, stop))
        if (start, stop, step) == (0, size, 1):
            return x
        if axis == x.batch:
            raise NoPlace("it takes some images of the batch")
        if axis == 1 and x.rank == 4 and step == 1:
            return call.add("shape.slice", {"x": x}, {"start": start, "count": stop - start})[0]
        params = {"axis": axis, "start": start, "stop": stop, "step": step}
        return call.add("tensor.cut", {"x": x}, params)[0]
    places = list(range(size))[slice(start, None if stop < -size else stop, step)]
    return _picked(call, x, axis, places)


def _picked(call: Call, x: Flow, axis: int, places: list[int]) -> Flow:
    if axis == x.batch or not 0 < len(places) <= MOST_PLACES:
        raise NoPlace("it takes some images of the batch" if axis == x.batch else f"it names {len(places)} places")
    return call.add("tensor.pick", {"x": x}, {"axis": axis, "places": places})[0]


def _slice(call: Call) -> Given:
    x = call.flow()
    starts, stops = call.ints("starts", 1) or [], call.ints("ends", 2) or []
    axes = call.ints("axes", 3) or list(range(len(starts)))
    steps = call.ints("steps", 4) or [1] * len(starts)
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=False):
        x = _cut(call, x, call.axis(axis, x), start, stop, step)
    return [x]


def _split(call: Call) -> Given:
    x = call.flow()
    axis = call.axis(int(call.attr("axis", 0)), x)
    whole, count = x.sizes[axis], len(call.op.outputs)
    sizes = call.ints("split", 1)
    if sizes is None:
        each = -(-whole // int(call.attr("num_outputs", count) or count))
        sizes = [max(0, min(each, whole - each * i)) for i in range(count)]
    if sum(sizes) != whole or min(sizes) < 1 or len(sizes) < count:
        raise NoPlace(f"its parts are {sizes}")
    if len(sizes) == count == 2 and axis == 1 and x.rank == 4 and not x.batch:
        share = round(sizes[0] / whole, 6)
        if round(whole * share) == sizes[0] and 0.01 <= share <= 0.99:
            return call.add("shape.split", {"x": x}, {"share": share})
    places = [sum(sizes[:i]) for i in range(count)]
    return [_cut(call, x, axis, start, start + size) for start, size in zip(places, sizes, strict=False)]


def _gather(call: Call) -> Given:
    x, index = call.flow(), call.needs(1, "index")
    axis = call.axis(int(call.attr("axis", 0)), x)
    places = [int(v) % x.sizes[axis] for v in index.flatten().tolist()]
    if index.ndim > 1:
        raise NoPlace(f"its index has {index.ndim} axes")
    step = {b - a for a, b in itertools.pairwise(places)}
    row = step <= {1} and places
    taken = _cut(call, x, axis, places[0], places[-1] + 1) if row else _picked(call, x, axis, places)
    if index.ndim == 1:
        return [taken]
    return [call.view(taken, [s for i, s in enumerate(taken.sizes) if i != axis])]


# -- along axes --------------------------------------------------------------------------------------------------------


def _reduce(function: str) -> Callable[[Call], Given]:
    def make(call: Call) -> Given:
        x, axes, keep = call.flow(), call.ints("axes", 1), bool(call.attr("keepdims", 1))
        if not axes and call.attr("noop_with_empty_axes", 0):
            return [x]
        found = sorted({call.axis(a, x) for a in axes} if axes else range(x.rank))
        if x.batch in found:
            raise NoPlace("it goes over the batch")
        if x.rank == 4 and found == [2, 3] and function in ("mean", "max"):
            pooled = call.add(f"pooling.global_{'avg' if function == 'mean' else 'max'}_pool", {"x": x})
            return pooled if keep else [call.view(pooled[0], x.sizes[:2])]
        batch = x.batch - (0 if keep else sum(a < x.batch for a in found))
        return call.add("tensor.reduce", {"x": x}, {"function": function, "axes": found, "keep": keep}, batch=batch)

    return make


def _softmax(log: bool) -> Callable[[Call], Given]:
    def make(call: Call) -> Given:
        x = call.flow()
        old = call.graph.opset < 13
        axis = call.axis(int(call.attr("axis", 1 if old else -1)), x)
        if old and math.prod(x.sizes[axis + 1 :]) != 1:  # all axes from there on as one
            flat = call.view(x, [*x.sizes[:axis], math.prod(x.sizes[axis:])])
            return [call.view(call.add("tensor.softmax", {"x": flat}, {"axis": axis, "log": log})[0], x.sizes)]
        return call.add("tensor.softmax", {"x": x}, {"axis": axis, "log": log})

    return make


TENSOR_OPERATIONS: dict[str, Callable[[Call], Given]] = {
    "Add": _arithmetic("add"), "Sum": _arithmetic("add"), "Sub": _arithmetic("subtract"), "Mean": _mean,
    "Mul": _arithmetic("multiply"), "Div": _arithmetic("divide"), "Pow": _arithmetic("power"),
    "Max": _arithmetic("maximum"), "Min": _arithmetic("minimum"),
    "Abs": _function("abs"), "Neg": _function("negative"), "Exp": _function("exp"), "Log": _function("log"),
    "Sqrt": _function("square_root"), "Reciprocal": _function("reciprocal"), "Erf": _function("erf"),
    "Sin": _function("sin"), "Cos": _function("cos"), "Floor": _function("floor"), "Ceil": _function("ceil"),
    "Round": _function("round"), "Sign": _function("sign"),
    "MatMul": _matmul, "Linear": _linear, "Gemm": _gemm, "DotProductAttention": _attention,
    "Identity": _alias, "Cast": _cast, "CastLike": _alias, "Reshape": _reshape, "Flatten": _flatten,
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Transpose": _transpose, "Expand": _expand, "Tile": _tile,
    "Concat": _concat, "Slice": _slice, "Split": _split, "Gather": _gather,
    "ReduceMean": _reduce("mean"), "ReduceSum": _reduce("sum"), "ReduceMax": _reduce("max"),
    "ReduceMin": _reduce("min"), "ReduceL2": _reduce("norm"), "Roll": _roll,
    "Softmax": _softmax(False), "LogSoftmax": _softmax(True),
}  # fmt: skip
"""By ONNX's name."""
