"""How often the wires between neighbouring columns cross, and neighbours of a column that cross less the other way.

The barycentres alone get stuck where two nodes wish for the same height; exchanging neighbours (Gansner et al. 1993,
"A technique for drawing directed graphs", doi:10.1109/32.221135) mends that.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Mapping, Sequence
from itertools import pairwise

_Near = Mapping[str, Sequence[str]]
MOST_ROUNDS = 12


def crossings(columns: Sequence[Sequence[str]], after: _Near) -> int:
    """Pairs of wires that cross. Every wire ends in the column behind the one that it starts in."""
    found = 0
    for column, following in pairwise(columns):
        place = {name: i for i, name in enumerate(following)}
        ends: list[int] = []
        for name in column:
            arriving = sorted(place[other] for other in after[name])
            found += sum(len(ends) - bisect(ends, end) for end in arriving)
            for end in arriving:
                insort(ends, end)
    return found


def exchange(columns: Sequence[list[str]], before: _Near, after: _Near) -> None:
    """Exchanges neighbours in a column, in place, for as long as wires cross less."""
    for _ in range(MOST_ROUNDS):
        gained = False
        for number, column in enumerate(columns):
            sides = []
            for near, other in ((before, number - 1), (after, number + 1)):
                if 0 <= other < len(columns):
                    place = {name: i for i, name in enumerate(columns[other])}
                    sides.append({name: sorted(place[o] for o in near[name]) for name in column})
            for i in range(len(column) - 1):
                upper, lower = column[i], column[i + 1]
                gain = sum(_inverted(side[upper], side[lower]) - _inverted(side[lower], side[upper]) for side in sides)
                if gain > 0:
                    column[i], column[i + 1] = lower, upper
                    gained = True
        if not gained:
            return


def _inverted(upper: Sequence[int], lower: Sequence[int]) -> int:
    """Pairs of wires of two neighbours that cross: the upper one's end is under the lower one's. Both are sorted."""
    return sum(len(upper) - bisect(upper, end) for end in lower)
