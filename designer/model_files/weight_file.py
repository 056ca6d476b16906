"""Files that hold tensors and no graph: safetensors, and PyTorch files read without running anything in them."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from designer.model_files.tensors import PIECE, ModelFileError, Tensor, in_file

if TYPE_CHECKING:
    import torch

_TYPES: dict[str, tuple[str, Any]] = {
    "F64": ("float64", np.float64), "F32": ("float32", np.float32), "F16": ("float16", np.float16),
    "BF16": ("bfloat16", ml_dtypes.bfloat16), "F8_E4M3": ("float8_e4m3fn", ml_dtypes.float8_e4m3fn),
    "F8_E5M2": ("float8_e5m2", ml_dtypes.float8_e5m2), "I64": ("int64", np.int64), "I32": ("int32", np.int32),
    "I16": ("int16", np.int16), "I8": ("int8", np.int8), "U64": ("uint64", np.uint64), "U32": ("uint32", np.uint32),
    "U16": ("uint16", np.uint16), "U8": ("uint8", np.uint8), "BOOL": ("bool", np.bool_),
}  # fmt: skip
_LONGEST_TEXT = 400
"""Characters of a piece of metadata that are shown."""


@dataclass
class WeightFile:
    """Tensors by name, and what else the file says."""

    path: Path
    format: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Everything but the values."""
        return {
            "path": str(self.path),
            "format": self.format,
            "bytes": self.path.stat().st_size,
            "parameters": sum(t.count for t in self.tensors.values()),
            "tensors": [t.to_json() for t in self.tensors.values()],
            "metadata": self.metadata,
        }


def read_safetensors(path: Path) -> WeightFile:
    """Reads the header and maps the rest. The library checks that it describes the file without gaps and overlaps.

    Raises:
        ModelFileError: it does not.
    """
    from safetensors import SafetensorError, safe_open

    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            said = f"its header would be {length:,} bytes long, the file has {size:,}"
            raise ModelFileError(
                f"{path.name} is no whole safetensors file: {said}. It was cut off or is something else."
            )
        header = file.read(length)
    try:
        with safe_open(path, framework="numpy"):
            pass
        table = json.loads(header)
    except (SafetensorError, ValueError) as error:
        raise ModelFileError(
            f"{path.name} is no sound safetensors file: its header does not fit its content ({error}). "
            "Copy or download it again."
        ) from None
    metadata = table.pop("__metadata__", {})
    tensors = {}
    for name, one in sorted(table.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = one["data_offsets"]
        label, dtype = _TYPES.get(one["dtype"], (str(one["dtype"]).lower(), None))
        problem = "" if dtype is not None else f"Values of type {label} are not shown."
        read = in_file(path, 8 + length + start, end - start, np.dtype(dtype or np.uint8))
        tensors[name] = Tensor(name, label, tuple(one["shape"]), end - start, read, problem)
    return WeightFile(path, "safetensors", tensors, {str(k): str(v) for k, v in metadata.items()})


def read_pytorch(path: Path) -> WeightFile:
    """Reads the tensors of a PyTorch file with the unpickler that builds tensors and plain values only.

    Raises:
        ModelFileError: it is no such file, or holds objects of classes, which only their code could read.
    """
    import torch

    is_zip = zipfile.is_zipfile(path)
    if is_zip and any(name.endswith("constants.pkl") for name in zipfile.ZipFile(path).namelist()):
        raise ModelFileError(f"{path.name} is a TorchScript program. {_SAVE_WEIGHTS}")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise ModelFileError(
                f"{path.name} holds objects that only their own code can read, which is not run here. {_SAVE_WEIGHTS}"
            ) from None
        raise ModelFileError(_NO_PYTORCH.format(path.name)) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, TypeError, IndexError):
        raise ModelFileError(_NO_PYTORCH.format(path.name)) from None
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for name, value in _leaves(held):
        if isinstance(value, torch.Tensor):
            tensors[name] = _of_torch(name, value)
        elif len(text := str(value)) <= _LONGEST_TEXT:
            metadata[name] = text
    if not tensors:
        raise ModelFileError(f"{path.name} holds no tensors.")
    return WeightFile(path, "PyTorch", tensors, metadata)


_SAVE_WEIGHTS = "Save its weights alone: torch.save(model.state_dict(), file)."
_NO_PYTORCH = "{} is no PyTorch file, or was cut off. Copy or download it again."


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in nested tables and lists by its dotted name."""
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif isinstance(value, (list, tuple)) and value and len(value) < 10_000:
        items = enumerate(value)
    else:
        yield prefix or "value", value
        return
    for key, inner in items:
        yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))


def _of_torch(name: str, value: torch.Tensor) -> Tensor:
    def read() -> Iterator[np.ndarray]:
        import torch

        flat = value.detach().flatten()
        for start in range(0, flat.numel(), PIECE):
            yield flat[start : start + PIECE].to(torch.float64).numpy()

    plain = not (value.is_sparse or value.is_quantized or value.is_complex() or value.device.type != "cpu")
    dtype = str(value.dtype).removeprefix("torch.")
    problem = "" if plain else f"Values of this kind ({value.layout}, {dtype}) are not shown."
    return Tensor(name, dtype, tuple(value.shape), value.numel() * value.element_size(), read, problem)
