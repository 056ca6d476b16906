"""Optimizer and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import fx, nn
from torch.optim import Optimizer

from designer.graph.training import TrainingSettings
from designer.train.muon import MuonAndAdamW, orthogonalised


def make_optimizer(
    model: nn.Module, settings: TrainingSettings, pretrained: Collection[str] = (), later: Iterable[nn.Parameter] = ()
) -> Optimizer:
    """The optimizer of a document over what is trainable.

    What is no matrix (`is_matrix`) is not decayed. Each group has a `factor` on the learning rate: that
    of its layer, and that of weights that were loaded.

    Args:
        model: the compiled document.
        settings: its training section.
        pretrained: names of the parameters, or of whole submodules, that start from published or given weights.
        later: parameters that are frozen now and learn later; without a gradient an optimizer passes them over.
    """
    factors = rate_factors(model, settings, pretrained)
    wanted = {id(parameter) for parameter in later}
    matrices = set(orthogonalised(model)) if settings.optimizer == "muon" else set()
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad or id(parameter) in wanted:
            kind = factors[name], is_matrix(name, parameter), name in matrices
            groups.setdefault(kind, []).append(parameter)
    made: list[dict[str, Any]] = [
        {"params": params, "weight_decay": settings.weight_decay if decayed else 0.0, "factor": factor, "muon": muon}
        for (factor, decayed, muon), params in groups.items()
    ]
    rate, momentum = settings.learning_rate, settings.momentum
    betas = (min(momentum, 0.9), 0.999)
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(made, lr=rate, momentum=momentum, nesterov=settings.nesterov and momentum > 0)
        case "adam":
            return torch.optim.Adam(made, lr=rate, betas=betas)
        case "rmsprop":
            return torch.optim.RMSprop(made, lr=rate, momentum=momentum)
        case "muon":
            return MuonAndAdamW(made, lr=rate, momentum=momentum, nesterov=settings.nesterov, betas=betas)
        case _:
            return torch.optim.AdamW(made, lr=rate, betas=betas)


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is the matrix or kernel of a layer: not a norm's, a bias, a scale of channels, a table of
    positions or a class token.
    """
    return parameter.ndim > 1 and name.endswith("weight")


def rate_factors(model: nn.Module, settings: TrainingSettings, pretrained: Collection[str] = ()) -> dict[str, float]:
    """The factor on the learning rate of each parameter, by name.

    A layer is a node, or a part of a composite node; layers count in the order in which they run. The last has the
    whole rate, each one before it `layer_decay` times that of the next.
    """
    names = [name for name, _ in model.named_parameters()]
    layers = list(dict.fromkeys(layer_of(model, name) for name in names))
    depth = {layer: len(layers) - 1 - place for place, layer in enumerate(layers)}
    given = set(pretrained)
    factors = {}
    for name in names:
        loaded = name in given or name.partition(".")[0] in given
        own = settings.layer_decay ** depth[layer_of(model, name)]
        factors[name] = own * settings.pretrained_factor if loaded else own
    return factors


def layer_of(model: nn.Module, name: str) -> str:
    """The layer of a parameter: its node, or the part of a composite node that it is in."""
    first, _, rest = name.partition(".")
    if isinstance(getattr(model, first, None), fx.GraphModule):
        return f"{first}.{rest.partition('.')[0]}"
    return first


def batches_a_step(settings: TrainingSettings) -> int:
    """How many batches are summed before the weights change: to reach the nominal batch where there is one."""
    if settings.nominal_batch:
        return max(1, round(settings.nominal_batch / settings.batch))
    return settings.accumulate


def schedule(settings: TrainingSettings, steps: int, steps_an_epoch: int) -> Callable[[int], float]:
    """The factor on the learning rate at a step.

    Linear warm-up, over at most a third of the run; then cosine or linear down to 1 %, a tenth at 60 % and 85 %, or
    constant. One cycle (Smith and Topin 2018, arXiv:1708.07120) has no other warm-up: from 4 % up to the rate in the
    first 30 %, then down to nearly nothing, both along a cosine.
    """
    warmup = 0 if settings.schedule == "one-cycle" else min(round(settings.warmup_epochs * steps_an_epoch), steps // 3)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / max(1, steps - warmup))
        match settings.schedule:
            case "cosine":
                return _cosine(1.0, 0.01, done)
            case "linear":
                return 1.0 - 0.99 * done
            case "step":
                return 1.0 if done < 0.6 else 0.1 if done < 0.85 else 0.01
            case "one-cycle":
                return _cosine(0.04, 1.0, done / 0.3) if done < 0.3 else _cosine(1.0, 4e-6, (done - 0.3) / 0.7)
            case _:
                return 1.0

    return factor


def _cosine(start: float, end: float, done: float) -> float:
    """Half a cosine wave from one value to another."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
