"""Trial steps, forward and backward, that leave the model as it was: does a batch fit, does compiled code run?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import Dataset

from designer.data.items import COLLATE, Item
from designer.engine.compile import Compiled
from designer.graph.errors import NetwrightError
from designer.train import checkpoint
from designer.train.losses import head_losses
from nodes.losses.normaliser import alone

LOOKED_AT = 32
"""Images among which the one with most objects is taken, which costs a loss the most memory."""


class Trial:
    """Steps on one image of the data, repeated to a batch of any size.

    Args:
        compiled: the document's modules, on the accelerator's device.
        data: training data.
        task: of the heads.
        accelerator: gives device and precision.

    Raises:
        NetwrightError: when none of the first images can be read.
    """

    def __init__(self, compiled: Compiled, data: Dataset[Item], task: str, accelerator: Accelerator) -> None:
        self._compiled, self._accelerator = compiled, accelerator
        items = [data[i] for i in range(min(LOOKED_AT, len(data)))]  # type: ignore[arg-type]
        readable = [item for item in items if item.image is not None]
        if not readable:
            raise NetwrightError(f"None of the first {len(items)} training images can be read. Check the data set.")
        fullest = max(readable, key=lambda item: len(item.labels))
        self._one = COLLATE[task]([fullest])

    def step(self, network: nn.Module, batch: int) -> None:
        """Forward and backward of `batch` images; the gradients are dropped."""
        images, targets = self._one.to(self._accelerator.device)
        repeated = _repeated(targets, batch)
        with self._accelerator.autocast(), alone():
            raws = network(images.repeat(batch, 1, 1, 1))
            loss = torch.stack(list(head_losses(self._compiled.heads, raws, repeated).values())).sum()
        self._accelerator.backward(loss)
        network.zero_grad(set_to_none=True)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Around trial steps: training mode, then buffers, random numbers and mode as before, and no gradients."""
        model, rng = self._compiled.model, checkpoint.rng_state()
        training, buffers = model.training, {name: b.clone() for name, b in model.named_buffers()}
        self._compiled.train()
        try:
            yield
        finally:
            model.zero_grad(set_to_none=True)
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    buffer.copy_(buffers[name])
            model.train(training)
            checkpoint.restore_rng(rng)


def _repeated(targets: Any, batch: int) -> Any:
    if isinstance(targets, Tensor):
        return targets.repeat(batch, *[1] * (targets.ndim - 1))
    return {name: _repeated(value, batch) for name, value in targets.items()}
