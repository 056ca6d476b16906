"""The points of one curve, thinned as a run grows."""

from __future__ import annotations

import math

_SMOOTH = 0.9
"""Share of the past in the running mean that is drawn over a noisy curve (bias-corrected, as Adam's moments are)."""

MOST_POINTS = 1000
"""Of a curve: more than a screen has columns. A longer run has several steps in a point."""


class Series:
    """The points of one curve, with a running mean when it is a noisy one.

    It holds at most `MOST_POINTS`: when they are full, neighbours are joined into their mean, and from then on twice
    as many values make a point.
    """

    def __init__(self, *, smooth: bool) -> None:
        self._every = 1
        self._pending: list[float] = []
        self.x: list[float] = []
        self.y: list[float] = []
        self.mean: list[float] = []
        self._smooth = smooth
        self._total, self._weight = 0.0, 0.0

    def add(self, x: float, y: float) -> None:
        """Append a point; one at or before the last x replaces what followed it (a run that was resumed)."""
        if self.x and x <= self.x[-1]:
            self.cut(x)
        self._pending.append(y)
        if len(self._pending) < self._every:
            return
        self.x.append(x)
        self.y.append(sum(self._pending) / len(self._pending))
        self._pending.clear()
        self._fold(self.y[-1])
        if len(self.x) >= MOST_POINTS:
            self._join()

    def _join(self) -> None:
        """Half as many points."""
        self.x = self.x[1::2]
        self.y = [(a + b) / 2 for a, b in zip(self.y[::2], self.y[1::2], strict=True)]
        self.mean = self.mean[1::2]
        self._every *= 2

    def cut(self, x: float) -> None:
        """Forget the points at x and after it."""
        self._pending.clear()
        kept = sum(1 for value in self.x if value < x)
        del self.x[kept:], self.y[kept:], self.mean[kept:]
        self._total, self._weight = 0.0, 0.0
        values, self.mean = self.y[:], []
        for value in values:
            self._fold(value)

    def _fold(self, y: float) -> None:
        if not self._smooth:
            return
        if math.isfinite(y):
            self._total = _SMOOTH * self._total + (1 - _SMOOTH) * y
            self._weight = _SMOOTH * self._weight + (1 - _SMOOTH)
        self.mean.append(self._total / self._weight if self._weight else y)
