"""From annotations to port kinds: `Float[Tensor, "B C H W"]` is a map, `Predictions` is predictions."""

from __future__ import annotations

from typing import Any, get_origin

from jaxtyping import AbstractArray

from nodes.sdk.spec import PortKind

_STRUCTURED: dict[str, PortKind] = {
    "Predictions": "predictions",
    "Detections": "detections",
    "MaskPredictions": "mask_predictions",
    "MaskDetections": "mask_detections",
}
_TWO: dict[str, PortKind] = {"B T": "wave"}
_THREE: dict[str, PortKind] = {"B F T": "spectrogram"}


def is_port(hint: Any) -> bool:
    """Whether an annotation describes a tensor or a structured value, so an input rather than a parameter."""
    return _is_array(hint) or (getattr(hint, "__name__", "") in _STRUCTURED and get_origin(hint) is None)


def dims_of(hint: Any) -> str:
    """The dims string of a jaxtyping annotation; empty for a structured kind."""
    return str(hint.dim_str) if _is_array(hint) else ""


def kind_of(hint: Any) -> PortKind:
    """The port kind of an annotation.

    Raises:
        ValueError: for anything but a jaxtyping tensor or a structured type; the text says what to write.
    """
    if getattr(hint, "__name__", "") in _STRUCTURED and not _is_array(hint):
        return _STRUCTURED[hint.__name__]
    if not _is_array(hint):
        raise ValueError(f"{getattr(hint, '__name__', hint)} is no tensor. Write Float[Tensor, 'B C H W'].")
    dims = dims_of(hint)
    if "..." in dims:
        return "any"
    rank = len(dims.split())
    whole = all(str(d).startswith(("int", "uint", "long")) for d in hint.dtypes)
    if rank == 4:
        return "map"
    if rank == 3:
        return _THREE.get(dims, "tokens")
    if rank == 2:
        return "ids" if whole else _TWO.get(dims, "vector")
    raise ValueError(f"dims {dims!r} fit no port. Write 'B C H W', 'B L D', 'B D', or '...' for any shape.")


def _is_array(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, AbstractArray) and hasattr(hint, "dim_str")
