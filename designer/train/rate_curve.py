"""What a sweep over learning rates says: the curve without its noise, and a rate with the reason for it. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

WINDOW = 0.15
"""Decades of the rate, to either side, over which losses are averaged."""
GAIN = 0.05
"""Share by which the loss has to fall before anything is suggested."""


@dataclass(frozen=True)
class RateFound:
    """The outcome of a sweep.

    Attributes:
        rates, losses: what was tried and measured, in order.
        smooth: the losses without their noise.
        steepest: the rate at which the loss falls fastest; None where it did not fall.
        lowest: the rate of the lowest loss.
        suggested: the rate to train with; None where there is nothing to suggest.
        why: a sentence about it.
    """

    rates: list[float]
    losses: list[float]
    smooth: list[float] = field(default_factory=list)
    steepest: float | None = None
    lowest: float | None = None
    suggested: float | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def smoothed(rates: Sequence[float], losses: Sequence[float]) -> list[float]:
    """A mean over neighbours within `WINDOW` decades, weighted by their nearness; it does not lag behind."""
    places = [math.log10(rate) for rate in rates]
    means = []
    for place in places:
        weights = [max(0.0, 1 - abs(place - other) / WINDOW) for other in places]
        means.append(sum(w * v for w, v in zip(weights, losses, strict=True)) / sum(weights))
    return means


def judge(rates: Sequence[float], losses: Sequence[float]) -> RateFound:
    """Reads a sweep.

    The rate at which the loss falls fastest (Smith 2017, arXiv:1506.01186), but no more than a tenth of that of the
    lowest loss, where training is near the edge.
    """
    kept = [(r, v) for r, v in zip(rates, losses, strict=True) if math.isfinite(v)]
    known, values = [r for r, _ in kept], [v for _, v in kept]
    smooth = smoothed(known, values)
    if len(smooth) < 3:
        return RateFound(
            known, values, smooth, why="The loss was no number from the start. Check the data and the model."
        )
    low = min(range(len(smooth)), key=smooth.__getitem__)
    start = max(smooth[: low + 1])
    if low == 0 or start - smooth[low] < GAIN * abs(start):
        text = "The loss did not fall at any rate. Try more steps, or check that the model can learn the data."
        return RateFound(known, values, smooth, lowest=known[low], why=text)
    slopes = [(smooth[i + 1] - smooth[i - 1]) / math.log10(known[i + 1] / known[i - 1]) for i in range(1, low)]
    steep = 1 + min(range(len(slopes)), key=slopes.__getitem__) if slopes else low
    steepest, lowest = known[steep], known[low]
    suggested = rounded(min(steepest, lowest / 10))
    if steepest <= lowest / 10:
        why = f"The loss falls fastest at {steepest:.2g}; it is lowest at {lowest:.2g}."
    else:
        why = f"A tenth of {lowest:.2g}, where the loss is lowest; it falls fastest at {steepest:.2g}, near that edge."
    if low == len(smooth) - 1:
        why += " It was still falling at the highest rate that was tried."
    return RateFound(known, values, smooth, steepest, lowest, suggested, why)


def rounded(rate: float) -> float:
    """To two digits, as people write rates."""
    return float(f"{rate:.1e}")
