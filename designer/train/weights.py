"""The weights of a run: trained, averaged, measured, kept. In one piece here; spread over processes in `sharded.py`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
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
        self._kept, self._fresh = list(_values(self.module)), list(_values(model))

    def update(self) -> None:
        """Takes the weights of now in."""
        average_in(self._kept, self._fresh, self.count, self.decay)
        self.count += 1


def _values(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


@torch.no_grad()
def average_in(kept: Sequence[Tensor], fresh: Sequence[Tensor], count: int, decay: float) -> None:
    """One step of a moving average; counters are copied.

    Args:
        kept: the averages, changed in place.
        fresh: the values of now, in the same order.
        count: steps before this one. The decay is none at first, then (1 + count) / (10 + count), so that short runs
            profit too.
        decay: that is grown to.
    """
    now = min(decay, (1 + count) / (10 + count)) if count else 0.0
    for is_weight in (True, False):
        pairs = [pair for pair in zip(kept, fresh, strict=True) if pair[0].is_floating_point() is is_weight]
        if pairs:
            old, new = zip(*pairs, strict=True)
            torch._foreach_lerp_(old, new, 1 - now) if is_weight else torch._foreach_copy_(old, new)


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
