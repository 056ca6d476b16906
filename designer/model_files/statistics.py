"""Figures of one tensor: range, mean, spread, zeros, a histogram. Read in pieces, so that size does not matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from designer.engine.protocol import Cancelled
from designer.model_files.tensors import ModelFileError, Tensor

BINS = 64


@dataclass(frozen=True)
class TensorStatistics:
    """Of the values that are finite numbers, but for `zeros` and `not_finite`, which are counts of all.

    Attributes:
        counts: values in each of `BINS` equal steps from `low` to `high`.
    """

    low: float
    high: float
    mean: float
    std: float
    zeros: int
    not_finite: int
    count: int
    counts: list[int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def statistics(tensor: Tensor, cancelled: Callable[[], bool] = lambda: False) -> TensorStatistics:
    """Goes over the values twice: for range and moments, then for the histogram.

    Raises:
        ModelFileError: the values are not there, or are no numbers.
        Cancelled: when `cancelled` says so.
    """
    if tensor.problem:
        raise ModelFileError(f"{tensor.name}: {tensor.problem}")
    low, high, zeros, seen, finite = np.inf, -np.inf, 0, 0, 0
    mean = squares = 0.0
    for values in tensor.read():
        if cancelled():
            raise Cancelled
        seen += values.size
        zeros += int(values.size - np.count_nonzero(values))
        kept = values[np.isfinite(values)]
        if not kept.size:
            continue
        low, high = min(low, float(kept.min())), max(high, float(kept.max()))
        # Means and squared deviations of two sets joined: Chan et al. 1979, STAN-CS-79-773.
        part, total = float(kept.mean()), finite + kept.size
        squares += float(((kept - part) ** 2).sum()) + (part - mean) ** 2 * finite * kept.size / total
        mean += (part - mean) * kept.size / total
        finite = total
    counts = np.zeros(BINS, dtype=np.int64)
    if finite:
        span = (low, high) if high > low else (low - 0.5, low + 0.5)
        for values in tensor.read():
            if cancelled():
                raise Cancelled
            counts += np.histogram(values[np.isfinite(values)], BINS, span)[0]
    else:
        low = high = 0.0
    std = float(np.sqrt(squares / finite)) if finite else 0.0
    return TensorStatistics(low, high, mean, std, zeros, seen - finite, seen, counts.tolist())
