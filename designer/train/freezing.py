"""Frozen nodes that learn from some epoch on: their weights get gradients, their norms and dropouts train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from designer.engine.compile import Compiled
from designer.graph.training import TrainingSettings


class Freezing:
    """Knows which nodes wait and lets them go; the same epoch gives the same state, so a resumed run need not be told.

    Args:
        compiled: the document's modules.
        settings: its training section; `unfreeze_after` says when.
    """

    def __init__(self, compiled: Compiled, settings: TrainingSettings) -> None:
        self._compiled = compiled
        self._after = settings.unfreeze_after if settings.unfreeze_after < settings.epochs else 0
        self._held = dict(compiled.held) if self._after else {}

    def parameters(self) -> Iterator[nn.Parameter]:
        """Those that learn later: the optimizer has them from the start, and passes them over until then."""
        for held in self._held.values():
            yield from held

    @contextmanager
    def all_learning(self) -> Iterator[None]:
        """Inside, those that wait learn as the others do."""
        waiting = list(self.parameters())
        for parameter in waiting:
            parameter.requires_grad_(True)
        try:
            yield
        finally:
            for parameter in waiting:
                parameter.requires_grad_(False)

    def unfreeze(self, epoch: int) -> list[str]:
        """Lets the frozen nodes learn if this epoch (from 0) is one in which they do. Returns ids of those let go."""
        if epoch < self._after or not self._held:
            return []
        names = list(self._held)
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        self._held.clear()
        for network in (self._compiled.model, self._compiled.train_model):
            if network is not None:
                network.meta["frozen"] = []
        return [self._compiled.node_of[name] for name in names]
