"""What each torch operation does to the reach of a tensor, by the operation's name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from designer.engine.reach import Axis, Reach, join

Factor = tuple[str, int]
"""A run of cells inside a dimension: `h`, `w` or "" for what is no place in the image, and how many."""
Dims = tuple[tuple[Factor, ...], ...]
"""The factors of each dimension, outermost first: a map is ((("", B),), (("", C),), (("h", H),), (("w", W),))."""


class Followed:
    """The reach of a tensor and where its cells are in its dimensions; `dims` is None once that is lost."""

    def __init__(self, reach: Reach, dims: Dims | None) -> None:
        self.reach, self.dims = reach, dims

    def places(self, dims: Sequence[int]) -> bool:
        """Whether cells of the image lie along any of these dimensions, as far as is known."""
        if self.dims is None:
            return True
        return any(label for d in dims for label, _ in self.dims[d % len(self.dims)])


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for item in value for t in tensors(item)] if isinstance(value, (tuple, list)) else []


def union(inputs: Sequence[Followed]) -> Reach:
    found = join(one.reach for one in inputs)
    assert found is not None
    return found


def lost(one: Followed) -> Followed:
    """Where its cells are is not known any more: from here on it sees at least what it saw."""
    return Followed(replace(one.reach, exact=one.reach.exact and one.reach.whole), None)


def _whole(one: Followed, dims: Dims | None = None) -> Followed:
    return Followed(replace(one.reach, whole=True), dims)


def pointwise(inputs: Sequence[Followed], shape: tuple[int, ...], name: str) -> Followed:
    """Every cell of the output comes from those at its place; a smaller input is spread over the larger."""
    reach = union(inputs)
    widest = [i for i in inputs if i.dims is not None and tuple(math.prod(n for _, n in d) for d in i.dims) == shape]
    if widest:
        return Followed(reach, max(widest, key=lambda i: sum(bool(label) for d in i.dims or () for label, _ in d)).dims)
    if len(inputs) == 1 and inputs[0].dims is not None and not inputs[0].places(range(len(inputs[0].dims))):
        return Followed(reach, tuple((("", size),) for size in shape))  # no places to lose
    known = name in SAME or all(i.dims is None for i in inputs)
    return Followed(reach, None) if known else lost(Followed(reach, None))


# -- places in dimensions ----------------------------------------------------------------------------------------------


def _regroup(one: Followed, shape: tuple[int, ...]) -> Followed:
    """The same cells in dimensions of other sizes. A place that is split leaves its fine part among the channels."""
    if one.dims is None:
        return one
    left = [f for dim in one.dims for f in dim if f[1] != 1]
    reach, made = one.reach, []
    for size in shape:
        dim: list[Factor] = []
        need = size
        while need > 1 and left:
            label, count = left.pop(0)
            if need % count == 0:
                dim.append((label, count))
                need //= count
            elif count % need == 0:
                if label:
                    reach = _along(reach, label, lambda axis, n=count // need: axis.taken(0, n - 1, n))
                dim.append((label, need))
                left.insert(0, ("", count // need))
                need = 1
            else:
                return lost(one)
        if need != 1:
            return lost(one)
        made.append(tuple(dim) or (("", 1),))
    return Followed(reach, tuple(made))


def _along(reach: Reach, label: str, change: Any) -> Reach:
    if label == "h":
        return replace(reach, down=change(reach.down))
    return replace(reach, across=change(reach.across))


def _as_map(one: Followed) -> Followed:
    """With its places in the last two dimensions, as a convolution reads it; channels behind a place enlarge it."""
    if one.dims is None or len(one.dims) != 4:
        return lost(one)
    reach, dims = one.reach, list(one.dims)
    for at, label in ((2, "h"), (3, "w")):
        factors = [f for f in dims[at] if f[1] != 1]
        labels = [name for name, _ in factors]
        if not factors:
            dims[at] = ((label, 1),)
        elif labels[0] == label and not any(labels[1:]):
            finer = math.prod(n for _, n in factors[1:])
            if finer > 1:
                reach = _along(reach, label, lambda axis, n=finer: axis.repeated(n))
            dims[at] = ((label, math.prod(n for _, n in factors)),)
        else:
            return lost(one)
    return Followed(reach, tuple(dims))


def _map_dims(shape: tuple[int, ...]) -> Dims:
    return (("", shape[0]),), (("", shape[1]),), (("h", shape[-2]),), (("w", shape[-1]),)


# -- operations --------------------------------------------------------------------------------------------------------


def _two(value: Any) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return (pair[0], pair[-1])


def _windowed(one: Followed, shape: tuple[int, ...], *settings: Any, transposed: bool = False) -> Followed:
    """`settings`: kernel, stride, padding, dilation."""
    at = _as_map(one)
    pairs = [_two(s) for s in settings]
    change = Axis.spread if transposed else Axis.window
    down, across = (change(a, *(p[i] for p in pairs)) for i, a in enumerate((at.reach.down, at.reach.across)))
    return Followed(replace(at.reach, down=down, across=across), _map_dims(shape) if len(shape) == 4 else None)


def _convolution(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    if len(shape) != 4:
        return lost(one)
    kernel = tuple(args[1].shape[-2:])
    return _windowed(one, shape, kernel, args[3], args[4], args[5], transposed=bool(args[6]))


def _pool(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    kernel = args[1]
    stride = args[2] if len(args) > 2 and args[2] else kernel
    return _windowed(one, shape, kernel, stride, args[3] if len(args) > 3 else 0, 1)


def _max_pool(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    kernel = args[1]
    stride = args[2] if len(args) > 2 and args[2] else kernel
    return _windowed(one, shape, kernel, stride, args[3] if len(args) > 3 else 0, args[4] if len(args) > 4 else 1)


def _adaptive(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    before = tuple(args[0].shape[-2:])
    if before == shape[-2:]:
        return one
    if any(b % s for b, s in zip(before, shape[-2:], strict=True)) or shape[-2:] == (1, 1):
        return _whole(one, _map_dims(shape)) if shape[-2:] == (1, 1) else lost(one)
    kernel = tuple(b // s for b, s in zip(before, shape[-2:], strict=True))
    return _windowed(one, shape, kernel, kernel, 0, 1)


def _resized(blend: bool) -> Any:
    def rule(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
        at, before = _as_map(one), tuple(args[0].shape[-2:])
        times = [s / b for s, b in zip(shape[-2:], before, strict=True)]
        if any(t < 1 or t != int(t) for t in times):
            return Followed(lost(at).reach, _map_dims(shape))
        change = Axis.blended if blend else Axis.repeated
        down, across = change(at.reach.down, int(times[0])), change(at.reach.across, int(times[1]))
        return Followed(replace(at.reach, down=down, across=across), _map_dims(shape))

    return rule


def _viewed(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    return _regroup(one, shape)


def _permuted(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    if one.dims is None:
        return one
    return Followed(one.reach, tuple(one.dims[d] for d in args[1]))


def _transposed(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    if one.dims is None:
        return one
    dims = list(one.dims)
    a, b = (args[1], args[2]) if len(args) > 2 else (0, 1)
    dims[a], dims[b] = dims[b], dims[a]
    return Followed(one.reach, tuple(dims))


def _reduced(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    given = args[1] if len(args) > 1 else None
    rank = args[0].dim()
    over = (
        [d % rank for d in (given if isinstance(given, (list, tuple)) else [given])]
        if given not in (None, [])
        else [*range(rank)]
    )
    kept = None
    if one.dims is not None:
        dims = [d for i, d in enumerate(one.dims) if i not in over]
        full = [(("", 1),) if i in over else d for i, d in enumerate(one.dims)]
        kept = tuple(full) if len(full) == len(shape) else tuple(dims)
    return _whole(one, kept) if one.places(over) else Followed(one.reach, kept)


def _sliced(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    if one.dims is None:
        return one
    at = args[1] % len(one.dims) if len(args) > 1 else 0
    start = args[2] if len(args) > 2 and args[2] is not None else 0
    step = args[4] if len(args) > 4 else 1
    dims, size = list(one.dims), args[0].shape[at]
    labels = [label for label, _ in dims[at]]
    if not any(labels):
        dims[at] = (("", shape[at]),)
        return Followed(one.reach, tuple(dims))
    if len(labels) != 1:
        return lost(one)
    start = start + size if start < 0 else start
    reach = _along(one.reach, labels[0], lambda axis: axis.taken(start, start, step))
    dims[at] = ((labels[0], shape[at]),)
    return Followed(reach, tuple(dims))


def _split(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    if one.dims is None:
        return one
    at = (args[2] if len(args) > 2 else 0) % len(one.dims)
    if any(label for label, _ in one.dims[at]):
        return lost(one)
    return Followed(one.reach, tuple((("", shape[at]),) if i == at else d for i, d in enumerate(one.dims)))


def _selected(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    if one.dims is None:
        return one
    at = (args[1] if len(args) > 1 else 0) % len(one.dims)
    if any(label for label, _ in one.dims[at]):
        return lost(one)
    return Followed(one.reach, tuple(d for i, d in enumerate(one.dims) if i != at))


def concatenated(inputs: Sequence[Followed], dim: int, shape: tuple[int, ...]) -> Followed:
    at = dim % len(shape)
    known = [i.dims for i in inputs if i.dims is not None]
    joined = Followed(union(inputs), None)
    if len(known) < len(inputs):
        return joined
    labels = [[[label for label, _ in d if label] for d in dims] for dims in known]
    if any(other != labels[0] for other in labels) or labels[0][at]:
        return lost(joined)
    return Followed(joined.reach, tuple((("", shape[at]),) if i == at else d for i, d in enumerate(known[0])))


def _padded(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    at = _as_map(one)
    left, top = args[1][0], args[1][2] if len(args[1]) > 2 else 0
    if len(args[1]) > 4:
        return lost(one)
    reach = replace(at.reach, down=at.reach.down.taken(-top, -top, 1), across=at.reach.across.taken(-left, -left, 1))
    return Followed(reach, _map_dims(shape))


def _softmax(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    return _whole(one, one.dims) if one.places([args[1]]) else one


def _shuffled(one: Followed, args: Any, shape: tuple[int, ...]) -> Followed:
    at, before = _as_map(one), args[0].shape[-2:]
    if shape[-1] > before[-1]:
        times = shape[-1] // before[-1]
        down, across = at.reach.down.repeated(times), at.reach.across.repeated(times)
    else:
        step = before[-1] // shape[-1]
        down, across = at.reach.down.taken(0, step - 1, step), at.reach.across.taken(0, step - 1, step)
    return Followed(replace(at.reach, down=down, across=across), _map_dims(shape))


def product(one: Followed, name: str, args: Any, shape: tuple[int, ...]) -> Followed:
    """A matrix product with weights: it mixes the last dimension, or for weights on the left the last but one."""
    sides = [a for a in args if isinstance(a, Tensor)]
    left = sides[1] if name in ("addmm", "baddbmm") else sides[0]
    if one.dims is None:
        return one
    is_left = tuple(math.prod(n for _, n in d) for d in one.dims) == tuple(left.shape)
    mixed = -1 if is_left else -2
    dims = list(one.dims)
    dims[mixed] = (("", shape[mixed]),)
    return _whole(one, tuple(dims)) if one.places([mixed]) else Followed(one.reach, tuple(dims))


WHOLE = frozenset(
    ("_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention", "_fft_r2c", "_fft_c2r",
     "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_attention_math", "_fft_c2c", "sort", "topk",
     "cumsum", "_scaled_dot_product_fused_attention_overrideable")
)  # fmt: skip
"""What mixes all cells."""
UNSURE = frozenset(("grid_sampler_2d", "deform_conv2d", "gather", "index", "index_select"))
"""What takes cells that only the image decides."""
PRODUCTS = frozenset(("mm", "addmm", "bmm", "baddbmm", "matmul", "linear"))
SAME = frozenset(("clone", "_to_copy", "detach", "alias", "contiguous"))
RULES: dict[str, Any] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "max_pool2d": _max_pool,
    "avg_pool2d": _pool,
    "_adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "_softmax": _softmax,
    "constant_pad_nd": _padded,
    "reflection_pad2d": _padded,
    "replication_pad2d": _padded,
    "slice": _sliced,
    "select": _selected,
    "unbind": _selected,
    "permute": _permuted,
    "transpose": _transposed,
    "t": _transposed,
    "pixel_shuffle": _shuffled,
    "pixel_unshuffle": _shuffled,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze"), _viewed),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "var", "std", "linalg_vector_norm"), _reduced),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    **dict.fromkeys(("upsample_nearest2d", "_upsample_nearest_exact2d"), _resized(False)),
    **dict.fromkeys(("upsample_bilinear2d",), _resized(True)),
}
