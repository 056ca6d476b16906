"""What a head divides its sums by, so that a batch spread over processes weighs as it does in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor

_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def alone() -> Iterator[None]:
    """Inside, a loss is of this process only: for a step that the others do not make."""
    before = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(before)


@torch.no_grad()
def normaliser(amount: Tensor | int, like: Tensor, least: float = 1.0, more: float = 0.0) -> Tensor | float:
    """A number of positives or a sum of target scores, as what the sums of a loss are divided by.

    Training in several processes averages their gradients, while each of them sees its own share of the batch. The
    mean of the processes' losses is the loss of the whole batch only if all divide by the same: by the amount of the
    whole batch over the number of processes. Every process has to come here equally often, also for a share without
    objects. In one process nothing is asked of anybody.

    Args:
        amount: of this process's share of the batch; a scalar.
        like: a tensor whose device talks to the other processes.
        least: what the amount of the whole batch is raised to.
        more: is added to it.
    """
    if _alone():
        return (amount.clamp(min=least) if isinstance(amount, Tensor) else max(least, amount)) + more
    total = torch.as_tensor(amount, dtype=torch.float32, device=like.device).detach().clone()
    dist.all_reduce(total)
    return (total.clamp(min=least) + more) / dist.get_world_size()


def batch_sum(share: Tensor) -> Tensor:
    """The sum over the processes, for a loss that is no plain sum over images, such as a ratio of sums.

    Its gradient is the share's own times the number of processes, which their mean takes back. Every process has to
    come here equally often.
    """
    if _alone():
        return share
    total = share.detach().clone()
    dist.all_reduce(total)
    return total + dist.get_world_size() * (share - share.detach())


def _alone() -> bool:
    return _ALONE.get() or not (dist.is_available() and dist.is_initialized())
