"""Which pixels of the image a cell of a map can see: intervals along one axis, exact for windows, strides and resizing.

No torch here. An axis without end is described by one period of it, because cells that come out of resizing see
differently placed pixels by turns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Axis:
    """Cell `i` sees pixels `low[i]` to `high[i]`; `len(low)` cells on, both are `jump` pixels further."""

    jump: int = 1
    low: tuple[int, ...] = (0,)
    high: tuple[int, ...] = (0,)

    @property
    def field(self) -> int:
        """Pixels that a cell sees, at most."""
        return max(b - a for a, b in zip(self.low, self.high, strict=True)) + 1

    @property
    def stride(self) -> float:
        """Pixels from one cell to the next."""
        return self.jump / len(self.low)

    def lowest(self, i: int) -> int:
        turns, at = divmod(i, len(self.low))
        return self.low[at] + turns * self.jump

    def highest(self, i: int) -> int:
        turns, at = divmod(i, len(self.high))
        return self.high[at] + turns * self.jump

    def taken(self, first: int, last: int, step: int) -> Axis:
        """Cell `o` of the new axis sees what cells `first + o * step` to `last + o * step` see."""
        common = math.gcd(len(self.low), step)
        count, jump = len(self.low) // common, self.jump * step // common
        spans = [range(first + o * step, last + o * step + 1) for o in range(count)]
        low = tuple(min(map(self.lowest, span)) for span in spans)
        return Axis(jump, low, tuple(max(map(self.highest, span)) for span in spans)).shortened()

    def window(self, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
        """After a convolution or pooling."""
        return self.taken(-padding, (kernel - 1) * dilation - padding, stride)

    def spread(self, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
        """After a transposed convolution: cell `o` gets cell `i` if the window at `i * stride - padding` holds it."""
        count, low, high = len(self.low) * stride, [], []
        for o in range(count):
            found = [
                (o + padding - t * dilation) // stride
                for t in range(kernel)
                if not (o + padding - t * dilation) % stride
            ]
            found = found or [(o + padding) // stride]  # a gap that no window reaches
            low.append(min(map(self.lowest, found)))
            high.append(max(map(self.highest, found)))
        return Axis(self.jump, tuple(low), tuple(high)).shortened()

    def repeated(self, times: int) -> Axis:
        """After enlarging by a whole factor to the nearest cell."""
        return self.spread(times, times, 0, 1)

    def blended(self, times: int) -> Axis:
        """After enlarging by a whole factor between two neighbours (bilinear, corners not aligned)."""
        low, high = [], []
        for o in range(len(self.low) * times):
            below, rest = divmod(2 * o + 1 - times, 2 * times)
            low.append(self.lowest(below))
            high.append(self.highest(below + (1 if rest else 0)))
        return Axis(self.jump, tuple(low), tuple(high)).shortened()

    def joined(self, other: Axis) -> Axis | None:
        """What cells see that get both; None when the two have different strides."""
        if self.jump * len(other.low) != other.jump * len(self.low):
            return None
        count = math.lcm(len(self.low), len(other.low))
        low = tuple(min(self.lowest(i), other.lowest(i)) for i in range(count))
        high = tuple(max(self.highest(i), other.highest(i)) for i in range(count))
        return Axis(self.jump * count // len(self.low), low, high).shortened()

    def shortened(self) -> Axis:
        """The same by its shortest period, so that equal axes are equal."""
        count = len(self.low)
        for part in (p for p in range(1, count) if count % p == 0 and self.jump % (count // p) == 0):
            short = Axis(self.jump * part // count, self.low[:part], self.high[:part])
            if all((short.lowest(i), short.highest(i)) == (self.low[i], self.high[i]) for i in range(count)):
                return short
        return self


@dataclass(frozen=True)
class Reach:
    """What a cell of a tensor sees of the image.

    Attributes:
        down, across: along the height and the width.
        whole: whether it can see all of the image, as behind attention or a global average.
        exact: False where something on the way mixes cells in a way that is not followed: it sees at least this.
    """

    down: Axis = Axis()
    across: Axis = Axis()
    whole: bool = False
    exact: bool = True

    def to_json(self) -> dict[str, object]:
        """`field` and `stride` as [height, width] in pixels, `whole`, `exact`."""
        return {
            "field": [self.down.field, self.across.field],
            "stride": [self.down.stride, self.across.stride],
            "whole": self.whole,
            "exact": self.exact,
        }


def join(reaches: Iterable[Reach]) -> Reach | None:
    """What cells see that get all of these; None of none."""
    found: Reach | None = None
    for reach in reaches:
        if found is None or found == reach:
            found = reach
            continue
        down, across = found.down.joined(reach.down), found.across.joined(reach.across)
        whole, exact = found.whole or reach.whole, found.exact and reach.exact
        if down is None or across is None:
            wider = max(found, reach, key=lambda r: r.down.field * r.across.field)
            found = replace(wider, whole=whole, exact=exact and whole)
        else:
            found = Reach(down, across, whole, exact)
    return found
