"""The cheapest one-to-one assignment, in torch alone: an exported folder trains without a package for it.

Reference: Jonker and Volgenant 1987, shortest augmenting paths, doi:10.1007/BF02278710.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cheapest_pairs(cost: Tensor) -> list[tuple[int, int]]:
    """Pairs of a row and a column, by rows, that together cost least; the shorter side is used up.

    Args:
        cost: [N, M] of finite values, on the CPU.
    """
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in cheapest_pairs(cost.T))
    if not len(cost):
        return []
    cost = cost.double().contiguous()
    cheapest = cost.min(1)
    prices, of_columns = cheapest.values.tolist(), torch.zeros_like(cost[0])
    held: list[int | None] = [None] * len(cost)
    owner: dict[int, int] = {}
    for row, column in enumerate(cheapest.indices.tolist()):
        if column not in owner:
            owner[column], held[row] = row, column
    for row in range(len(cost)):
        if held[row] is None:
            _place(row, cost, prices, of_columns, held, owner)
    return [(row, column) for row, column in enumerate(held) if column is not None]


def _place(
    start: int, cost: Tensor, prices: list[float], of_columns: Tensor, held: list[int | None], owner: dict[int, int]
) -> None:
    """Pairs one more row: along the cheapest path on which those before it move over, found as Dijkstra does."""
    ahead = torch.full_like(of_columns, math.inf)
    shift = of_columns.clone()  # -inf for columns where the path has been
    source = torch.full_like(of_columns, start, dtype=torch.long)  # the row from which a column is reached
    been: dict[int, float] = {}
    row, reached = start, 0.0
    while True:
        found = cost[row] - shift + (reached - prices[row])
        source.masked_fill_(found < ahead, row)
        torch.minimum(ahead, found, out=ahead)
        least = ahead.min(0)
        column, reached = int(least.indices), float(least.values)
        if column not in owner:
            break
        been[column] = reached
        ahead[column], shift[column] = math.inf, -math.inf
        row = owner[column]
    prices[start] += reached
    for passed, distance in been.items():
        prices[owner[passed]] += reached - distance
        of_columns[passed] -= reached - distance
    last: int | None = column
    while last is not None:
        row = int(source[last])
        owner[last] = row
        held[row], last = last, held[row]
