"""Joins convolutions, which `patterns.py` has found, to the inverted residuals of MobileNet V2, V3 and EfficientNet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from designer.importing.operations import Links, Op, OpGraph, is_global_average
from designer.importing.stages import alone, form_of, joined


@dataclass
class _Gate:
    """Squeeze-and-excitation between two convolutions. `value` is what it scales; without one, what passes."""

    value: str
    convs: list[Op] = field(default_factory=list)
    parts: list[Op] = field(default_factory=list)
    squeeze: int = 0
    kind: str = "sigmoid"
    inner: str = ""


def inverted_residual(graph: OpGraph, links: Links) -> Iterator[Op]:
    """A 1x1 that widens, a depthwise convolution, squeeze-and-excitation, a 1x1 that narrows, the sum with the input.

    The first, the third and the last are not in all of them.
    """
    for project in graph.ops:
        if project.kind != "Conv" or form_of(project, graph).get("kernel") != 1:
            continue
        gate = _gate(graph, links, project.inputs[0])
        depthwise = links.made_by(gate.value, "Conv")
        wide = _channels(graph, depthwise) if depthwise is not None else 0
        if depthwise is None or not wide:
            continue
        # The gate looks at what the depthwise convolution gives twice: to average it, and to scale it.
        takers, form = len(links.takers[gate.value]), form_of(depthwise, graph, groups=wide)
        act = form.get("activation", "none")
        takes = 1 if not gate.squeeze or gate.parts[0].kind == "SqueezeExcite" else 2
        fits = takers == takes and gate.value not in links.outputs and gate.inner in ("", _inner(gate, act))
        if act == "none" or not fits:
            continue
        found = _joined(graph, links, project, gate, depthwise, {**form, "out": wide})
        if found is not None:
            yield found


def _joined(
    graph: OpGraph, links: Links, project: Op, gate: _Gate, depthwise: Op, form: dict[str, Any]
) -> Op | None:  # fmt: skip
    """The block, where the first 1x1 and the sum are as the block has them."""
    wide, act, out = form["out"], form["activation"], form_of(project, graph)["out"]
    usual = {"kernel": 1, "stride": 1, "dilation": 1}
    if form["kernel"] not in (3, 5, 7) or form["stride"] not in (1, 2):
        return None
    if form_of(project, graph) != {**usual, "activation": "none", "out": out}:
        return None
    expand, entering = alone(links, depthwise.inputs[0]), wide
    if expand is not None and form_of(expand, graph) == {**usual, "activation": act, "out": wide}:
        entering = graph.constants[expand.inputs[1]].shape[1]
    if entering == wide:  # a 1x1 that widens nothing is no part of the block
        expand = None
    came = (expand or depthwise).inputs[0]
    add = links.only(project.outputs[0], "Add")
    summed = add is not None and set(add.inputs) == {came, project.outputs[0]}
    if summed is not (form["stride"] == 1 and entering == out):
        return None
    if expand is None and not summed and len(project.inputs) < 6:  # two convolutions of anything
        return None
    convs = [*([expand] if expand else []), depthwise, *gate.convs, project]
    parts = [*([expand] if expand else []), depthwise, *gate.parts, project, *([add] if add and summed else [])]
    params = {
        "out_channels": out, "expanded": wide, "kernel_size": form["kernel"], "stride": form["stride"],
        "squeeze": gate.squeeze, "activation": act, "gate": gate.kind, "dilation": form["dilation"],
    }  # fmt: skip
    return joined("InvertedResidual", convs, parts, params)


def _inner(gate: _Gate, activation: str) -> str:
    """The function inside the gate that goes with a block's own, as the component has it."""
    return "relu" if gate.kind == "hardsigmoid" else activation


def _gate(graph: OpGraph, links: Links, value: str) -> _Gate:
    """What scales a value's channels by what their averages say, in parts or found before; else the value passes."""
    none = _Gate(value)
    whole = links.made_by(value, "SqueezeExcite")
    if whole is not None and links.only(value, "Conv") is not None:
        convs = [Op("Conv", ["", *whole.inputs[place : place + 2]], []) for place in (1, 3)]
        hidden = graph.constants[whole.inputs[1]].shape[0]
        return _Gate(whole.inputs[0], convs, [whole], hidden, "sigmoid", "relu")
    mul = links.made_by(value, "Mul") if links.only(value, "Conv") is not None else None
    for scaled, factor in (mul.inputs, mul.inputs[::-1]) if mul is not None and len(mul.inputs) == 2 else ():
        act = links.made_by(factor, "Sigmoid", "HardSigmoid")
        second = alone(links, act.inputs[0]) if act is not None and links.only(factor, "Mul") else None
        first = alone(links, second.inputs[0]) if second is not None else None
        pool = links.made_by(first.inputs[0], "GlobalAveragePool", "ReduceMean") if first is not None else None
        if mul is None or act is None or second is None or first is None or pool is None:
            continue
        forms = form_of(first, graph), form_of(second, graph)
        plain = all(len(conv.inputs) < 6 for conv in (first, second))
        kinds = {"Sigmoid": "sigmoid", "HardSigmoid": "hardsigmoid"}
        fits = plain and all(form.get("kernel") == 1 for form in forms) and forms[1]["activation"] == "none"
        averages = is_global_average(pool, graph, keep=True) and links.only(pool.outputs[0], "Conv") is first
        if fits and averages and pool.inputs[0] == scaled:
            inner, hidden = forms[0]["activation"], forms[0]["out"]
            return _Gate(scaled, [first, second], [pool, first, second, act, mul], hidden, kinds[act.kind], inner)
    return none


def _channels(graph: OpGraph, conv: Op) -> int:
    """What a convolution gives; 0 where that is not known."""
    weight = graph.constants.get(conv.inputs[1]) if len(conv.inputs) > 1 else None
    return weight.shape[0] if weight is not None and weight.ndim == 4 else 0
