"""The weights of a run: trained, averaged, measured, kept. In one piece here; spread over processes in `sharded.py`."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from designer.engine.compile import Compiled
from designer.graph.training import TrainingSettings
from designer.train.optim import make_average


class Weights(Protocol):
    """What the loop asks of them; collective where several processes train."""

    def update_average(self) -> None:
        """One step of the moving average, where one is kept."""

    def to_measure(self) -> nn.Module:
        """The model that is evaluated: the average where one is kept."""

    def state(self, optimizer: Optimizer) -> dict[str, Any]:
        """`model`, `ema`, `averaged` and `optimizer` of a checkpoint."""

    def restore(self, state: dict[str, Any], optimizer: Optimizer) -> None:
        """Takes what `state` gave. Raises RuntimeError, ValueError or KeyError when it does not fit."""


class Whole:
    """The weights of a model that every process holds in one piece.

    Args:
        model: the compiled document, on its device.
        decay: of the moving average; None for none.
    """

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        self.model = model
        self.average = make_average(model, decay) if decay is not None else None

    def update_average(self) -> None:
        if self.average is not None:
            self.average.update_parameters(self.model)

    def to_measure(self) -> nn.Module:
        return self.average.module if self.average is not None else self.model

    def state(self, optimizer: Optimizer) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "ema": self.average.module.state_dict() if self.average is not None else None,
            "averaged": int(self.average.n_averaged) if self.average is not None else 0,
            "optimizer": optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any], optimizer: Optimizer) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None and state["ema"] is not None:
            self.average.module.load_state_dict(state["ema"])
            self.average.n_averaged.fill_(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])


def make_weights(compiled: Compiled, settings: TrainingSettings, device: torch.device, processes: int) -> Weights:
    """As the settings want them; spread ones only over several processes. The modules are on their device."""
    decay = settings.ema_decay if settings.ema else None
    if settings.strategy == "ddp" or processes == 1:
        return Whole(compiled.model, decay)
    from designer.train.sharded import Sharded  # FSDP takes a second to import

    assert compiled.train_model is not None
    return Sharded(compiled.model, compiled.train_model, device, decay)
