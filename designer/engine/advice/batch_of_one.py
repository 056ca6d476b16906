"""Batch norm with one image a batch."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem


def _find(design: Design) -> Iterator[Problem]:
    norms = sum(result.batch_norms for _, _, result in design.nodes())
    if design.data.training.batch == 1 and norms:
        fix = Fix("Set the batch to 8", ({"op": "set_training", "batch": 8},))
        yield Problem("advice", f"The batch is one image and the model has {norms} batch norms.", fixes=(fix,))


RULE = Rule(
    "batch_of_one",
    "Batch norm with a batch of one",
    "Their mean and variance come from a single image then, so training is noisy and evaluation differs from it. Use a "
    "larger batch, or group norm.",
    _find,
)
