"""What a trainer measures beside the loss: waiting time, gradient norm, memory, samples of every node, and faults."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from designer.engine.compile import Compiled
from designer.graph.model import GraphData
from designer.train.faults import Fault, FaultFinder
from designer.train.run import RunFolder
from designer.train.statistics import Statistics, tensors_in

T = TypeVar("T")
MOST_RATES = 4
"""Of more different learning rates, as those that fall from layer to layer, the highest and the lowest are told."""


class Live:
    """Watches one trainer; the loop calls it at a few places.

    Args:
        run: whose folder takes the samples.
        document: that is trained.
        compiled: its model.
        device: where it is.
        writes: whether this process writes samples; of several the first does.
    """

    def __init__(
        self, run: RunFolder, document: GraphData, compiled: Compiled, device: torch.device, writes: bool = True
    ) -> None:
        self._compiled, self._device = compiled, device
        self._titles = {node.id: node.title or node.component for node in document.nodes}
        modules = {node: m for name, node in compiled.node_of.items() if (m := _module(compiled.model, name))}
        self.statistics = Statistics(modules if writes else {}, run.statistics_path)
        self._faults = FaultFinder(
            self._titles,
            document.training.learning_rate,
            document.training.workers,
            {head.name: head.node_id for head in compiled.heads},
            frozenset(n for n, m in modules.items() if any(p.requires_grad for p in m.parameters())),
        )
        self.norm: Tensor | float | None = None
        """Of all gradients, before they were clipped; the loop sets it."""
        self._waited = 0.0
        self._told = time.perf_counter()
        self._seconds = self._last_wait = 0.0
        self._step_seconds = 0.0
        self._steps = 0
        self._is_finite: Tensor | None = None
        self._copied: torch.cuda.Event | None = None
        self._waiting_faults: list[Fault] = []
        self._explaining = False

    # -- within a step -----------------------------------------------------------------------------------------------

    def waiting(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches; how long each was waited for is counted, but for the first, for which workers start."""
        source = iter(batches)
        for number in itertools.count():
            began = time.perf_counter()
            try:
                batch = next(source)
            except StopIteration:
                return
            if number == 0:
                self.restart()
            self._waited += time.perf_counter() - began if number else 0.0
            yield batch

    def watching(self, step: int) -> AbstractContextManager[None]:
        """Around a forward pass: takes a sample if this step is one to look at."""
        return self.statistics.watching(step)

    @property
    def hooked(self) -> bool:
        """Whether something inside the model is being looked at."""
        return self.statistics.sampling or self._explaining

    def look_at(self, loss: Tensor) -> None:
        """Asks whether the loss is a number; `is_finite` gives the answer.

        On a GPU the answer is copied while the backward pass is being queued, so that nothing has to stand still.
        """
        answer = loss.detach().isfinite()
        if answer.is_cuda:
            self._is_finite = torch.empty((), dtype=torch.bool, pin_memory=True)
            self._is_finite.copy_(answer, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()
        else:
            self._is_finite = answer

    def is_finite(self) -> bool:
        """Whether the loss that was looked at last is a number."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._is_finite is None or bool(self._is_finite)

    def before_update(self, step: int) -> None:
        """Gradients are ready: the rest of a sample."""
        self._steps += 1
        if self.statistics.finish(step, self._step_seconds):
            self._waiting_faults += self._faults.sample(self.statistics.newest)

    # -- telling -----------------------------------------------------------------------------------------------------

    def fields(self, rates: list[float]) -> dict[str, Any]:
        """What a `step` event says beside the loss: waiting (share of the time), grad_norm, lrs (highest first) where
        they differ, and gpu_mb; `rates` is the learning rate of each group of parameters.
        """
        now = time.perf_counter()
        self._seconds, self._last_wait = now - self._told, self._waited
        self._step_seconds = self._seconds / max(1, self._steps)
        self._told, self._waited, self._steps = now, 0.0, 0
        fields: dict[str, Any] = {"waiting": round(min(1.0, self._last_wait / max(self._seconds, 1e-9)), 4)}
        if self.norm is not None:
            fields["grad_norm"] = float(self.norm)
        if len(unlike := sorted(set(rates), reverse=True)) > 1:
            fields["lrs"] = unlike if len(unlike) <= MOST_RATES else [unlike[0], unlike[-1]]
        if self._device.type == "cuda":
            fields["gpu_mb"] = round(torch.cuda.max_memory_allocated(self._device) / 2**20, 1)
        return fields

    def faults(self, loss: float, terms: Mapping[str, float]) -> Iterator[Fault]:
        """What is to be said after a told step; call `fields` first."""
        yield from self._waiting_faults
        self._waiting_faults = []
        yield from self._faults.step(loss, terms, self._last_wait, self._seconds)

    def restart(self) -> None:
        """From here on the clock counts: what was before (an evaluation, a pause) was no training."""
        self._told, self._waited, self._steps = time.perf_counter(), 0.0, 0

    # -- when the loss is no number ----------------------------------------------------------------------------------

    def explain(self, forward: Callable[[], Mapping[str, Tensor]], images: Tensor, rate: float) -> str:
        """Repeats a step whose loss is not a number and says where that began, and what to do."""
        self._explaining = True
        calm = f"Lower the learning rate ({rate:g}) or lengthen the warm-up; the last checkpoint is kept."
        if not images.isfinite().all():
            return "The images hold values that are not numbers. Check the image files."
        named = [(n, p) for n, p in self._compiled.model.named_parameters() if not p.isfinite().all()]
        if named:
            return f"The weights of {self._place(named[0][0])} were the first in order that are no numbers. {calm}"
        where, terms = find_not_finite(self._compiled.model, forward)
        if where:
            return f"{self._place(where)} is the first whose output is not finite. {calm}"
        bad = [name for name, value in terms.items() if not value.isfinite().all()]
        if bad:
            return f"All outputs are finite, but the head's loss term {bad[0]} is not. Check the labels. {calm}"
        return f"Repeated, the step gave a finite loss, so chance was in it. {calm}"

    def _place(self, name: str) -> str:
        """`Backbone (stage3.block0.conv)` for the name of a module or parameter."""
        top, _, rest = name.partition(".")
        node = self._compiled.node_of.get(top)
        title = self._titles.get(node, top) if node is not None else top
        return f"“{title}” ({rest})" if rest else f"“{title}”"


@torch.no_grad()
def find_not_finite(model: nn.Module, forward: Callable[[], Mapping[str, Tensor]]) -> tuple[str, Mapping[str, Tensor]]:
    """The name of the first module, in the order that they run, whose output is not finite ("" of none), and the loss
    terms that `forward` gives.
    """
    found: list[str] = []

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def take(_module: nn.Module, _args: Any, output: Any) -> None:
            if not found and not all(bool(t.isfinite().all()) for t in tensors_in(output)):
                found.append(name)

        return take

    hooks = [module.register_forward_hook(hook(name)) for name, module in model.named_modules() if name]
    try:
        terms = forward()
    finally:
        for each in hooks:
            each.remove()
    return (found[0] if found else ""), terms


def _module(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:  # an input has no module
        return None
