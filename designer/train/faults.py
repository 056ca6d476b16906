"""Faults of a training said while it happens, each with the node it is about and what to do. Imports no torch.

`find_not_finite` in `live.py` looks for the node where a value stopped being a number; the rest is judged here from
what the trainer tells anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

WAITING_SHARE, WAITING_SECONDS = 0.3, 10.0
"""Of the time spent waiting for data, over so long, from which on it is said."""
EARLY, LATELY, GROWTH = 20, 20, 2.0
"""Told steps that are the start; those that are now; how many times the start's loss is called divergence."""
ZERO_STEPS = 50
"""Told steps in a row in which such a loss term is exactly 0."""
MATCHED = ("box", "mask", "size")
"""Ends of the names of loss terms that are 0 only when no sample was matched to an object; others may be turned off."""
ZERO_SAMPLES = 3
"""Samples of the statistics in a row with no gradient at all."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong: `code` names the kind, `node` the node's id or None, `hint` what to do."""

    code: str
    message: str
    hint: str
    node: str | None = None

    def event(self) -> dict[str, Any]:
        """The fields of a `warning` event."""
        return {"message": f"{self.message} {self.hint}", "code": self.code, "node": self.node}


@dataclass
class FaultFinder:
    """Judges what a run tells; each fault of a node is said once.

    Args:
        titles: of the nodes by id.
        learning_rate, workers: of the run's settings, named in what it says.
        heads: node id of each head by its name in the loss terms; one head alone has the terms' names to itself.
        trained: ids of nodes that have parameters to train.
    """

    titles: Mapping[str, str]
    learning_rate: float
    workers: int
    heads: Mapping[str, str] = field(default_factory=dict)
    trained: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._said: set[tuple[str, str | None, str]] = set()
        self._early: list[float] = []
        self._lately: list[float] = []
        self._zeros: dict[str, int] = {}
        self._idle: dict[str, int] = {}
        self._waited = self._worked = 0.0

    def step(self, loss: float, terms: Mapping[str, float], waited: float, seconds: float) -> Iterator[Fault]:
        """What the told steps so far give cause to say.

        Args:
            loss: of this step.
            terms: its parts by name.
            waited: seconds since the last told step spent waiting for data.
            seconds: since the last told step.
        """
        yield from self._new(self._divergence(loss))
        for name, value in terms.items():
            if not name.endswith(MATCHED):
                continue
            self._zeros[name] = self._zeros.get(name, 0) + 1 if value == 0 else 0
            if self._zeros[name] == ZERO_STEPS:
                yield from self._new(self._nothing_matched(name), name)
        self._waited, self._worked = self._waited + waited, self._worked + seconds
        if self._worked >= WAITING_SECONDS:
            share = self._waited / self._worked
            self._waited = self._worked = 0.0
            yield from self._new(self._starved(share))

    def sample(self, nodes: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[Fault]:
        """What a sample of the statistics gives cause to say: nodes that are to be trained and get no gradient."""
        for node in nodes:
            if node not in self.trained:
                continue
            norm = nodes[node].get("gradients", {}).get("norm", 0.0)
            self._idle[node] = self._idle.get(node, 0) + 1 if norm == 0 else 0
            if self._idle[node] == ZERO_SAMPLES:
                message = f"{self.titles.get(node, node)} gets no gradient: it does not learn."
                hint = "Check that what it gives reaches a head's loss, and that the head finds positive samples."
                yield from self._new(Fault("no_gradient", message, hint, node))

    def _divergence(self, loss: float) -> Fault | None:
        if len(self._early) < EARLY:
            self._early.append(loss)
            return None
        self._lately = [*self._lately[-LATELY + 1 :], loss]
        before, now = (sum(values) / len(values) for values in (self._early, self._lately))
        if len(self._lately) < LATELY or not math.isfinite(now) or now <= GROWTH * before or before <= 0:
            return None
        message = f"The loss grows: {now:.3g} on the mean of the last steps, {before:.3g} at the start."
        return Fault("divergence", message, f"Lower the learning rate ({self.learning_rate:g}) or warm up longer.")

    def _nothing_matched(self, term: str) -> Fault:
        head = self.heads.get(term.partition(".")[0]) or next(iter(self.heads.values()), None)
        name = self.titles.get(head, "The head") if head else "The head"
        message = f"{name}: its {term.rpartition('.')[2]} loss has been 0 for {ZERO_STEPS} steps: nothing was matched."
        hint = "Check that the labels' boxes are right and not too small for the image size, and the anchors if it has."
        return Fault("dead_head", message, hint, head)

    def _starved(self, share: float) -> Fault | None:
        if share <= WAITING_SHARE:
            return None
        message = f"The model waits for data {share:.0%} of the time."
        hint = f"Raise the workers (now {self.workers}), use smaller image files, or keep the data on a faster disk."
        return Fault("starved", message, hint)

    def _new(self, fault: Fault | None, about: str = "") -> Iterator[Fault]:
        if fault is not None and (key := (fault.code, fault.node, about)) not in self._said:
            self._said.add(key)
            yield fault
