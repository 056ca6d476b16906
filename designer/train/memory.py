"""How much fits into memory: said before training starts rather than by a crash in the middle."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import torch

from designer.engine.propagate import propagate
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container, or a job of a cluster, may use."""


class TooLarge(NetwrightError):
    """A batch that does not fit; `fits` is the largest that should."""

    def __init__(self, message: str, fits: int) -> None:
        self.fits = fits
        super().__init__(message)


class Need:
    """What training a document takes, in bytes: `fixed` whatever the batch, and `each` image of it.

    Weights, gradients, the optimizer's moments and the average; activations that are kept for the backward pass. Half
    of these in mixed precision is not counted on: norms and losses stay in 32 bits.
    """

    def __init__(self, document: GraphData) -> None:
        totals, settings = propagate(document).totals, document.training
        trained = totals["params"] if settings.unfreeze_after else totals["trainable"]
        self.later = moments(settings.optimizer) * trained + (4 * totals["params"] if settings.ema else 0)
        """Of `fixed`, what the first step of the optimizer adds."""
        self.fixed = 4 * totals["params"] + 4 * trained + self.later
        self.each = max(1, totals["activation_bytes"])

    def of(self, batch: int) -> int:
        return int(self.fixed + batch * self.each)

    def fits(self, memory: float) -> int:
        """The largest batch for so much memory, less a tenth; 0 when not one image fits."""
        return max(0, int((memory - self.fixed) * 0.9 // self.each))


def moments(optimizer: str) -> int:
    """Bytes a trained parameter that an optimizer keeps."""
    return {"sgd": 4, "rmsprop": 8, "muon": 8}.get(optimizer, 8)


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be had on a device; None where there is no way to know."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no limit, no such file, or another system
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        kept = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        free = min(free, max(0, limit - used + int(kept.get("file", 0))))  # files that are kept give way
    return free


def check_batch(document: GraphData, device: torch.device, processes: int = 1) -> None:
    """Compares what training needs with what is free. A batch that is still to be found is not looked at.

    Of several processes each has a GPU and its share of the batch; the CPU's memory is for all.

    Raises:
        TooLarge: with a batch that should fit.
    """
    free, batch = free_memory(device), document.training.batch
    if free is None or not batch:
        return
    shares = processes if device.type == "cuda" else 1
    need, batch = Need(document), -(-batch // shares)
    if need.of(batch) <= free:
        return
    fits = need.fits(free) * shares
    advice = f"Use a batch of {fits} or less" if fits else "Use a smaller image or model"
    each = f"on each of {shares} GPUs" if shares > 1 else f"on {device.type}"
    raise TooLarge(
        f"A batch of {document.training.batch} needs about {need.of(batch) / 2**30:.1f} GB, {free / 2**30:.1f} GB are "
        f"free {each}. {advice}.",
        fits,
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or on the CPU."""
    text = str(error).lower()
    words = ("can't allocate memory", "out of memory", "alloc_failed")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(word in text for word in words)
