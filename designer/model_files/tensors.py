"""What all model files have: tensors by name, whose values are read piece by piece and only when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from designer.graph.errors import NetwrightError

PIECE = 1 << 20
"""Values that are in memory at once."""


class ModelFileError(NetwrightError):
    """A file that cannot be shown; the message says why and what to do."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file.

    Attributes:
        name: as the file has it.
        dtype: `float32`, `bfloat16`, ...
        shape: its sizes.
        size: bytes in the file.
        read: gives its values as float64, in pieces of at most `PIECE`.
        problem: why there are no values to read; "" where there are.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    read: Callable[[], Iterator[np.ndarray]] = field(repr=False, compare=False)
    problem: str = ""

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "count": self.count,
            "bytes": self.size,
            "problem": self.problem,
        }


def in_file(path: Path, offset: int, size: int, dtype: np.dtype[Any]) -> Callable[[], Iterator[np.ndarray]]:
    """Reads values that lie in a file one after the other, without loading the file."""

    def read() -> Iterator[np.ndarray]:
        if not size:
            return
        values = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=(size,)).view(dtype)
        yield from pieces(values)

    return read


def pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    """A flat array as float64, piece by piece."""
    for start in range(0, values.size, PIECE):
        yield values[start : start + PIECE].astype(np.float64)
