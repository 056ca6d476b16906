"""Whether a batch fits into memory, said before training starts rather than by a crash in the middle."""

from __future__ import annotations

import psutil
import torch

from designer.engine.propagate import propagate
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData


class TooLarge(NetwrightError):
    """A batch that does not fit; `fits` is the largest that should."""

    def __init__(self, message: str, fits: int) -> None:
        self.fits = fits
        super().__init__(message)


def check_batch(document: GraphData, device: torch.device) -> None:
    """Compares what training needs with what is free.

    Weights, gradients, two optimizer moments and the average take 20 bytes a parameter; activations are counted for one
    image and scale with the batch.

    Raises:
        TooLarge: with a batch that should fit.
    """
    totals, batch = propagate(document).totals, document.training.batch
    activation_bytes, parameters = totals["activation_bytes"], totals["params"]
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    elif device.type == "cpu":
        free = psutil.virtual_memory().available
    else:  # no figure to be had on this device; its own error is reported then
        return
    fixed = 20 * parameters
    if fixed + batch * activation_bytes <= free:
        return
    fits = max(0, int((free - fixed) * 0.9 // max(1, activation_bytes)))
    need = (fixed + batch * activation_bytes) / 2**30
    advice = f"Use a batch of {fits} or less" if fits else "Use a smaller image or model"
    raise TooLarge(
        f"A batch of {batch} needs about {need:.1f} GB, {free / 2**30:.1f} GB are free on {device.type}. {advice}.",
        fits,
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or on the CPU."""
    text = str(error).lower()
    return (
        isinstance(error, (torch.OutOfMemoryError, MemoryError))
        or "can't allocate memory" in text
        or "out of memory" in text
    )
