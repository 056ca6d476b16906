"""A second image for one that is alone in its batch, where a norm of the model cannot learn from one value."""

from __future__ import annotations

from torch import nn
from torch.utils.data import Dataset

from designer.data.items import COLLATE, Batch, Item
from designer.train.trial import Trial

TRIED = 8
"""Images that are asked for one that can be used."""


def takes_one(model: nn.Module, trial: Trial) -> bool:
    """Whether a model learns from one image: a batch norm after global pooling, as ASPP has, wants two values."""
    with trial.untouched():
        try:
            trial.step(model, 1)
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                return False
            raise
    return True


def with_company(batch: Batch, data: Dataset[Item], task: str, step: int) -> Batch:
    """A batch of one image, and another of the data beside it: which one follows from the step alone.

    Where none of those asked can be used, the image itself comes a second time.
    """
    count = len(data)  # type: ignore[arg-type]
    asked = (data[(step + each) % count] for each in range(min(TRIED, count)))
    other = next((item for item in asked if item.image is not None and item.name != batch.items[0].name), None)
    joined = COLLATE[task]([batch.items[0], other or batch.items[0]])
    joined.skipped = batch.skipped
    return joined
