"""torch.compile for a run: tried on one step before the first, and left where it does not work here."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import nn

from designer.train.memory import out_of_memory
from designer.train.trial import Trial


def try_compile(network: nn.Module, trial: Trial, batches: Sequence[int]) -> tuple[nn.Module | None, str]:
    """The compiled network, or None, and a sentence about it.

    Args:
        network: what is trained; it stays as it is and shares its weights with the compiled one.
        trial: runs the step; memory running out in it is raised, for it would in training.
        batches: images of the trials: those of each size that comes in training, or it would be compiled again then.
    """
    began = time.perf_counter()
    with trial.untouched():
        try:
            compiled: nn.Module = torch.compile(network)  # type: ignore[assignment]
            for batch in batches:
                trial.step(compiled, batch)
        except Exception as error:  # torch raises many kinds where a compiler is missing or an operation is not known
            if out_of_memory(error):
                raise
            torch._dynamo.reset()
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            return None, f"torch.compile does not work for this model here, so it trains uncompiled: {reason[:300]}"
    return compiled, f"Compiled in {time.perf_counter() - began:.0f} s."
