"""torch's operations in the words of ONNX: what each is called there, what it takes and with which attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Said:
    """One operation: `inputs` are names of values, numbers, lists of numbers, or None for one that is left out."""

    kind: str
    inputs: Sequence[Any]
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A torch operation: its arguments by name, tensors being names of values, and shapes of what goes in and out."""

    args: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    out: list[tuple[int, ...]]

    def __getitem__(self, name: str) -> Any:
        return self.args[name]

    def shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[self.args[name]]


class NotSaid(Exception):
    """Settings that ONNX's words do not cover."""


def _two(value: Any) -> list[int]:
    found = [value] if isinstance(value, int) else list(value)
    return [int(found[0]), int(found[-1])]


def _x(kind: str, **attrs: Any) -> Callable[[Asked], Said]:
    """An operation of one tensor."""
    return lambda a: Said(kind, [next(iter(a.args.values()))], dict(attrs))


def _both(kind: str) -> Callable[[Asked], Said]:
    def say(a: Asked) -> Said:
        if a.args.get("alpha", 1) != 1 or a.args.get("rounding_mode"):
            raise NotSaid
        first, second = list(a.args.values())[:2]
        return Said(kind, [first, second])

    return say


def _reversed(kind: str) -> Callable[[Asked], Said]:
    return lambda a: Said(kind, [a["other"], a["self"]])


def _conv(a: Asked) -> Said:
    attrs = {"strides": _two(a["stride"]), "dilations": _two(a["dilation"]), "group": a["groups"]}
    if isinstance(a["padding"], str):
        attrs["auto_pad"] = "SAME_UPPER" if a["padding"] == "same" else "VALID"
    else:
        attrs["pads"] = _two(a["padding"]) * 2
    return Said("Conv", [a["input"], a["weight"], a["bias"]], attrs)


def _conv_transpose(a: Asked) -> Said:
    attrs = {
        "strides": _two(a["stride"]), "dilations": _two(a["dilation"]), "group": a["groups"],
        "pads": _two(a["padding"]) * 2, "output_padding": _two(a["output_padding"]),
    }  # fmt: skip
    return Said("ConvTranspose", [a["input"], a["weight"], a["bias"]], attrs)


def _scale(a: Asked, channels: int) -> list[Any]:
    """Scale and shift of a norm; ones and zeros where it has none."""
    weight, bias = a["weight"], a["bias"]
    return [weight if weight is not None else [1.0] * channels, bias if bias is not None else [0.0] * channels]


def _batch_norm(a: Asked) -> Said:
    if a["running_mean"] is None or a.args.get("training"):
        raise NotSaid
    attrs = {"epsilon": a["eps"], "momentum": 1 - (a["momentum"] if a["momentum"] is not None else 0.1)}
    statistics = [a["running_mean"], a["running_var"]]
    return Said("BatchNormalization", [a["input"], *_scale(a, a.shape("input")[1]), *statistics], attrs)


def _layer_norm(a: Asked) -> Said:
    shape = list(a["normalized_shape"])
    if len(shape) != 1:
        raise NotSaid
    return Said("LayerNormalization", [a["input"], *_scale(a, shape[0])], {"axis": -1, "epsilon": a["eps"]})


def _group_norm(a: Asked) -> Said:
    attrs = {"num_groups": a["num_groups"], "epsilon": a["eps"]}
    return Said("GroupNormalization", [a["input"], *_scale(a, a.shape("input")[1])], attrs)


def _instance_norm(a: Asked) -> Said:
    if not a["use_input_stats"]:
        raise NotSaid
    return Said("InstanceNormalization", [a["input"], *_scale(a, a.shape("input")[1])], {"epsilon": a["eps"]})


def _pool(kind: str) -> Callable[[Asked], Said]:
    def say(a: Asked) -> Said:
        if a.args.get("divisor_override"):
            raise NotSaid
        kernel = _two(a["kernel_size"])
        attrs = {
            "kernel_shape": kernel, "strides": _two(a["stride"] or kernel), "pads": _two(a["padding"]) * 2,
            "ceil_mode": int(a["ceil_mode"]), "dilations": _two(a.args.get("dilation", 1)),
            "count_include_pad": int(a.args.get("count_include_pad", False)),
        }  # fmt: skip
        return Said(kind, [a["self"]], attrs)

    return say


def _adaptive(mode: str) -> Callable[[Asked], Said]:
    def say(a: Asked) -> Said:
        size = _two(a["output_size"])
        if mode == "average" and size == [1, 1]:
            return Said("GlobalAveragePool", [a["self"]], {})
        return Said("AdaptivePool", [a["self"]], {"size": size, "mode": mode})

    return say


def _clip(a: Asked) -> Said:
    names = ("min_val", "max_val") if "min_val" in a.args else ("min", "max")
    given = {key: a.args.get(name) for key, name in zip(("min", "max"), names, strict=True)}
    if any(isinstance(v, str) for v in given.values()):
        raise NotSaid
    return Said("Clip", [a["self"]], {k: float(v) for k, v in given.items() if v is not None})


def _reduce(kind: str) -> Callable[[Asked], Said]:
    def say(a: Asked) -> Said:
        if a.args.get("ord", 2) != 2 or a.args.get("dtype"):
            raise NotSaid
        dims = a.args.get("dim")
        rank = len(a.shapes[next(iter(a.args.values()))])
        axes = list(range(rank)) if dims is None else [dims] if isinstance(dims, int) else list(dims)
        return Said(kind, [next(iter(a.args.values()))], {"axes": axes, "keepdims": int(a.args.get("keepdim", False))})

    return say


def _reshape(a: Asked) -> Said:
    return Said("Reshape", [a["self"], list(a.out[0])])


def _transpose(a: Asked) -> Said:
    order = list(range(len(a.shape("self"))))
    first, second = (a["dim0"], a["dim1"]) if "dim0" in a.args else (0, -1)
    order[first], order[second] = order[second], order[first]
    return Said("Transpose", [a["self"]], {"perm": order})


def _permute(a: Asked) -> Said:
    rank = len(a.shape("self"))
    return Said("Transpose", [a["self"]], {"perm": [d % rank for d in a["dims"]]})


def _split(a: Asked) -> Said:
    dim = a["dim"] % len(a.shape("self"))
    return Said("Split", [a["self"]], {"axis": dim, "split": [shape[dim] for shape in a.out]})


def _slice(a: Asked) -> Said:
    size = a.shape("self")[a["dim"]]
    start, end = a["start"] or 0, a["end"] if a["end"] is not None else size
    return Said("Slice", [a["self"], [start], [min(end, 2**31)], [a["dim"]], [a["step"]]])


def _resize(mode: str) -> Callable[[Asked], Said]:
    def say(a: Asked) -> Said:
        grid = "align_corners" if a.args.get("align_corners") else "half_pixel"
        attrs = {"mode": mode, "coordinate_transformation_mode": grid}
        if mode == "nearest":
            attrs |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return Said("Resize", [next(iter(a.args.values())), None, None, list(a.out[0])], attrs)

    return say


def _pad(mode: str) -> Callable[[Asked], Said]:
    def say(a: Asked) -> Said:
        given = list(a["pad"] if "pad" in a.args else a["padding"])
        rank, kind = len(a.shape("self")), {"replicate": "edge"}.get(a.args.get("mode", mode), a.args.get("mode", mode))
        sides = [given[i : i + 2] for i in range(0, len(given), 2)]  # the last axis first
        full = [[0, 0]] * (rank - len(sides)) + sides[::-1]
        pads = [s[0] for s in full] + [s[1] for s in full]
        return Said("Pad", [a["self"], pads], {"mode": kind, "value": float(a.args.get("value") or 0.0)})

    return say


def _attention(a: Asked) -> Said:
    if a["attn_mask"] is not None or a.args.get("enable_gqa"):
        raise NotSaid
    attrs = {"scale": a["scale"], "causal": a["is_causal"]}
    return Said("DotProductAttention", [a["query"], a["key"], a["value"]], attrs)


def _gemm(a: Asked) -> Said:
    if a["beta"] != 1 or a["alpha"] != 1:
        raise NotSaid
    return Said("Gemm", [a["mat1"], a["mat2"], a["self"]])


def _axes(kind: str) -> Callable[[Asked], Said]:
    def say(a: Asked) -> Said:
        dims = a.args.get("dim")
        return Said(
            kind, [a["self"]], {"axes": [dims] if isinstance(dims, int) else list(dims)} if dims is not None else {}
        )

    return say


def _roll(a: Asked) -> Said:
    if not a["dims"]:
        raise NotSaid
    return Said("Roll", [a["self"]], {"shifts": list(a["shifts"]), "dims": list(a["dims"])})


def _repeat(a: Asked) -> Said:
    repeats = list(a["repeats"])
    if len(repeats) != len(a.shape("self")):
        raise NotSaid
    return Said("Tile", [a["self"], repeats])


FROM_SHAPE = ("new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like")
"""What they give depends on the shape of a tensor and not on its values."""

SAME = ("contiguous", "clone", "alias", "detach", "lift_fresh_copy", "lift_fresh", "detach_", "type_as", "float")

WORDS: dict[str, Callable[[Asked], Said]] = {
    "conv2d": _conv, "conv_transpose2d": _conv_transpose, "batch_norm": _batch_norm, "layer_norm": _layer_norm,
    "group_norm": _group_norm, "instance_norm": _instance_norm,
    "linear": lambda a: Said("Linear", [a["input"], a["weight"], a["bias"]]), "addmm": _gemm,
    "matmul": _both("MatMul"), "bmm": _both("MatMul"), "scaled_dot_product_attention": _attention,
    "relu": _x("Relu"), "sigmoid": _x("Sigmoid"), "tanh": _x("Tanh"), "silu": _x("SiLU"), "hardswish": _x("HardSwish"),
    "hardsigmoid": _x("HardSigmoid", alpha=1 / 6, beta=0.5), "mish": _x("Mish"), "softplus": _x("Softplus"),
    "selu": _x("Selu"), "relu6": _x("Clip", min=0.0, max=6.0), "hardtanh": _clip, "clamp": _clip, "clamp_min": _clip,
    "clamp_max": _clip, "gelu": lambda a: Said("Gelu", [a["self"]], {"approximate": a["approximate"]}),
    "leaky_relu": lambda a: Said("LeakyRelu", [a["self"]], {"alpha": a["negative_slope"]}),
    "elu": lambda a: Said("Elu", [a["self"]], {"alpha": a["alpha"]}),
    "celu": lambda a: Said("Celu", [a["self"]], {"alpha": a["alpha"]}),
    "prelu": lambda a: Said("PRelu", [a["self"], a["weight"]]),
    "softmax": lambda a: Said("Softmax", [a["self"]], {"axis": a["dim"]}),
    "log_softmax": lambda a: Said("LogSoftmax", [a["self"]], {"axis": a["dim"]}),
    "dropout": lambda a: Said("Dropout", [next(iter(a.args.values()))], {"ratio": a["p"]}),
    "max_pool2d": _pool("MaxPool"), "avg_pool2d": _pool("AveragePool"),
    "max_pool2d_with_indices": _pool("MaxPool"), "adaptive_avg_pool2d": _adaptive("average"),
    "adaptive_max_pool2d": _adaptive("max"),
    "mean": _reduce("ReduceMean"), "sum": _reduce("ReduceSum"), "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"), "linalg_vector_norm": _reduce("ReduceL2"),
    "add": _both("Add"), "sub": _both("Sub"), "mul": _both("Mul"), "div": _both("Div"), "pow": _both("Pow"),
    "maximum": _both("Max"), "minimum": _both("Min"), "rsub": _reversed("Sub"),
    "abs": _x("Abs"), "neg": _x("Neg"), "exp": _x("Exp"), "log": _x("Log"), "sqrt": _x("Sqrt"), "erf": _x("Erf"),
    "reciprocal": _x("Reciprocal"), "sin": _x("Sin"), "cos": _x("Cos"), "floor": _x("Floor"), "ceil": _x("Ceil"),
    "round": _x("Round"), "sign": _x("Sign"), "square": lambda a: Said("Pow", [a["self"], 2.0]),
    "rsqrt": lambda a: Said("Pow", [a["self"], -0.5]),
    "flatten": _reshape, "view": _reshape, "reshape": _reshape, "_unsafe_view": _reshape, "unflatten": _reshape,
    "transpose": _transpose, "t": _transpose, "permute": _permute, "unsqueeze": _axes("Unsqueeze"),
    "squeeze": _axes("Squeeze"), "cat": lambda a: Said("Concat", list(a["tensors"]), {"axis": a["dim"]}),
    "chunk": _split, "split": _split, "split_with_sizes": _split, "slice": _slice,
    "select": lambda a: Said("Gather", [a["self"], a["index"]], {"axis": a["dim"]}),
    "index_select": lambda a: Said("Gather", [a["self"], a["index"]], {"axis": a["dim"]}),
    "roll": _roll, "expand": lambda a: Said("Expand", [a["self"], list(a.out[0])]), "repeat": _repeat,
    "upsample_nearest2d": _resize("nearest"), "upsample_bilinear2d": _resize("linear"),
    "upsample_bicubic2d": _resize("cubic"), "pad": _pad("constant"), "constant_pad_nd": _pad("constant"),
    "reflection_pad2d": _pad("reflect"), "replication_pad2d": _pad("replicate"),
    "pixel_shuffle": lambda a: Said("DepthToSpace", [a["self"]], {"blocksize": a["upscale_factor"], "mode": "CRD"}),
    "pixel_unshuffle": lambda a: Said(
        "SpaceToDepth", [a["self"]], {"blocksize": a["downscale_factor"], "channels_first": True}
    ),
    **dict.fromkeys(SAME, _x("Identity")),
}  # fmt: skip
"""By torch's name without its overload."""
