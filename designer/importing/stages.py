"""Joins convolutions, which `patterns.py` has found, to blocks with several: ResNet's, and C3, C2f and SPPF of YOLO.
Those of networks for phones: `mobile_stages.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from designer.importing.operations import Links, Op, OpGraph, block

PLACES = 6
"""Inputs of a block for each of its convolutions: weight, bias, and scale, shift, mean, variance of the norm."""


def residual(graph: OpGraph, links: Links) -> Iterator[Op]:
    """ResNet's blocks: two or three convolutions, the sum with what came in or a projection of it, ReLU."""
    for relu in graph.ops:
        add = links.made_by(relu.inputs[0], "Add") if relu.kind == "Relu" else None
        if add is None or len(add.inputs) != 2 or links.only(add.outputs[0], "Relu") is None:
            continue
        for end, other in (add.inputs, add.inputs[::-1]):
            tried = ((kind, _residual(graph, links, kind, end, other)) for kind in _RESIDUAL)
            kind, found = next((each for each in tried if each[1] is not None), ("", None))
            if found is not None:
                convs, params = found
                yield joined(kind, convs, [*convs, add, relu], params)
                break


_RESIDUAL = {"Bottleneck": (1, 3, 1), "BasicBlock": (3, 3)}
"""Kernels of the convolutions."""


def _residual(
    graph: OpGraph, links: Links, kind: str, end: str, other: str
) -> tuple[list[Op], dict[str, Any]] | None:  # fmt: skip
    """The convolutions of a block that ends in `end` before the sum with `other`, and its settings."""
    kernels, convs, value = _RESIDUAL[kind], list[Op](), end
    for _ in kernels:
        conv = alone(links, value)
        if conv is None:
            return None
        convs.insert(0, conv)
        value = conv.inputs[0]
    forms = [form_of(conv, graph) for conv in convs]
    if not all(forms):
        return None
    wide, out = forms[kernels.index(3)], forms[-1]["out"]
    stride, dilation, inner = wide["stride"], wide["dilation"], forms[0]["out"]
    wanted = [
        {
            "kernel": kernel, "stride": stride if form is wide else 1, "dilation": dilation if kernel == 3 else 1,
            "activation": "none" if form is forms[-1] else "relu", "out": form["out"],
        }
        for kernel, form in zip(kernels, forms, strict=True)
    ]  # fmt: skip
    if forms != wanted or stride not in (1, 2) or (kind == "Bottleneck" and out != 4 * inner):
        return None
    if other != value:
        projection = alone(links, other)
        form = {"kernel": 1, "stride": stride, "dilation": 1, "activation": "none", "out": out}
        if projection is None or projection.inputs[0] != value or form_of(projection, graph) != form:
            return None
        convs.append(projection)
    size = {"width": inner} if kind == "Bottleneck" else {"out_channels": out}
    return convs, {**size, "stride": stride, "dilation": dilation}


def c2f(graph: OpGraph, links: Links) -> Iterator[Op]:
    """A 1x1, split in halves, pairs of 3x3 chained on the second, all pieces concatenated and joined by a 1x1."""
    for cat in graph.ops:
        fuse = _fused(links, cat)
        split = links.made_by(cat.inputs[0], "Split") if fuse is not None else None
        if fuse is None or split is None or split.attrs.get("axis", 0) != 1 or cat.inputs[:2] != split.outputs:
            continue
        head, shape = alone(links, split.inputs[0]), graph.shapes.get(split.outputs[0], ())
        half = shape[1] if len(shape) == 4 else 0
        pairs = [_pair(graph, links, cat, i, half) for i in range(1, len(cat.inputs) - 1)]
        shortcuts = {len(pair) == 3 for pair in pairs}
        ends = links.only(cat.inputs[0], "Concat"), links.only(cat.inputs[-1], "Concat")
        if head is None or len(shortcuts) != 1 or not all(pairs) or ends != (cat, cat):
            continue
        if _is(fuse, graph, 1, 2 * half) and _is(head, graph, 1, 2 * half):
            params = {"out_channels": 2 * half, "depth": len(pairs), "shortcut": shortcuts.pop()}
            between = [op for pair in pairs for op in pair]
            convs = [head, *(op for op in between if op.kind == "Conv"), fuse]
            yield joined("C2f", convs, [head, split, *between, cat, fuse], params)


def _pair(graph: OpGraph, links: Links, cat: Op, place: int, half: int) -> list[Op]:
    """The two 3x3 between two inputs of a concatenation, and the sum with the first if there is one; else []."""
    value, piece = cat.inputs[place : place + 2]
    add = links.made_by(piece, "Add")
    end = next((v for v in add.inputs if v != value), "") if add is not None else piece
    second = links.made_by(end, "Conv")
    first = alone(links, second.inputs[0]) if second is not None else None
    if first is None or second is None or not (_is(first, graph, 3, half) and _is(second, graph, 3, half)):
        return []
    found = [first, second] if add is None else [first, second, add]
    # Nothing else may look at the first of the two values, or into the sum.
    takers = {id(op) for op in (cat, first, *found[2:])}
    summed = add is None or links.only(end, "Add") is add
    seen = {id(op) for op in links.takers[value]}
    return found if first.inputs[0] == value and summed and seen == takers and value not in links.outputs else []


def c3(graph: OpGraph, links: Links) -> Iterator[Op]:
    """Two 1x1 of the same map, bottlenecks behind the first, both concatenated and joined by a 1x1."""
    for cat in graph.ops:
        fuse = _fused(links, cat)
        side = alone(links, cat.inputs[1]) if fuse is not None and len(cat.inputs) == 2 else None
        if fuse is None or side is None or links.only(cat.inputs[0], "Concat") is None:
            continue
        half, value, parts = form_of(side, graph).get("out", 0), cat.inputs[0], list[Op]()
        kernels, shortcuts, depth, first = set[int](), set[bool](), 0, None
        while first is None and (found := _bottleneck(graph, links, value, half)):
            parts = found + parts
            kernels.add(form_of(found[0], graph)["kernel"])
            shortcuts.add(len(found) == 3)
            value, depth = found[0].inputs[0], depth + 1
            if len(links.takers[value]) != len(found) - 1 or value in links.outputs:  # the first, and the sum if any
                break
            before = links.made_by(value, "Conv")
            if before is not None and before.inputs[0] == side.inputs[0] and _is(before, graph, 1, half):
                first = before
        if first is None or len(kernels) != 1 or len(shortcuts) != 1:
            continue
        if _is(fuse, graph, 1, 2 * half) and _is(side, graph, 1, half):
            params = {
                "out_channels": 2 * half, "depth": depth, "shortcut": shortcuts.pop(), "first_kernel": kernels.pop(),
            }  # fmt: skip
            convs = [first, side, fuse, *(op for op in parts if op.kind == "Conv")]
            yield joined("C3", convs, [first, *parts, side, cat, fuse], params)


def _bottleneck(graph: OpGraph, links: Links, end: str, half: int) -> list[Op]:
    """A 1x1 or 3x3, then a 3x3, that give a value, and the sum with what came in if there is one; else []."""
    add = links.made_by(end, "Add")
    for last in add.inputs if add is not None else [end]:
        second = alone(links, last)
        first = alone(links, second.inputs[0]) if second is not None else None
        if first is None or second is None or not _is(second, graph, 3, half):
            continue
        if not any(_is(first, graph, kernel, half) for kernel in (1, 3)):
            continue
        if add is None:
            return [first, second]
        if set(add.inputs) == {last, first.inputs[0]}:
            return [first, second, add]
    return []


def sppf(graph: OpGraph, links: Links) -> Iterator[Op]:
    """A 1x1, three max-pools in a row, all four concatenated and joined by a 1x1."""
    for cat in graph.ops:
        fuse = _fused(links, cat)
        first = links.made_by(cat.inputs[0], "Conv") if len(cat.inputs) == 4 else None
        if fuse is None or first is None or not _is(fuse, graph, 1) or not _is(first, graph, 1):
            continue
        pools = [links.made_by(value, "MaxPool") for value in cat.inputs[1:]]
        if any(pool is None for pool in pools):
            continue
        found = [pool for pool in pools if pool is not None]
        side = next(iter(found[0].attrs.get("kernel_shape") or ()), 0)
        usual = {"kernel_shape": [side] * 2, "strides": [1, 1], "pads": [side // 2] * 4}
        chained = all(
            pool.inputs[0] == value and {k: list(pool.attrs.get(k) or ()) for k in usual} == usual
            and list(pool.attrs.get("dilations") or (1, 1)) == [1, 1]
            for pool, value in zip(found, cat.inputs, strict=False)
        )  # fmt: skip
        takers = [len(links.takers[value]) for value in cat.inputs]
        if chained and side % 2 and takers == [2, 2, 2, 1] and not links.outputs & set(cat.inputs):
            params = {
                "out_channels": form_of(fuse, graph)["out"], "kernel_size": side, "width": form_of(first, graph)["out"],
            }  # fmt: skip
            yield joined("SPPF", [first, fuse], [first, *found, cat, fuse], params)


def _fused(links: Links, cat: Op) -> Op | None:
    """The convolution that alone takes a concatenation of channels."""
    joins = cat.kind == "Concat" and cat.attrs.get("axis") == 1 and len(cat.inputs) > 1
    return links.only(cat.outputs[0], "Conv") if joins else None


def alone(links: Links, value: str) -> Op | None:
    """The convolution that gives a value to one taker."""
    conv = links.made_by(value, "Conv")
    return conv if conv is not None and len(links.takers[value]) == 1 and value not in links.outputs else None


def _is(conv: Op, graph: OpGraph, kernel: int, out: int = 0) -> bool:
    """Whether it is one of the YOLO family's: SiLU, stride 1."""
    form = form_of(conv, graph)
    usual = {"kernel": kernel, "stride": 1, "dilation": 1, "activation": "silu", "out": out or form.get("out")}
    return form == usual


def form_of(conv: Op, graph: OpGraph, groups: int = 1) -> dict[str, Any]:
    """Kernel, stride, dilation, channels, activation; empty for one that is not square, evenly padded, of `groups`."""
    weight = graph.constants.get(conv.inputs[1]) if len(conv.inputs) > 1 else None
    if weight is None or weight.ndim != 4 or conv.attrs.get("group", 1) != groups or weight.shape[2] != weight.shape[3]:
        return {}
    kernel, stride = weight.shape[2], list(conv.attrs.get("strides") or (1, 1))
    dilation = list(conv.attrs.get("dilations") or (1, 1))
    padded = list(conv.attrs.get("pads") or [0] * 4) == [kernel // 2 * dilation[0]] * 4
    if not padded or conv.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "") or kernel % 2 == 0:
        return {}
    if len(set(stride)) > 1 or len(set(dilation)) > 1:
        return {}
    return {
        "kernel": kernel, "stride": stride[0], "dilation": dilation[0], "out": weight.shape[0],
        "activation": conv.attrs.get("activation", "none"),
    }  # fmt: skip


def joined(kind: str, convs: list[Op], parts: list[Op], params: dict[str, Any]) -> Op:
    """A block that takes what its first convolution takes, and the tensors of all."""
    tensors = [value for conv in convs for value in [*conv.inputs[1:], *[""] * PLACES][:PLACES]]
    eps = [float(conv.attrs.get("epsilon", 1e-5)) for conv in convs]
    return block(kind, [convs[0].inputs[0], *tensors], parts, params=params, eps=eps)
