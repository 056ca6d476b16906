"""Which batch fits, once one did not."""

from __future__ import annotations

import os

from designer.data.dataset import load_dataset
from designer.engine.compile import compile_document
from designer.train.auto_batch import choose_batch, even, free_cache
from designer.train.memory import TooLarge, out_of_memory
from designer.train.processes import make_accelerator
from designer.train.run import RunFolder
from designer.train.tasks import task_of


def batch_that_fits(run: RunFolder) -> int:
    """The largest batch below that of a run whose memory ran out; 0 when not one image fits.

    It is found as an automatic batch is. Where even that runs out, as when other programs took the memory: half.
    """
    free_cache()
    document = run.document()
    settings = document.training
    if settings.batch < 2:
        return 0
    half = even(max(1, settings.batch // 2))
    if "RANK" in os.environ:  # the other processes would have to try as well, and they are gone
        return half
    try:
        accelerator = make_accelerator(settings.device, settings.amp, 1)
        compiled = compile_document(document)
        task = task_of(compiled)
        data = load_dataset(document.data, compiled.image_size, task, settings).train
        compiled.model.to(accelerator.device)
        found = choose_batch(document, compiled, data, task, accelerator, below=settings.batch).batch
    except TooLarge:
        return 0
    except Exception as error:
        if not out_of_memory(error):
            raise
        return half
    # Where steps are not tried, the count that let this batch pass is not to be trusted again.
    return found if accelerator.device.type == "cuda" else min(found, half)
