"""Learning rates that an optimiser seldom survives."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem
from designer.graph.training import OPTIMIZERS

USUAL = {
    "adamw": (0.005, 0.001), "adam": (0.005, 0.001), "rmsprop": (0.02, 0.001), "muon": (0.01, 0.001),
    "sgd": (0.2, 0.01),
}  # fmt: skip
"""By optimiser: the rate above which training of vision models tends to diverge, and a usual one."""


def _find(design: Design) -> Iterator[Problem]:
    training = design.data.training
    largest, usual = USUAL[training.optimizer]
    if training.learning_rate > largest:
        name = OPTIMIZERS[training.optimizer]
        text = f"The learning rate is {training.learning_rate:g} with {name}; {usual:g} is usual."
        fix = Fix(f"Set the learning rate to {usual:g}", ({"op": "set_training", "learning_rate": usual},))
        yield Problem("advice", text, fixes=(fix,))


RULE = Rule(
    "learning_rate",
    "A learning rate that is too high",
    "AdamW's steps are about as long as the rate, so it needs a tenth of SGD's; above that the loss often diverges.",
    _find,
)
