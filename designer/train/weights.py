"""The weights of a run: trained, averaged, measured, kept. In one piece here; spread over processes in `sharded.py`."""

from __future__ import annotations

import copy
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from designer.engine.compile import Compiled
from designer.graph.training import TrainingSettings


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


class Average:
    """A moving average of the weights and buffers of a model, as `module`.

    The tensors are looked up once: torch's `AveragedModel` walks all modules at every step, which takes YOLOv8n 8 ms.

    Args:
        model: on its device, where its tensors stay the same ones.
        decay: that is grown to.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model)
        self.decay, self.count = decay, 0
        pairs = list(zip(values_of(self.module), values_of(model), strict=True))
        self._weights = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Takes the weights of now in."""
        share = 1 - decay_after(self.count, self.decay)
        if self._weights:
            kept, fresh = zip(*self._weights, strict=True)
            torch._foreach_lerp_(kept, fresh, share)
        if self._counters:
            kept, fresh = zip(*self._counters, strict=True)
            torch._foreach_copy_(kept, fresh)
        self.count += 1


def values_of(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers, detached: they share their memory with the model's."""
    return [value.detach() for value in (*model.parameters(), *model.buffers())]


def decay_after(count: int, decay: float) -> float:
    """Of a moving average of so many steps: none at first, then (1 + n) / (10 + n), so that short runs profit too."""
    return min(decay, (1 + count) / (10 + count)) if count else 0.0


class Whole:
    """The weights of a model that every process holds in one piece.

    Args:
        model: the compiled document, on its device.
        decay: of the moving average; None for none.
    """

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        self.model = model
        self.average = Average(model, decay) if decay is not None else None

    def update_average(self) -> None:
        if self.average is not None:
            self.average.update()

    def to_measure(self) -> nn.Module:
        return self.average.module if self.average is not None else self.model

    def state(self, optimizer: Optimizer) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "ema": self.average.module.state_dict() if self.average is not None else None,
            "averaged": self.average.count if self.average is not None else 0,
            "optimizer": optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any], optimizer: Optimizer) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None and state["ema"] is not None:
            self.average.module.load_state_dict(state["ema"])
            self.average.count = int(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])


def make_weights(compiled: Compiled, settings: TrainingSettings, device: torch.device, processes: int) -> Weights:
    """As the settings want them; spread ones only over several processes. The modules are on their device."""
    decay = settings.ema_decay if settings.ema else None
    if settings.strategy == "ddp" or processes == 1:
        return Whole(compiled.model, decay)
    from designer.train.sharded import Sharded  # FSDP takes a second to import

    assert compiled.train_model is not None
    return Sharded(compiled.model, compiled.train_model, device, decay)
