"""The largest batch that fits: by trial steps on a CUDA GPU, by what the engine counts elsewhere."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import Dataset

from designer.data.items import Item
from designer.engine.compile import Compiled
from designer.graph.model import GraphData
from designer.train.freezing import Freezing
from designer.train.memory import Need, TooLarge, free_memory, out_of_memory
from designer.train.trial import Trial

SHARE = 0.9
"""Of the free memory that is used: the rest is for what batches of other content and a fragmented heap take."""
MOST = {"cuda": 512, "cpu": 32, "mps": 64}
"""Larger batches are hardly faster on such a device, and train worse at the usual rates."""
STEPS = 8
"""At least so many steps an epoch."""
UNKNOWN = 16
"""Taken where a device does not say what is free."""


@dataclass(frozen=True)
class Choice:
    """A batch, and what kept it from being larger."""

    batch: int
    why: str

    def text(self) -> str:
        return f"Batch size {self.batch}: {self.why}."


def choose_batch(
    document: GraphData, compiled: Compiled, data: Dataset[Item], task: str, accelerator: Accelerator,
    below: int | None = None,
) -> Choice:  # fmt: skip
    """The largest batch for a device. The model is left as it was.

    Args:
        document: what is trained.
        compiled: its modules, on the accelerator's device.
        data: training data.
        task: of the heads.
        accelerator: gives device and precision.
        below: a batch that did not fit: only smaller ones are tried.

    Raises:
        TooLarge: when not one image fits.
    """
    device = accelerator.device
    images = len(data)  # type: ignore[arg-type]
    most, why = MOST.get(device.type, UNKNOWN), f"larger ones are hardly faster on {device.type}"
    if below is not None and below <= most:
        most, why = below - 1, "the most that fits"
    if images // STEPS < most:
        most, why = max(1, images // STEPS), f"{images} training images make {STEPS} steps an epoch with it"
    free, need = free_memory(device), Need(document)
    if free is None:
        batch = min(UNKNOWN, most)
        return Choice(batch, f"the free memory of {device.type} is not known")
    if device.type == "cuda":
        batch = _by_trial(document, compiled, Trial(compiled, data, task, accelerator), free * SHARE - need.later, most)
    else:
        batch = min(most, need.fits(free))
    if batch < 1:
        text = f"Not one image fits: {free / 2**30:.1f} GB are free on {device.type}. Use a smaller image or model."
        raise TooLarge(text, 0)
    if batch < most:
        return Choice(even(batch), f"the most that fits into {free / 2**30:.1f} GB on {device.type}")
    return Choice(even(batch), why)


def _by_trial(document: GraphData, compiled: Compiled, trial: Trial, room: float, most: int) -> int:
    """By real steps, everything learning that ever will."""
    network = compiled.train_model
    assert network is not None

    def fits(batch: int) -> bool:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_reserved()
        try:
            trial.step(network, batch)
        except Exception as error:
            if not out_of_memory(error):
                raise
            network.zero_grad(set_to_none=True)
            return False
        return torch.cuda.max_memory_reserved() - before <= room

    with trial.untouched(), Freezing(compiled, document.training).all_learning():
        try:
            return largest(fits, most)
        finally:
            free_cache()


def largest(fits: Callable[[int], Any], most: int) -> int:
    """The largest number from 1 to `most` that fits, 0 if none does; what fits, fits when smaller."""
    good, bad, tried = 0, most + 1, 1
    while bad - good > 1:
        if fits(tried):
            good = tried
            tried = min(good * 2, bad - 1) if bad > most else (good + bad) // 2
        else:
            bad = tried
            tried = (good + bad) // 2
    return good


def even(batch: int) -> int:
    """A multiple of 8 from 16 on, which GPUs like, of 2 below."""
    step = 8 if batch >= 16 else 2 if batch > 2 else 1
    return batch // step * step


def free_cache() -> None:
    """Gives back what torch keeps of a GPU's memory for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
