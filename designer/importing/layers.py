"""Which component an operation is: layers with weights, pools, norms, activations. The rest: `tensor_layers.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from designer.importing.drawing import Call, Flow, NoPlace, as_float, norm_state
from designer.importing.patterns import activation_of, bounds
from designer.importing.size_layers import SIZE_OPERATIONS
from designer.importing.stage_layers import STAGE_OPERATIONS
from designer.importing.tensor_layers import TENSOR_OPERATIONS, with_constant
from nodes.basic import FUNCTIONS

Given = Sequence[Flow]


def _four(call: Call, flow: Flow) -> Flow:
    if flow.rank != 4 or flow.batch:
        raise NoPlace(f"it takes maps here, not tensors with {flow.rank} axes")
    return flow


def _pair(values: Any, name: str, default: int) -> list[int]:
    found = list(values) if values else [default, default]
    if len(found) != 2:
        raise NoPlace(f"{name} has {len(found)} numbers, maps have 2")
    return [int(v) for v in found]


def _pads(call: Call, flow: Flow, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Top, left, bottom, right."""
    auto = call.attr("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sides = []
        for size, k, s, d in zip(flow.sizes[2:], kernel, stride, dilation, strict=True):
            whole = max(0, (math.ceil(size / s) - 1) * s + d * (k - 1) + 1 - size)
            half = whole // 2
            sides.append((half, whole - half) if auto == "SAME_UPPER" else (whole - half, half))
        return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]
    pads = [0] * 4 if auto == "VALID" else [int(v) for v in call.attr("pads") or [0] * 4]
    if len(pads) != 4 or min(pads) < 0:
        raise NoPlace(f"its pads are {pads}")
    return pads


# -- convolutions ------------------------------------------------------------------------------------------------------


def _conv(call: Call) -> Given:
    x, weight = _four(call, call.flow()), as_float(call.needs(1, "weight"))
    if weight.ndim != 4:
        raise NoPlace(f"its kernel has {weight.ndim} axes")
    kernel = list(weight.shape[2:])
    stride, dilation = _pair(call.attr("strides"), "strides", 1), _pair(call.attr("dilations"), "dilations", 1)
    pads, groups = _pads(call, x, kernel, stride, dilation), int(call.attr("group", 1))
    bias = as_float(call.needs(2, "bias")) if call.has(2) else None
    activation, out = call.attr("activation", "none"), weight.shape[0]
    if call.has(3):
        return [_conv_norm(call, x, weight, bias, stride, dilation, pads, groups)]
    square = kernel[0] == kernel[1] and stride[0] == stride[1] and len(set(pads)) == 1 and kernel[0] % 2 == 1
    half = square and pads[0] == dilation[0] * (kernel[0] // 2) and dilation[0] == dilation[1]
    state = {"conv.weight": weight, **({} if bias is None else {"conv.bias": bias})}
    if half and activation == "none" and dilation == [1, 1] and groups == 1 and kernel[0] <= 11 and stride[0] <= 8:
        params = {"out_channels": out, "kernel_size": kernel[0], "stride": stride[0], "bias": bias is not None}
        return call.add("conv.conv", {"x": x}, params, state)
    alone = groups == out == x.sizes[1] and bias is not None and activation == "none"
    if half and alone and 3 <= kernel[0] <= 11 and stride[0] <= 2 and dilation[0] <= 8:
        params = {"kernel_size": kernel[0], "stride": stride[0], "dilation": dilation[0]}
        return call.add("conv.depthwise_conv", {"x": x}, params, state)
    settings: dict[str, Any] = {
        "out_channels": out, "kernel_size": kernel, "stride": stride, "padding": _padding(pads), "dilation": dilation,
        "groups": groups, "bias": bias is not None, "activation": activation,
    }  # fmt: skip
    return call.add("conv.free_conv", {"x": x}, settings, state)


def _padding(pads: list[int]) -> list[int]:
    return pads[:2] if pads[:2] == pads[2:] else pads


def _conv_norm(
    call: Call, x: Flow, weight: Tensor, bias: Tensor | None, stride: list[int], dilation: list[int], pads: list[int],
    groups: int,
) -> Flow:  # fmt: skip
    norm = norm_state(call, 3)
    if bias is not None:  # what the norm takes the mean off, it takes off the bias as well
        norm["running_mean"] = norm["running_mean"] - bias
    state = {"conv.weight": weight, **{f"bn.{k}": v for k, v in norm.items()}}
    kernel, eps = list(weight.shape[2:]), float(call.attr("epsilon", 1e-5))
    momentum = min(1.0, max(0.001, round(1 - float(call.attr("norm_momentum", 0.9)), 6)))
    settings = {
        "out_channels": weight.shape[0], "groups": groups, "activation": call.attr("activation", "none"),
        "eps": _rounded(eps), "momentum": momentum,
    }  # fmt: skip
    square = kernel[0] == kernel[1] and stride[0] == stride[1] and kernel[0] in (1, 3, 5, 7, 9, 11)
    if square and set(pads) == {kernel[0] // 2} and dilation == [1, 1] and stride[0] <= 8:
        params = {**settings, "kernel_size": kernel[0], "stride": stride[0]}
        return call.add("conv.conv_norm_act", {"x": x}, params, state)[0]
    params = {
        **settings, "kernel_size": kernel, "stride": stride, "padding": _padding(pads), "dilation": dilation,
        "norm": True,
    }  # fmt: skip
    return call.add("conv.free_conv", {"x": x}, params, state)[0]


def _rounded(number: float) -> float:
    """A float32 as people write it: 9.999999747378752e-06 is 1e-5."""
    return float(f"{number:.6g}")


def _conv_transpose(call: Call) -> Given:
    x, weight = _four(call, call.flow()), as_float(call.needs(1, "weight"))
    if weight.ndim != 4 or call.attr("auto_pad", "NOTSET") != "NOTSET" or call.attr("output_shape"):
        raise NoPlace("its padding is given by the size of the result")
    kernel, groups = list(weight.shape[2:]), int(call.attr("group", 1))
    stride, dilation = _pair(call.attr("strides"), "strides", 1), _pair(call.attr("dilations"), "dilations", 1)
    pads = [int(v) for v in call.attr("pads") or [0] * 4]
    more = _pair(call.attr("output_padding"), "output_padding", 0)
    # What is cut off less at the end than at the start is torch's output padding.
    more = [more[0] + pads[0] - pads[2], more[1] + pads[1] - pads[3]]
    if min(more) < 0:
        raise NoPlace(f"its pads are {pads}")
    bias = as_float(call.needs(2, "bias")) if call.has(2) else None
    state = {"conv.weight": weight, **({} if bias is None else {"conv.bias": bias})}
    settings: dict[str, Any] = {"out_channels": weight.shape[1] * groups, "bias": bias is not None}
    if kernel[0] == kernel[1] and stride[0] == stride[1] and groups == 1 and dilation == [1, 1]:
        rim = kernel[0] - stride[0]
        if rim >= 0 and pads[0] == pads[1] == (rim + 1) // 2 and more == [rim % 2] * 2 and stride[0] <= 16 >= kernel[0]:
            params = {**settings, "kernel_size": kernel[0], "stride": stride[0]}
            return call.add("resize.conv_transpose", {"x": x}, params, state)
    params = {
        **settings, "kernel_size": kernel, "stride": stride, "padding": pads[:2], "output_padding": more,
        "dilation": dilation, "groups": groups,
    }  # fmt: skip
    return call.add("resize.free_conv_transpose", {"x": x}, params, state)


# -- norms -------------------------------------------------------------------------------------------------------------


def _batch_norm(call: Call) -> Given:
    x, state = call.flow(), norm_state(call, 1)
    eps = _rounded(float(call.attr("epsilon", 1e-5)))
    if x.rank == 4:
        momentum = min(1.0, max(0.0001, round(1 - float(call.attr("momentum", 0.9)), 6)))
        params = {"eps": eps, "momentum": momentum}
        return call.add("norm.batch_norm", {"x": x}, params, {f"norm.{k}": v for k, v in state.items()})
    scale = state["weight"] / torch.sqrt(state["running_var"] + eps)
    shift = state["bias"] - state["running_mean"] * scale
    form = (-1, *[1] * (x.rank - 2)) if x.rank > 2 else (-1,)
    scaled = with_constant(call, x, "multiply", scale.reshape(form), learned=True)
    return [with_constant(call, scaled, "add", shift.reshape(form), learned=True)]


def _instance_norm(call: Call) -> Given:
    state = {"norm.weight": as_float(call.needs(1, "scale")), "norm.bias": as_float(call.needs(2, "shift"))}
    params = {"eps": _rounded(float(call.attr("epsilon", 1e-5)))}
    return call.add("norm.instance_norm", {"x": _four(call, call.flow())}, params, state)


def _layer_norm(call: Call) -> Given:
    x, weight = call.flow(), as_float(call.needs(1, "scale"))
    if call.axis(int(call.attr("axis", -1)), x) != x.rank - 1:
        raise NoPlace("it norms over several axes")
    bias = as_float(call.needs(2, "shift")) if call.has(2) else torch.zeros_like(weight)
    component = {3: "norm.token_norm", 4: "tensor.cell_norm"}.get(x.rank)
    if component is None:
        raise NoPlace(f"it norms a tensor with {x.rank} axes")
    params = {"eps": _rounded(float(call.attr("epsilon", 1e-5)))}
    return call.add(component, {"x": x}, params, {"norm.weight": weight, "norm.bias": bias})


def _group_norm(call: Call) -> Given:
    if not math.isclose(float(call.attr("epsilon", 1e-5)), 1e-5, rel_tol=1e-3):
        raise NoPlace(f"its epsilon is {call.attr('epsilon')}, Group norm has 1e-5")
    x = _four(call, call.flow())
    weight, bias = as_float(call.needs(1, "scale")), as_float(call.needs(2, "shift"))
    if weight.numel() != x.sizes[1]:  # before opset 21 there is one a group
        weight, bias = (t.repeat_interleave(x.sizes[1] // t.numel()) for t in (weight, bias))
    params = {"groups": int(call.attr("num_groups", 1))}
    return call.add("norm.group_norm", {"x": x}, params, {"norm.weight": weight, "norm.bias": bias})


def _lrn(call: Call) -> Given:
    params = {
        "size": int(call.attr("size", 5)), "alpha": _rounded(float(call.attr("alpha", 1e-4))),
        "beta": _rounded(float(call.attr("beta", 0.75))), "k": _rounded(float(call.attr("bias", 1.0))),
    }  # fmt: skip
    return call.add("norm.local_response_norm", {"x": _four(call, call.flow())}, params)


# -- pools -------------------------------------------------------------------------------------------------------------


def _pool(mode: str) -> Callable[[Call], Given]:
    def make(call: Call) -> Given:
        x = _four(call, call.flow())
        kernel, stride = _pair(call.attr("kernel_shape"), "kernel_shape", 1), _pair(call.attr("strides"), "strides", 1)
        dilation = _pair(call.attr("dilations"), "dilations", 1)
        pads, ceil = _pads(call, x, kernel, stride, dilation), bool(call.attr("ceil_mode", 0))
        count = bool(call.attr("count_include_pad", 0)) and any(pads)
        if mode == "average" and not any(pads) and kernel == list(x.sizes[2:]):
            return call.add("pooling.global_avg_pool", {"x": x})
        square = len(set(kernel)) == len(set(stride)) == len(set(pads)) == 1 and pads[0] <= kernel[0] // 2
        if square and dilation == [1, 1] and (mode == "max" or not (ceil or count)) and max(*kernel, *stride) <= 64:
            params: dict[str, Any] = {"kernel_size": kernel[0], "stride": stride[0], "padding": pads[0]}
            if mode == "max":
                params["ceil_mode"] = ceil
            return call.add("pooling.max_pool" if mode == "max" else "pooling.avg_pool", {"x": x}, params)
        params = {
            "mode": mode, "kernel_size": kernel, "stride": stride, "padding": _padding(pads), "dilation": dilation,
            "ceil_mode": ceil, "count_padding": count,
        }  # fmt: skip
        return call.add("pooling.free_pool", {"x": x}, params)

    return make


def _global(component: str) -> Callable[[Call], Given]:
    return lambda call: call.add(component, {"x": _four(call, call.flow())})


def _adaptive_pool(call: Call) -> Given:
    x, size = _four(call, call.flow()), call.attr("size")
    mode = call.attr("mode")
    if size == [1, 1]:
        return call.add(f"pooling.global_{'avg' if mode == 'average' else 'max'}_pool", {"x": x})
    return call.add("pooling.adaptive_pool", {"x": x}, {"height": size[0], "width": size[1], "mode": mode})


# -- activations -------------------------------------------------------------------------------------------------------


def _activation(call: Call) -> Given:
    x, name = call.flow(), activation_of(call.op, call.graph)
    if name in FUNCTIONS:
        return call.add("basic.activation", {"x": x}, {"function": name})
    match call.op.kind:
        case "LeakyRelu":
            return call.add("basic.leaky_relu", {"x": _four(call, x)}, {"slope": _rounded(call.attr("alpha", 0.01))})
        case "HardSigmoid":
            slope, offset = float(call.attr("alpha", 0.2)), float(call.attr("beta", 0.5))
            scaled = with_constant(call, x, "multiply", torch.tensor(slope))
            moved = with_constant(call, scaled, "add", torch.tensor(offset))
            return call.add("tensor.clip", {"x": moved}, {"minimum": 0.0, "maximum": 1.0})
        case "Clip":
            found = bounds(call.op, call.graph)
            if found is not None:
                return call.add("tensor.clip", {"x": x}, {"minimum": found[0], "maximum": found[1]})
    raise NoPlace(f"no activation here has the settings {call.op.attrs or 'that it has'}")


def _prelu(call: Call) -> Given:
    x, slope = _four(call, call.flow()), as_float(call.needs(1, "slope")).flatten()
    channels = x.sizes[1]
    if slope.numel() not in (1, channels):
        raise NoPlace(f"its slope has {slope.numel()} numbers for {channels} channels")
    state = {"function.weight": slope.expand(channels)}
    return call.add("basic.leaky_relu", {"x": x}, {"learned": True}, state)


def _dropout(call: Call) -> Given:
    given = call.const(1)
    ratio = float(given) if given is not None and given.numel() == 1 else float(call.attr("ratio", 0.5))
    return call.add("regularise.dropout", {"x": call.flow()}, {"chance": min(0.99, max(0.0, _rounded(ratio)))})


# -- blocks ------------------------------------------------------------------------------------------------------------


def _squeeze_excite(call: Call) -> Given:
    keys = ("squeeze.weight", "squeeze.bias", "excite.weight", "excite.bias")
    state = {key: as_float(call.needs(i + 1, key)) for i, key in enumerate(keys)}
    params = {"reduction": call.attr("reduction")}
    return call.add("attention.channel.squeeze_excite", {"x": _four(call, call.flow())}, params, state)


def _head(call: Call) -> Given:
    weight, bias = as_float(call.needs(1, "weight")), as_float(call.needs(2, "bias"))
    params = {"num_classes": weight.shape[0], "dropout": min(0.95, _rounded(call.attr("dropout", 0.0)))}
    state = {"fc.weight": weight, "fc.bias": bias}
    return call.add("head.classification_head", {"x": _four(call, call.flow())}, params, state)


ACTIVATION_KINDS = (
    "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "HardSigmoid", "Mish", "SiLU", "Gelu",
    "Elu", "Celu", "Selu", "Clip",
)  # fmt: skip

OPERATIONS: dict[str, Callable[[Call], Given]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "LRN": _lrn,
    "MaxPool": _pool("max"),
    "AveragePool": _pool("average"),
    "GlobalAveragePool": _global("pooling.global_avg_pool"),
    "GlobalMaxPool": _global("pooling.global_max_pool"),
    "AdaptivePool": _adaptive_pool,
    "PRelu": _prelu,
    "Dropout": _dropout,
    "SqueezeExcite": _squeeze_excite,
    "ClassificationHead": _head,
    **dict.fromkeys(ACTIVATION_KINDS, _activation),
    **STAGE_OPERATIONS,
    **TENSOR_OPERATIONS,
    **SIZE_OPERATIONS,
}
"""By ONNX's name, or that of a block."""
