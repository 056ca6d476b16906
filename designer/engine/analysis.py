"""What a component costs: parameters, multiply-accumulates, and the memory that training keeps for backward."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nodes.reparam import fuse_of
from nodes.sdk.build import Info, call_order, info_of, kind_on
from nodes.sdk.errors import ComponentError
from nodes.sdk.spec import ComponentSpec


@dataclass(frozen=True)
class Cost:
    """Figures of one component for one image.

    Attributes:
        params: elements of all parameters.
        trainable: those that a gradient reaches.
        deployed: parameters once branches are merged and norms folded (`nodes.reparam.fuse`).
        macs: multiply-accumulates of convolutions, matrix products and sampled grids, in eval mode.
        batch_norms: how many batch norms it has.
        activation_bytes: what training keeps until the backward pass: the tensors that autograd saves inside the
            component, and its outputs. Its inputs belong to the component that made them, so costs can be summed.
            Norms and dropout keep a little more in training mode than in the eval mode this is measured in. Zero for
            what runs in eval only.
    """

    params: int = 0
    trainable: int = 0
    deployed: int = 0
    macs: int = 0
    activation_bytes: int = 0
    batch_norms: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.params + other.params,
            self.trainable + other.trainable,
            self.deployed + other.deployed,
            self.macs + other.macs,
            self.activation_bytes + other.activation_bytes,
            self.batch_norms + other.batch_norms,
        )


def deployed(module: nn.Module) -> int:
    """Parameters of a module on the meta device once it is fused; without a copy of the whole."""
    own = fuse_of(module)
    if own is not None:
        return sum(p.numel() for p in own().parameters())
    return sum(p.numel() for p in module.parameters(recurse=False)) + sum(deployed(m) for m in module.children())


def weigh(module: nn.Module) -> Cost:
    """What a module on the meta device costs whatever arrives at it; takes as long as a run, so keep it."""
    parameters = list(module.parameters())
    return Cost(
        params=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        deployed=deployed(module),
        batch_norms=sum(isinstance(m, _BatchNorm) for m in module.modules()),
    )


def run(
    spec: ComponentSpec, module: nn.Module, inputs: Mapping[str, Info], weight: Cost | None = None
) -> tuple[dict[str, Info], Cost]:
    """Runs a module that lives on the meta device, in eval mode.

    Args:
        spec: its component.
        module: what is run.
        inputs: what arrives.
        weight: what `weigh` says of the module, where that is known.

    Returns:
        What each output is, and what the component costs.

    Raises:
        ComponentError: when it returns something else than it declares.
        Exception: whatever its forward raises.
    """
    if module.training:
        module.eval()
    returned, kept, macs = _recorded(spec, module, inputs)
    if spec.role == "head":
        # A head trains on its raw output, which its eval mode goes on to decode. One cell and one image are too few
        # for batch norm in training mode; the eval figure then stands.
        with suppress(ValueError):
            module.train()
            kept = _recorded(spec, module, inputs)[1]
        module.eval()
    weight = weight or weigh(module)
    return _outputs(spec, returned), replace(weight, macs=macs, activation_bytes=0 if spec.role == "post" else kept)


def _recorded(spec: ComponentSpec, module: nn.Module, inputs: Mapping[str, Info]) -> tuple[Any, int, int]:
    """What forward returns, the bytes that it makes and autograd keeps, and its multiply-accumulates."""
    arguments = [_argument(inputs[name].meta()) for name in call_order(spec, inputs)]
    given = [*module.parameters(), *module.buffers(), *(t for a in arguments for t in _tensors(a))]
    others = {t.untyped_storage()._cdata for t in given}
    kept: dict[int, Tensor] = {}  # by storage; the tensors stay alive so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in others:
            kept[storage] = tensor
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t), _Macs() as counter:
        if spec.role == "input":  # makes its own tensor; a large image must not be allocated
            with torch.device("meta"):
                returned = module(*arguments)
        else:
            returned = module(*arguments)
    for tensor in _tensors(returned):
        keep(tensor)
    return returned, sum(t.untyped_storage().nbytes() for t in kept.values()), counter.flops // 2


def _argument(value: Any) -> Any:
    """The value as the output of a layer before it: autograd follows it, and an in-place activation may write to it."""
    if isinstance(value, tuple):
        return type(value)(*map(_argument, value))
    return value.requires_grad_().clone() if value.is_floating_point() else value


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for item in value for t in _tensors(item)] if isinstance(value, (tuple, list)) else []


def _outputs(spec: ComponentSpec, returned: Any) -> dict[str, Info]:
    values = (returned,) if len(spec.outputs) == 1 else returned
    if not isinstance(values, tuple) or len(values) != len(spec.outputs):
        count = len(values) if isinstance(values, tuple) else 1
        raise ComponentError(
            f"{spec.name} returned {count} values, it declares {len(spec.outputs)} outputs. Return a tuple of them.",
            spec.file, spec.line,
        )  # fmt: skip
    given = [(port, value) for port, value in zip(spec.outputs, values, strict=True) if value is not None]
    for port, value in given:
        if not isinstance(value, Tensor) and not hasattr(value, "_fields"):
            raise ComponentError(
                f"{spec.name} returned a {type(value).__name__} for output {port.name}, it declares {port.kind}. "
                "Return a tensor, or the declared NamedTuple of tensors.",
                spec.file, spec.line,
            )  # fmt: skip
    return {port.name: info_of(value, kind_on(port, value)) for port, value in given}


class _Macs(TorchDispatchMode):
    """Counts floating-point operations with torch's own formulas and those below.

    Stands in for `torch.utils.flop_counter.FlopCounterMode`, whose count per submodule, which nobody reads here, takes
    a quarter of the time of a pass.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return func(*args, **kwargs)
        if (norm := _NORMS.get(func)) is not None and (shapes := norm(*args)) is not None:
            return (torch.empty_like(args[0]), *(args[0].new_empty(shapes) for _ in range(2)))
        if func in _IN_PLACE:
            return args[0]
        if (quick := _QUICK.get(func)) is not None and (out := quick(*args)) is not None:
            return out
        own = _FORMULAS.get(func._schema.name)
        formula = flop_registry.get(func._overloadpacket) if own is None else None
        if own is None and formula is None and func not in _PLAIN:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            _PLAIN.add(func)
        out = func(*args, **kwargs)
        if own is not None:
            self.flops += 2 * own(args, out)
        elif formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out


def _batch_norm(x: Tensor, *_: Any) -> tuple[int, ...]:
    return (x.shape[1],)


def _layer_norm(x: Tensor, normalized: Any, *_: Any) -> tuple[int, ...] | None:
    kept = x.dim() - len(normalized)
    return (*x.shape[:kept], *(1 for _ in normalized)) if list(x.shape[kept:]) == list(normalized) else None


def _group_norm(x: Tensor, weight: Any, bias: Any, n: int, c: int, hw: int, groups: int, *_: Any) -> tuple[int, ...]:
    return (n, groups)


_NORMS: dict[Any, Callable[..., tuple[int, ...] | None]] = {
    torch.ops.aten.native_batch_norm.default: _batch_norm,
    torch.ops.aten.native_layer_norm.default: _layer_norm,
    torch.ops.aten.native_group_norm.default: _group_norm,
}
"""Shape of the statistics that a norm saves; its output is as its input. On meta, torch takes 1 to 4 ms to find that
out for each norm, by decompositions in Python: half the time of a pass over YOLOv8n."""

_ACTIVATIONS = ("silu_", "relu_", "leaky_relu_", "hardswish_", "hardtanh_", "mish_")
_IN_PLACE = frozenset(getattr(torch.ops.aten, name).default for name in _ACTIVATIONS)
"""Activations that write to their input, which is also what they return; torch takes 0.1 ms each to say so."""


def _pointwise(x: Any, y: Any, *_: Any) -> Tensor | None:
    """The sum or product of two tensors that are alike."""
    alike = isinstance(x, Tensor) and isinstance(y, Tensor) and x.shape == y.shape and x.dtype == y.dtype
    return x.new_empty(x.shape) if alike and x.is_contiguous() and y.is_contiguous() else None


def _cat(tensors: list[Tensor], dim: int = 0) -> Tensor | None:
    """Maps alike but for their sizes along `dim`; what does not fit is left to torch to say."""
    first = tensors[0]
    if not -first.dim() <= dim < first.dim():
        return None
    at = dim % first.dim()
    around = first.shape[:at], first.shape[at + 1 :]
    for other in tensors:
        alike = other.dtype == first.dtype and (other.shape[:at], other.shape[at + 1 :]) == around
        if not alike or not other.is_contiguous():
            return None
    return first.new_empty((*around[0], sum(t.shape[at] for t in tensors), *around[1]))


_QUICK: dict[Any, Callable[..., Tensor | None]] = {
    torch.ops.aten.add.Tensor: _pointwise,
    torch.ops.aten.mul.Tensor: _pointwise,
    torch.ops.aten.cat.default: _cat,
}
"""Of operators that are in every model, for the usual case; torch's own way on meta takes 0.1 ms for each."""

_PLAIN: set[Any] = set()
"""Operators seen that consist of no others, so that each is asked once only."""


def _convolution(args: Any, out: Tensor) -> int:
    """One product per weight of a kernel at each place: of the output, or of the input when it is transposed."""
    source, weight, transposed = args[0], args[1], args[6]
    return (source if transposed else out).numel() * math.prod(weight.shape[1:])


def _deform_conv2d(args: Any, out: Tensor) -> int:
    """One product per weight and output cell, and four for each input value, which is blended from four cells."""
    source, weight = args[0], args[1]
    taps = math.prod(weight.shape[1:])
    return out.numel() * taps + 4 * (out.numel() // out.shape[1]) * source.shape[1] * math.prod(weight.shape[2:])


def _grid_sampler_2d(args: Any, out: Tensor) -> int:
    return out.numel() * (4, 1, 16)[args[2]]  # bilinear, nearest, bicubic


def _grid_sampler_3d(args: Any, out: Tensor) -> int:
    return out.numel() * (8, 1)[args[2]]


_FORMULAS: dict[str, Callable[[Any, Tensor], int]] = {
    "aten::convolution": _convolution,
    "torchvision::deform_conv2d": _deform_conv2d,
    "aten::grid_sampler_2d": _grid_sampler_2d,
    "aten::grid_sampler_3d": _grid_sampler_3d,
}
"""Multiply-accumulates from arguments and output: of operators for which torch counts nothing, and of convolutions,
where its own formula takes longer than the operator."""
