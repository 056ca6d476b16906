"""Which component an operation is that changes the height and width of maps: resizing, padding, cells and channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from designer.importing.drawing import Call, Flow, NoPlace
from designer.importing.tensor_layers import permuted

Given = Sequence[Flow]


def _resize(call: Call) -> Given:
    x = call.flow()
    old = call.op.kind == "Upsample" or call.graph.opset < 11
    scales = call.const(1 if old else 2)
    sizes = None if old else call.const(3)
    factors = [float(v) for v in (scales.flatten().tolist() if scales is not None else call.attr("scales") or ())]
    if sizes is not None and sizes.numel() == x.rank:
        wanted = [int(v) for v in sizes.tolist()]
    elif len(factors) == x.rank:
        wanted = [math.floor(s * f) for s, f in zip(x.sizes, factors, strict=True)]
    else:
        raise NoPlace("its size depends on the image")
    if x.rank != 4 or wanted[:2] != list(x.sizes[:2]):
        raise NoPlace("it resizes other axes than height and width")
    mode = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}.get(call.attr("mode", "nearest"), "")
    grid = call.attr("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    up = [w // s if w % s == 0 else 0 for w, s in zip(wanted[2:], x.sizes[2:], strict=True)]
    if mode == "nearest":
        nearest = call.attr("nearest_mode", "floor" if old else "round_prefer_floor")
        # A whole factor repeats each cell, whichever way the middle is rounded.
        repeats = min(up) >= 1 and grid in ("half_pixel", "pytorch_half_pixel") and nearest.startswith("round")
        repeats = repeats or (set(up) <= {1, 2} and grid == "asymmetric" and nearest == "round_prefer_floor")
        if not repeats and not (grid == "asymmetric" and nearest == "floor"):
            raise NoPlace(f"its grid is {grid} with {nearest}")
    elif not mode or grid not in ("half_pixel", "pytorch_half_pixel", "align_corners") or call.attr("antialias", 0):
        raise NoPlace(f"its mode is {call.attr('mode')} on the grid {grid}")
    elif mode == "bicubic" and not math.isclose(float(call.attr("cubic_coeff_a", -0.75)), -0.75):
        raise NoPlace(f"its cubic coefficient is {call.attr('cubic_coeff_a')}")
    align = grid == "align_corners"
    if up[0] == up[1] and 2 <= up[0] <= 32 and mode != "bicubic" and not align:
        return call.add("resize.upsample", {"x": x}, {"scale": up[0], "mode": mode})
    return call.add("resize.interpolate", {"x": x}, {"size": wanted[2:], "mode": mode, "align_corners": align})


def _pad(call: Call) -> Given:
    x, pads = call.flow(), call.ints("pads", 1) or []
    axes = call.ints("axes", 3) or list(range(x.rank))
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(call.attr("mode", "constant"), "")
    value = call.const(2)
    amount = float(value) if value is not None and value.numel() == 1 else float(call.attr("value", 0.0))
    if len(pads) != 2 * len(axes) or not mode:
        raise NoPlace(f"its pads are {pads}")
    sides = [(0, 0)] * x.rank
    for i, axis in enumerate(axes):
        sides[call.axis(axis, x)] = (pads[i], pads[i + len(axes)])
    if not any(map(any, sides)):
        return [x]
    if x.rank != 4 or any(sides[0]) or min(map(min, sides)) < 0 or x.batch:
        raise NoPlace(f"its pads are {pads}")
    for place, count in enumerate(sides[1]):
        if count and (mode != "constant" or amount):
            raise NoPlace("it pads the channels with other things than zeros")
        if count:  # channels of zeros before or behind
            zeros = torch.zeros(1, count, *x.sizes[2:])
            params = {"sizes": list(zeros.shape[1:]), "learned": False}
            more = call.add("tensor.learned_tensor", {"like": x}, params, {"numbers": zeros})[0]
            both = (x, more) if place else (more, x)
            x = call.add("fusion.concat", {f"xs.{i}": f for i, f in enumerate(both)})[0]
    (top, bottom), (left, right) = sides[2:]
    if not (top or bottom or left or right):
        return [x]
    padding = [top, left] if (top, left) == (bottom, right) else [top, left, bottom, right]
    return call.add("resize.pad", {"x": x}, {"padding": padding, "mode": mode, "value": amount})


def _depth_to_space(call: Call) -> Given:
    x, block = call.flow(), int(call.attr("blocksize", 2))
    batch, channels, height, width = x.sizes if x.rank == 4 else (0, 0, 0, 0)
    if not batch or channels % block**2:
        raise NoPlace("it takes a map whose channels are a multiple of the square of its blocks")
    left = channels // block**2
    if call.attr("mode", "DCR") == "CRD":
        shape, order = [batch, left, block, block, height, width], [0, 1, 4, 2, 5, 3]
    else:
        shape, order = [batch, block, block, left, height, width], [0, 3, 4, 1, 5, 2]
    return [call.view(permuted(call, call.view(x, shape), order), [batch, left, height * block, width * block])]


def _space_to_depth(call: Call) -> Given:
    x, block = call.flow(), int(call.attr("blocksize", 2))
    batch, channels, height, width = x.sizes if x.rank == 4 else (0, 0, 1, 1)
    if not batch or height % block or width % block:
        raise NoPlace("it takes a map whose sides are multiples of its blocks")
    cells = call.view(x, [batch, channels, height // block, block, width // block, block])
    order = [0, 1, 3, 5, 2, 4] if call.attr("channels_first", False) else [0, 3, 5, 1, 2, 4]
    shape = [batch, channels * block**2, height // block, width // block]
    return [call.view(permuted(call, cells, order), shape)]


SIZE_OPERATIONS: dict[str, Callable[[Call], Given]] = {
    "Resize": _resize, "Upsample": _resize, "Pad": _pad, "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}  # fmt: skip
"""By ONNX's name."""
