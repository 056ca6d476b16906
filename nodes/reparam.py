"""Re-parameterisation: what trains as several branches, or with a norm behind it, becomes one convolution to deploy.

A class that can be folded defines `fuse(self) -> nn.Module`: a fresh module that gives the same output in eval mode.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn


def fuse(model: nn.Module) -> nn.Module:
    """A copy of a model in eval mode with every module that has a `fuse` method replaced, the innermost first."""
    fused = copy.deepcopy(model).eval()
    return _replaced(fused)


def _replaced(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        new = _replaced(child)
        if new is not child:
            setattr(module, name, new)
    own = fuse_of(module)
    return own().eval() if own is not None else module


def fuse_of(module: nn.Module) -> Callable[[], nn.Module] | None:
    """A module's `fuse` method, if its class has one. A part that someone has named `fuse` is none."""
    return module.fuse if callable(getattr(type(module), "fuse", None)) else None  # type: ignore[return-value]


def fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution with bias that equals `conv` followed by `norm` in eval mode."""
    weight, bias = folded(conv.weight, conv.bias, norm)
    return convolution(conv, weight, bias)


def folded(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight [D, C/g, k, k] and bias [D] of a convolution with the norm behind it multiplied in."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    if weight.is_meta:  # only the shapes matter
        return weight, weight.new_empty(len(weight))
    with torch.no_grad():
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight
        mean = norm.running_mean if bias is None else norm.running_mean - bias
        shift = -mean * scale if norm.bias is None else norm.bias - mean * scale
        return weight * scale.reshape(-1, 1, 1, 1), shift


def convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution with the strides, groups and dilation of another, and this weight and bias.

    Its padding keeps the output's size when the kernel's size differs from that of `like`.
    """
    grown = tuple(
        (new - old) // 2 * d for new, old, d in zip(weight.shape[2:], like.kernel_size, like.dilation, strict=True)
    )
    assert not isinstance(like.padding, str)
    size, stride = (weight.shape[2], weight.shape[3]), (like.stride[0], like.stride[1])
    made = nn.utils.skip_init(
        nn.Conv2d, like.in_channels, like.out_channels, size, stride,
        (like.padding[0] + grown[0], like.padding[1] + grown[1]), (like.dilation[0], like.dilation[1]), like.groups,
        device=weight.device, dtype=weight.dtype,
    )  # fmt: skip
    made.weight, made.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return made
