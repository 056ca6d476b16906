"""Mean, spread, share of zeros and norm of every node's weights, activations and gradients, at some of the steps.

`statistics.json` of a run folder holds the newest. How often is measured: a sample may cost a hundredth of the time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from designer.graph.storage import write_text

NAMES = ("mean", "std", "zeros", "norm")
MOST_VALUES = 65_536
"""Of a larger activation, so many values evenly spaced are looked at."""
SHARE = 0.01
"""Of the training time that samples may take."""
LEAST_STEPS = 20
"""Between two samples."""


def facts(tensors: Iterable[Tensor], thin: bool = False) -> Tensor | None:
    """Mean, standard deviation, share of zeros and norm of all values together, [4] float32; None of none.

    Args:
        tensors: of any shapes, on one device.
        thin: look at `MOST_VALUES` of each only; the norm is then scaled to that of all.
    """
    total = kept = 0
    sums: list[Tensor] = []
    for tensor in tensors:
        values = getattr(tensor, "to_local", lambda t=tensor: t)().detach().flatten()  # of FSDP's, this process's part
        total += values.numel()
        if thin and values.numel() > MOST_VALUES:
            values = values[:: values.numel() // MOST_VALUES]
        kept += values.numel()
        values = values.float()
        sums.append(torch.stack((values.sum(), values.square().sum(), (values == 0).sum())))
    if not kept:
        return None
    first, squares, zeros = torch.stack(sums).sum(0).unbind()
    mean = first / kept
    spread = (squares / kept - mean.square()).clamp(min=0).sqrt()
    return torch.stack((mean, spread, zeros / kept, (squares * (total / kept)).sqrt()))


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The floating-point tensors of what a module returns."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from tensors_in(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from tensors_in(each)


@dataclass
class Statistics:
    """Samples the nodes of a model.

    Args:
        modules: module of each node id.
        path: where the newest sample is written.
    """

    modules: Mapping[str, nn.Module]
    path: Path
    newest: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """node id -> `weights`, `activations`, `gradients` -> name -> value, of the last sample."""
    spent: float = 0.0
    """Seconds that samples took."""

    def __post_init__(self) -> None:
        self._next = LEAST_STEPS
        self._cost = 0.0
        self._found: list[tuple[str, str, Tensor]] = []
        self.sampling = False

    @contextmanager
    def watching(self, step: int) -> Iterator[None]:
        """Takes the activations of what runs inside, if the step (counted by the run) is one to look at."""
        self.sampling, self._cost = step >= self._next, 0.0
        self._found.clear()
        hooks = [self._hook(node, module) for node, module in self.modules.items()] if self.sampling else []
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, node: str, module: nn.Module) -> Any:
        return module.register_forward_hook(
            lambda _module, _args, output: self._keep(node, "activations", tensors_in(output), thin=True)
        )

    def _keep(self, node: str, kind: str, tensors: Iterable[Tensor], thin: bool = False) -> None:
        began = time.perf_counter()
        found = facts(tensors, thin)
        if found is not None:
            self._found.append((node, kind, found))
        self._cost += time.perf_counter() - began

    def finish(self, step: int, step_seconds: float) -> bool:
        """Takes weights and gradients, those that the optimizer is about to use, and writes the sample.

        Args:
            step: of the run.
            step_seconds: that a usual step takes; it sets when the next sample is due.

        Returns:
            Whether there was a sample.
        """
        if not self.sampling:
            return False
        self.sampling = False
        for node, module in self.modules.items():
            self._keep(node, "weights", module.parameters())
            self._keep(node, "gradients", (p.grad for p in module.parameters() if p.grad is not None))
        began = time.perf_counter()
        self._write(step)
        self._cost += time.perf_counter() - began  # with it what the device had left to do: rather too much
        self.spent += self._cost
        self._next = step + max(LEAST_STEPS, int(self._cost / (SHARE * max(step_seconds, 1e-6))))
        return True

    def _write(self, step: int) -> None:
        if not self._found:
            return
        table = torch.stack([found for _, _, found in self._found]).cpu().tolist()
        self.newest = {}
        for (node, kind, _), values in zip(self._found, table, strict=True):
            self.newest.setdefault(node, {})[kind] = dict(zip(NAMES, values, strict=True))
        self._found.clear()
        text = json.dumps({"step": step, "nodes": self.newest})
        write_text(self.path, text.replace("NaN", "null").replace("-Infinity", "null").replace("Infinity", "null"))
