"""Optimizer, learning-rate schedule and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from designer.graph.training import TrainingSettings

Tensors = tuple[Tensor, ...] | list[Tensor]


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> Optimizer:
    """SGD or AdamW over what is trainable; norms and biases (parameters of one dimension) are not decayed."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0
        )
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(min(settings.momentum, 0.9), 0.999))


def schedule(settings: TrainingSettings, steps: int, steps_an_epoch: int) -> Callable[[int], float]:
    """The factor on the learning rate at a step.

    Linear warm-up, over at most a third of the run; then cosine down to 1 %, a tenth at 60 % and 85 %, or constant.
    """
    warmup = min(round(settings.warmup_epochs * steps_an_epoch), steps // 3)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = (step - warmup) / max(1, steps - warmup)
        if settings.schedule == "cosine":
            return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2
        if settings.schedule == "step":
            return 1.0 if done < 0.6 else 0.1 if done < 0.85 else 0.01
        return 1.0

    return factor


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """A moving average of weights and buffers. The decay grows as (1 + n) / (10 + n) so that short runs profit too."""

    @torch.no_grad()
    def average(kept: Tensors, fresh: Tensors, count: Tensor | int) -> None:
        n = int(count)
        now = min(decay, (1 + n) / (10 + n))
        if kept and kept[0].is_floating_point():
            torch._foreach_lerp_(kept, fresh, 1 - now)
        else:  # counters of batch norm
            for a, b in zip(kept, fresh, strict=True):
                a.copy_(b)

    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)
