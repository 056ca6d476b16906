"""Which component a block of several convolutions is; `stages.py` finds them.

A convolution that a file gives without its norm gets one that adds its bias and changes nothing else, so that the block
computes the same and can be trained on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from designer.importing.drawing import Call, Flow, as_float, norm_state
from designer.importing.stages import PLACES


def _state(call: Call, index: int, conv: str, norm: str, eps: float) -> dict[str, Tensor]:
    """Weights of a block's convolution, the block's `eps` in its norm."""
    place = 1 + PLACES * index
    weight = as_float(call.needs(place, "weight"))
    none = torch.zeros(weight.shape[0])
    bias = as_float(call.needs(place + 1, "bias")) if call.has(place + 1) else none
    if call.has(place + 2):
        values = norm_state(call, place + 2)
        values["running_mean"] = values["running_mean"] - bias
        values["running_var"] = values["running_var"] + (call.attr("eps")[index] - eps)
    else:
        values = {"weight": none + 1, "bias": bias, "running_mean": none, "running_var": none + (1 - eps)}
    return {f"{conv}.weight": weight, **{f"{norm}.{name}": value for name, value in values.items()}}


def _residual_node(component: str, convs: int) -> Callable[[Call], list[Flow]]:
    def make(call: Call) -> list[Flow]:
        state: dict[str, Tensor] = {}
        for i in range(convs):
            state |= _state(call, i, f"conv{i + 1}", f"bn{i + 1}", 1e-5)
        if len(call.attr("eps")) > convs:
            state |= _state(call, convs, "skip.0", "skip.1", 1e-5)
        return call.add(component, {"x": call.flow()}, call.attr("params"), state)

    return make


def _c2f_node(call: Call) -> list[Flow]:
    depth = call.attr("params")["depth"]
    names = ["cv1", *(f"m.{i}.{name}" for i in range(depth) for name in ("cv1", "cv2")), "cv2"]
    return call.add("block.csp.c2f", {"x": call.flow()}, call.attr("params"), _yolo_state(call, names))


def _sppf_node(call: Call) -> list[Flow]:
    return call.add("pooling.sppf", {"x": call.flow()}, call.attr("params"), _yolo_state(call, ["cv1", "cv2"]))


def _c3_node(call: Call) -> list[Flow]:
    depth = call.attr("params")["depth"]
    names = ["cv1", "cv2", "cv3", *(f"m.{i}.{name}" for i in range(depth) for name in ("cv1", "cv2"))]
    return call.add("block.csp.c3", {"x": call.flow()}, call.attr("params"), _yolo_state(call, names))


def _inverted_residual_node(call: Call) -> list[Flow]:
    params = dict(call.attr("params"))
    gate = ["squeeze.reduce", "squeeze.expand"] if params["squeeze"] else []
    names = ["depthwise", *gate, "project"]
    if len(call.attr("eps")) > len(names):
        names.insert(0, "expand")
    eps = {value for name, value in zip(names, call.attr("eps"), strict=True) if name not in gate}
    params["eps"] = eps.pop() if len(eps) == 1 else 1e-5
    state: dict[str, Tensor] = {}
    for i, name in enumerate(names):
        if name in gate:
            place = 1 + PLACES * i
            weight = state[f"{name}.weight"] = as_float(call.needs(place, "weight"))
            bias = as_float(call.needs(place + 1, "bias")) if call.has(place + 1) else torch.zeros(weight.shape[0])
            state[f"{name}.bias"] = bias
        else:
            state |= _state(call, i, f"{name}.conv", f"{name}.bn", params["eps"])
    return call.add("block.mobile.inverted_residual", {"x": call.flow()}, params, state)


def _yolo_state(call: Call, names: list[str]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for i, name in enumerate(names):
        state |= _state(call, i, f"{name}.conv", f"{name}.bn", 1e-3)
    return state


STAGE_OPERATIONS = {
    "BasicBlock": _residual_node("block.residual.basic_block", 2),
    "Bottleneck": _residual_node("block.residual.bottleneck", 3),
    "C2f": _c2f_node,
    "C3": _c3_node,
    "InvertedResidual": _inverted_residual_node,
    "SPPF": _sppf_node,
}
