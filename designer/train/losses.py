"""The losses of a compiled document's heads, by name: what a step of training, a trial and a rate sweep add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from designer.engine.compile import Head


def head_losses(heads: Sequence[Head], raws: Sequence[Any], targets: Any) -> dict[str, Tensor]:
    """The losses of all heads; with several, named after their node.

    Args:
        heads: of the document.
        raws: their raw outputs, in the same order.
        targets: of the batch, as its task has them.
    """
    parts: dict[str, Tensor] = {}
    for head, raw in zip(heads, raws, strict=True):
        for name, value in head.module.loss(raw, targets).items():  # type: ignore[operator]
            parts[f"{head.name}.{name}" if len(heads) > 1 else name] = value
    return parts
