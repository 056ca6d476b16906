"""Joins operations to the blocks that they are: activations that a file spells out, a convolution with its norm and
activation, squeeze and excitation, the head of a classifier. Blocks of several convolutions: `stages.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from designer.importing.mobile_stages import inverted_residual
from designer.importing.operations import Links, Op, OpGraph, axes_of, block, is_global_average, needed
from designer.importing.stages import c2f, c3, residual, sppf

CONV_ACTIVATIONS = ("silu", "relu6", "relu", "leaky_relu", "leaky_relu_0.01", "hardswish", "mish", "gelu")
"""What a convolution may end in."""


def recognise(graph: OpGraph) -> None:
    """Replaces groups of operations by blocks, simple ones first; a block keeps the operations as its `parts`."""
    _pass_on(graph)
    for find in FINDERS:
        taken: set[int] = set()
        blocks: dict[int, Op] = {}
        for found in find(graph, Links(graph)):
            # A finder looks at each place by itself, so that two of what it finds may share an operation.
            if any(id(part) in taken for part in found.parts):
                continue
            taken.update(id(part) for part in found.parts)
            blocks[id(found.parts[-1])] = found
        graph.ops = [blocks.get(id(op), op) for op in graph.ops if id(op) not in taken or id(op) in blocks]


Found = Iterator[Op]


def _pass_on(graph: OpGraph) -> None:
    """Takes out what only passes a value on, so that blocks are found across it."""
    links, renamed, kept = Links(graph), dict[str, str](), []
    for op in graph.ops:
        op.inputs = [renamed.get(value, value) for value in op.inputs]
        source = _passed(op, graph, links)
        if source and op.outputs[0] not in links.outputs:
            renamed[op.outputs[0]] = renamed.get(source, source)
            graph.folded += 1
        else:
            kept.append(op)
    graph.ops = needed(kept, graph.outputs)
    graph.folded += len(kept) - len(graph.ops)


def _passed(op: Op, graph: OpGraph, links: Links) -> str:
    """The value that an operation gives as it is; "" where it does something."""
    if op.kind == "Identity" and op.inputs[0] not in graph.constants:
        return op.inputs[0]
    # torch's as_strided, as its exporter writes it: laid out in a row, all of it looked up in order.
    index = graph.constants.get(op.inputs[1]) if op.kind == "Gather" and len(op.inputs) > 1 else None
    row = links.made_by(op.inputs[0], "Reshape") if index is not None else None
    if row is None or index is None or graph.rank(op.inputs[0]) != 1 or op.attrs.get("axis", 0) != 0:
        return ""
    same = tuple(index.shape) == graph.shapes.get(row.inputs[0])
    return row.inputs[0] if same and torch.equal(index.flatten(), torch.arange(index.numel())) else ""


def activation_of(op: Op, graph: OpGraph) -> str:
    """The name of an activation as our components have it; "" for one that they do not have."""
    one = op.attrs.get
    match op.kind:
        case "Relu" | "Sigmoid" | "Tanh" | "Softplus" | "Softsign" | "HardSwish" | "Mish" | "SiLU":
            return {"HardSwish": "hardswish"}.get(op.kind, op.kind.lower())
        case "Gelu":
            return "gelu" if one("approximate", "none") == "none" else ""
        case "Elu":
            return "elu" if one("alpha", 1.0) == 1 else ""
        case "Celu":
            return "celu" if one("alpha", 1.0) == 1 else ""
        case "Selu":
            usual = (1.67326, 1.0507)
            given = (one("alpha", usual[0]), one("gamma", usual[1]))
            return "selu" if all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(given, usual, strict=True)) else ""
        case "LeakyRelu":
            slope = one("alpha", 0.01)
            near = [s for s in (0.1, 0.01) if math.isclose(slope, s, rel_tol=1e-6)]
            return {0.1: "leaky_relu", 0.01: "leaky_relu_0.01"}[near[0]] if near else ""
        case "HardSigmoid":
            usual_slope = math.isclose(one("alpha", 0.2), 1 / 6, rel_tol=1e-5) and one("beta", 0.5) == 0.5
            return "hardsigmoid" if usual_slope else ""
        case "Clip":
            return {(0.0, 6.0): "relu6", (-1.0, 1.0): "hardtanh"}.get(bounds(op, graph) or (0.0, 0.0), "")
    return ""


def bounds(op: Op, graph: OpGraph) -> tuple[float, float] | None:
    """What a Clip keeps values between; None when it is not known."""
    found = []
    for place, name, default in ((1, "min", -3.4028234663852886e38), (2, "max", 3.4028234663852886e38)):
        if len(op.inputs) > place and op.inputs[place]:
            number = graph.number(op.inputs[place])
            if number is None:
                return None
            found.append(number)
        else:
            found.append(float(op.attrs.get(name, default)))
    return found[0], found[1]


def _other(op: Op, value: str) -> str:
    """What a Mul or Add of two takes besides a value."""
    if len(op.inputs) != 2:
        return ""
    return op.inputs[1] if op.inputs[0] == value else op.inputs[0]


def _near(graph: OpGraph, value: str, wanted: float) -> bool:
    number = graph.number(value)
    return number is not None and math.isclose(number, wanted, rel_tol=1e-3)


def _gates(graph: OpGraph, links: Links) -> Found:
    """x * sigmoid(x) is SiLU, x * hardsigmoid(x) is hard-swish; the latter also as x * clip(x + 3, 0, 6) / 6."""
    for op in graph.ops:
        if op.kind in ("Sigmoid", "HardSigmoid") and (mul := links.only(op.outputs[0], "Mul")):
            if _other(mul, op.outputs[0]) != op.inputs[0]:
                continue
            if op.kind == "Sigmoid":
                yield block("SiLU", op.inputs[:1], [op, mul])
            elif activation_of(op, graph) == "hardsigmoid":
                yield block("HardSwish", op.inputs[:1], [op, mul])
        elif op.kind == "Clip" and bounds(op, graph) == (0.0, 6.0):
            yield from _spelt_hard_swish(op, graph, links)


def _spelt_hard_swish(clip: Op, graph: OpGraph, links: Links) -> Found:
    add = links.made_by(clip.inputs[0], "Add")
    if add is None or links.only(clip.inputs[0], "Clip") is None:
        return
    x = next((v for v in add.inputs if _near(graph, _other(add, v), 3)), "")
    if not x:
        return
    parts, value, gated, sixth = [add, clip], clip.outputs[0], False, False
    while (step := links.only(value, "Mul", "Div")) is not None and not (gated and sixth):
        other = _other(step, value)
        if step.kind == "Mul" and other == x and not gated:
            gated = True
        elif not sixth and (
            _near(graph, other, 1 / 6) if step.kind == "Mul" else step.inputs[0] == value and _near(graph, other, 6)
        ):
            sixth = True
        else:
            break
        parts.append(step)
        value = step.outputs[0]
    if sixth:
        yield block("HardSwish" if gated else "HardSigmoid", [x], parts, **({} if gated else {"alpha": 1 / 6}))


def _gelu(graph: OpGraph, links: Links) -> Found:
    """x / 2 * (1 + erf(x / sqrt(2))), the factors in any order."""
    for erf in graph.ops:
        scale = links.made_by(erf.inputs[0], "Div", "Mul") if erf.kind == "Erf" else None
        add = links.only(erf.outputs[0], "Add") if scale else None
        if scale is None or add is None or not _near(graph, _other(add, erf.outputs[0]), 1):
            continue
        x, root = scale.inputs
        if not _near(graph, root, math.sqrt(2) if scale.kind == "Div" else math.sqrt(0.5)):
            continue
        parts, value, left = [scale, erf, add], add.outputs[0], {"x", "half"}
        while left and (step := links.only(value, "Mul", "Div")) is not None:
            other = _other(step, value)
            half = links.made_by(other, "Mul", "Div")
            if step.kind == "Mul" and other == x and "x" in left:
                left.discard("x")
            elif "half" in left and _near(graph, other, 0.5 if step.kind == "Mul" else 2):
                left.discard("half")
            elif half is not None and len(left) == 2 and half.inputs[0] == x and links.only(other, "Mul") is step:
                if not _near(graph, half.inputs[1], 0.5 if half.kind == "Mul" else 2):
                    break
                left.clear()
                parts.insert(0, half)
            else:
                break
            parts.append(step)
            value = step.outputs[0]
        if not left and links.only(scale.outputs[0], "Erf"):
            yield block("Gelu", [x], parts)


def _mish(graph: OpGraph, links: Links) -> Found:
    """x * tanh(softplus(x))."""
    for op in graph.ops:
        tanh = links.only(op.outputs[0], "Tanh") if op.kind == "Softplus" else None
        mul = links.only(tanh.outputs[0], "Mul") if tanh else None
        if tanh is not None and mul is not None and _other(mul, tanh.outputs[0]) == op.inputs[0]:
            yield block("Mish", op.inputs[:1], [op, tanh, mul])


def _layer_norm(graph: OpGraph, links: Links) -> Found:
    """(x - mean) / sqrt(mean of the squares + eps) * scale + shift along the last axis."""
    for mean in graph.ops:
        less = None
        if mean.kind == "ReduceMean" and _last_axis(mean, graph):
            less = next((o for o in links.takers.get(mean.outputs[0], []) if o.kind == "Sub"), None)
        if less is None or less.inputs[0] != mean.inputs[0]:
            continue
        square = next((o for o in links.takers.get(less.outputs[0], []) if o.kind in ("Pow", "Mul")), None)
        spread = links.only(square.outputs[0], "ReduceMean") if square else None
        add = links.only(spread.outputs[0], "Add") if spread else None
        root = links.only(add.outputs[0], "Sqrt") if add else None
        divide = links.only(root.outputs[0], "Div") if root else None
        if square is None or spread is None or add is None or root is None or divide is None:
            continue
        eps = graph.number(_other(add, spread.outputs[0]))
        if eps is None or divide.inputs[0] != less.outputs[0] or not _last_axis(spread, graph):
            continue
        scale = links.only(divide.outputs[0], "Mul")
        shift = links.only(scale.outputs[0], "Add") if scale else None
        if scale is None or shift is None:
            continue
        names = _other(scale, divide.outputs[0]), _other(shift, scale.outputs[0])
        if all(n in graph.constants and graph.constants[n].ndim == 1 for n in names):
            parts = [mean, less, square, spread, add, root, divide, scale, shift]
            yield block("LayerNormalization", [mean.inputs[0], *names], parts, axis=-1, epsilon=eps)


def _last_axis(op: Op, graph: OpGraph) -> bool:
    last = graph.rank(op.inputs[0]) - 1
    return bool(op.attrs.get("keepdims", 1)) and axes_of(op, graph) in ([-1], [last])


def _scaled_norm(graph: OpGraph, links: Links) -> Found:
    """A batch norm with scale and shift of their own behind it, as Caffe writes them, is one batch norm."""
    for norm in graph.ops:
        if norm.kind != "BatchNormalization" or not all(v in graph.constants for v in norm.inputs[1:5]):
            continue
        mul = links.only(norm.outputs[0], "Mul")
        add = links.only(mul.outputs[0], "Add") if mul else None
        if mul is None or add is None:
            continue
        scale, shift = _other(mul, norm.outputs[0]), _other(add, mul.outputs[0])
        channels = graph.constants[norm.inputs[1]].numel()
        form = {(channels, 1, 1), (1, channels, 1, 1)}
        if not all(v in graph.constants and tuple(graph.constants[v].shape) in form for v in (scale, shift)):
            continue
        if graph.constants[norm.inputs[2]].numel() != channels:
            continue
        scale_by, shift_by = graph.constants[scale].flatten(), graph.constants[shift].flatten()
        names = [f"{add.outputs[0]}/scale", f"{add.outputs[0]}/shift"]
        graph.constants[names[0]] = graph.constants[norm.inputs[1]] * scale_by
        graph.constants[names[1]] = graph.constants[norm.inputs[2]] * scale_by + shift_by
        yield block("BatchNormalization", [norm.inputs[0], *names, *norm.inputs[3:5]], [norm, mul, add], **norm.attrs)


def _linear(graph: OpGraph, links: Links) -> Found:
    """A product with a constant matrix, and what is added to it."""
    for op in graph.ops:
        if op.kind != "MatMul" or op.inputs[1] not in graph.constants or graph.constants[op.inputs[1]].ndim != 2:
            continue
        add = links.only(op.outputs[0], "Add")
        bias = _other(add, op.outputs[0]) if add else ""
        if add is not None and bias in graph.constants and graph.constants[bias].ndim == 1:
            width = graph.constants[op.inputs[1]].shape[1]
            if graph.constants[bias].numel() == width:
                yield block("Linear", [*op.inputs, bias], [op, add], turned=True)


def _squeeze_excite(graph: OpGraph, links: Links) -> Found:
    """Global average, 1x1, ReLU, 1x1, sigmoid, product with what came in."""
    for pool in graph.ops:
        if not is_global_average(pool, graph, keep=True):
            continue
        first = links.only(pool.outputs[0], "Conv")
        relu = links.only(first.outputs[0], "Relu") if first else None
        second = links.only(relu.outputs[0], "Conv") if relu else None
        gate = links.only(second.outputs[0], "Sigmoid") if second else None
        mul = links.only(gate.outputs[0], "Mul") if gate else None
        if first is None or relu is None or second is None or gate is None or mul is None:
            continue
        weights = [*first.inputs[1:3], *second.inputs[1:3]]
        if _other(mul, gate.outputs[0]) != pool.inputs[0] or len(weights) < 4:
            continue
        if all(w in graph.constants for w in weights):
            hidden, channels, *kernel = (*graph.constants[weights[0]].shape, 0, 0)[:4]
            reduction = next((r for r in range(1, 65) if max(1, channels // r) == hidden), 0)
            if reduction and kernel == [1, 1]:
                parts = [pool, first, relu, second, gate, mul]
                yield block("SqueezeExcite", [pool.inputs[0], *weights], parts, reduction=reduction)


def _conv(graph: OpGraph, links: Links) -> Found:
    """A convolution with the norm and the activation that follow it."""
    for conv in graph.ops:
        if conv.kind != "Conv" or any(v not in graph.constants for v in conv.inputs[1:] if v):
            continue
        norm = links.only(conv.outputs[0], "BatchNormalization")
        if norm is not None and not all(v in graph.constants for v in norm.inputs[1:5]):
            norm = None
        last = norm or conv
        act, name = None, ""
        for taker in links.takers.get(last.outputs[0], []):
            if links.only(last.outputs[0], taker.kind):
                name = activation_of(taker, graph)
                act = taker if name in CONV_ACTIVATIONS else None
        if norm is None and act is None:
            continue
        inputs = [*conv.inputs, *[""] * (3 - len(conv.inputs))]
        attrs = dict(conv.attrs)
        if norm is not None:
            inputs += norm.inputs[1:5]
            attrs |= {"epsilon": norm.attrs.get("epsilon", 1e-5), "norm_momentum": norm.attrs.get("momentum", 0.9)}
        parts = [conv, *([norm] if norm else []), *([act] if act else [])]
        yield block("Conv", inputs, parts, **attrs, activation=name if act else "none")


def _head(graph: OpGraph, links: Links) -> Found:
    """Global average, a linear layer and softmax at the end: a classification head, which trains on the logits."""
    end = links.giver.get(graph.outputs[0]) if len(graph.outputs) == 1 else None
    if end is None or end.kind != "Softmax" or end.attrs.get("axis", 1 if graph.opset < 13 else -1) not in (1, -1):
        return
    parts = [end]

    def before(*kinds: str) -> Op | None:
        value = parts[0].inputs[0]
        found = links.made_by(value, *kinds)
        if found is None or links.only(value, parts[0].kind) is None:
            return None
        parts.insert(0, found)
        return found

    linear = before("Gemm", "Linear")
    if linear is None or len(linear.inputs) < 3 or any(v not in graph.constants for v in linear.inputs[1:3]):
        return
    weight, bias = graph.constants[linear.inputs[1]], graph.constants[linear.inputs[2]]
    plain = linear.attrs.get("alpha", 1.0) == linear.attrs.get("beta", 1.0) == 1 and not linear.attrs.get("transA", 0)
    if not plain or weight.ndim != 2 or bias.ndim != 1:
        return
    turned = not linear.attrs.get("transB", 0) if linear.kind == "Gemm" else linear.attrs.get("turned", False)
    name = f"{end.outputs[0]}/weight"
    graph.constants[name] = weight.T if turned else weight
    if bias.numel() != graph.constants[name].shape[0]:
        return
    dropped = before("Dropout")
    flat = before("Flatten", "Reshape", "Squeeze")
    if flat is not None and graph.rank(flat.outputs[0]) not in (0, 2):
        return
    pool = before("GlobalAveragePool", "ReduceMean", "AveragePool")
    if pool is None or not (is_global_average(pool, graph, flat is not None) or _covers(pool, graph)):
        return
    width = graph.shapes.get(pool.inputs[0], (0, 0))[1]
    if width == graph.constants[name].shape[1] and torch.is_floating_point(bias):
        ratio = float(dropped.attrs.get("ratio", 0.5)) if dropped else 0.0
        yield block("ClassificationHead", [pool.inputs[0], name, linear.inputs[2]], parts, dropout=ratio)


def _covers(pool: Op, graph: OpGraph) -> bool:
    """Whether an average pool has one window, the whole map."""
    shape = graph.shapes.get(pool.inputs[0], ())
    alone = not any(pool.attrs.get("pads", ())) and list(pool.attrs.get("kernel_shape", ())) == list(shape[2:])
    return pool.kind == "AveragePool" and len(shape) == 4 and alone


FINDERS = (
    _gates, _gelu, _mish, _layer_norm, _scaled_norm, _linear, _squeeze_excite, _conv,
    inverted_residual, residual, c3, c2f, sppf, _head,
)  # fmt: skip
"""In this order, as later ones are made of what earlier ones find."""
