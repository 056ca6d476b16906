"""The usual mistakes of single torch layers, said in words just before the layer runs and torch says it in its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from nodes.sdk.errors import BadInput


def watch(module: nn.Module) -> None:
    """Makes every layer inside a module refuse, with a BadInput, an input that it cannot take.

    `code` is `small` when a map is smaller than a window, with the smallest side that would do as `other`, else
    `layer`; then `dim` is `C` and `other` the channels it takes, if it is about channels.
    """
    for name, layer in module.named_modules():
        for kind, check in _CHECKS:
            if isinstance(layer, kind):
                layer.register_forward_pre_hook(partial(_before, check, name))
                break


def _before(check: Callable[[Any, Tensor], None], name: str, layer: nn.Module, args: Any) -> None:
    if not args or not isinstance(args[0], Tensor):
        return
    try:
        check(layer, args[0])
    except BadInput as error:
        where = f"its {type(layer).__name__} {name!r}" if name else f"its {type(layer).__name__}"
        message = f"{where} {error.message}"
        raise BadInput(message, code=error.code, other=error.other, dim=error.dim) from None


def _shape(x: Tensor) -> str:
    return " x ".join(map(str, x.shape[1:]))


def _rank(x: Tensor, *allowed: int) -> None:
    if x.dim() not in allowed:
        raise BadInput(f"takes {allowed[0]} dimensions, got {x.dim()} ({_shape(x)} after the batch)", code="layer")


def _channels(x: Tensor, want: int, dim: int = 1) -> None:
    if x.shape[dim] != want:
        got = f"got {x.shape[dim]} ({_shape(x)})"
        raise BadInput(f"takes {want} channels, {got}", code="layer", other=str(want), dim="C")


def _two(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _window(x: Tensor, kernel: Any, padding: Any, dilation: Any) -> None:
    """Refuses a map on which the window does not fit even once."""
    sides, pads, steps = _two(kernel), _two(padding), _two(dilation)
    missing = [d * (k - 1) + 1 - 2 * p for k, p, d in zip(sides, pads, steps, strict=True)]
    if any(n < least for n, least in zip(x.shape[-2:], missing, strict=True)):
        height, width = x.shape[-2:]
        raise BadInput(
            f"has a window of {sides[0]}x{sides[1]}, the map is {height}x{width}", code="small", other=str(max(missing))
        )


def _conv2d(layer: nn.Conv2d, x: Tensor) -> None:
    _rank(x, 4, 3)
    _channels(x, layer.in_channels, -3)
    if not isinstance(layer.padding, str):
        _window(x, layer.kernel_size, layer.padding, layer.dilation)


def _transposed(layer: nn.ConvTranspose2d, x: Tensor) -> None:
    _rank(x, 4, 3)
    _channels(x, layer.in_channels, -3)


def _max_pool(layer: nn.MaxPool2d, x: Tensor) -> None:
    _rank(x, 4, 3)
    if not layer.ceil_mode:
        _window(x, layer.kernel_size, layer.padding, layer.dilation)


def _avg_pool(layer: nn.AvgPool2d, x: Tensor) -> None:
    _rank(x, 4, 3)
    if not layer.ceil_mode:
        _window(x, layer.kernel_size, layer.padding, 1)


def _batch_norm(layer: nn.BatchNorm2d, x: Tensor) -> None:
    _rank(x, 4)
    _channels(x, layer.num_features)


def _group_norm(layer: nn.GroupNorm, x: Tensor) -> None:
    _channels(x, layer.num_channels)


def _linear(layer: nn.Linear, x: Tensor) -> None:
    if x.shape[-1] != layer.in_features:
        raise BadInput(f"takes {layer.in_features} features, got {x.shape[-1]} ({_shape(x)})", code="layer")


def _layer_norm(layer: nn.LayerNorm, x: Tensor) -> None:
    want = tuple(layer.normalized_shape)
    if type(layer).forward is not nn.LayerNorm.forward:
        return  # timm's for maps, say, which norms the channels
    if tuple(x.shape[-len(want) :]) != want:
        raise BadInput(f"takes {' x '.join(map(str, want))} as last dimensions, got {_shape(x)}", code="layer")


def _embedding(layer: nn.Embedding, x: Tensor) -> None:
    if x.is_floating_point():
        raise BadInput(f"takes whole numbers, got {str(x.dtype).removeprefix('torch.')}", code="layer")


_CHECKS: tuple[tuple[type[nn.Module], Callable[[Any, Tensor], None]], ...] = (
    (nn.ConvTranspose2d, _transposed),
    (nn.Conv2d, _conv2d),
    (nn.MaxPool2d, _max_pool),
    (nn.AvgPool2d, _avg_pool),
    (nn.BatchNorm2d, _batch_norm),
    (nn.GroupNorm, _group_norm),
    (nn.Linear, _linear),
    (nn.LayerNorm, _layer_norm),
    (nn.Embedding, _embedding),
)
