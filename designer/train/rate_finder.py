"""A sweep over learning rates on the real data; `python -m designer.train.rate_finder` does it for the window.

The process takes the document as one JSON line on stdin and says `{"started": true, "device", "batch", "steps"}`, for
each step `{"step", "rate", "loss"}`, and at the end `{"found": RateFound}`; `{"error": text}` where it cannot go on.
An end of stdin ends it at once: nobody waits for it any more.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from accelerate.utils import set_seed

from designer.data.dataset import load_dataset, make_loader
from designer.data.items import Batch
from designer.engine.compile import compile_document
from designer.engine.pretrained import load_pretrained
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from designer.train.auto_batch import choose_batch
from designer.train.checks import check_classes
from designer.train.losses import head_losses
from designer.train.memory import check_batch, out_of_memory
from designer.train.optim import batches_a_step, make_optimizer
from designer.train.processes import make_accelerator
from designer.train.rate_curve import RateFound, judge
from designer.train.tasks import task_of

STEPS = 200
RANGES = {"sgd": (1e-5, 10.0)}
RANGE = (1e-6, 1.0)
"""Lowest and highest rate; of SGD and of the others."""
WORSE, AFTER = 4.0, 20
"""How many times the lowest mean loss ends a sweep, and after how many steps at the earliest."""


def find_rate(
    document: GraphData,
    on_start: Callable[[str, int], None] = lambda device, batch: None,
    on_step: Callable[[int, float, float], None] = lambda step, rate, loss: None,
    steps: int = STEPS,
) -> RateFound:
    """Trains a copy of the model while the rate grows exponentially; document and files stay as they are.

    Args:
        document: model, data and settings.
        on_start: is told the device and the batch.
        on_step: is told each step, from 1, its rate and its loss.
        steps: of the whole range; the sweep ends earlier where the loss explodes.

    Raises:
        NetwrightError: for whatever the user can mend, as in training.
    """
    document = document.model_copy(deep=True)
    settings = document.training
    set_seed(settings.seed)
    accelerator = make_accelerator(settings.device, settings.amp, 1)
    compiled = compile_document(document)
    load_pretrained(compiled, document)
    task = task_of(compiled)
    splits = load_dataset(document.data, compiled.image_size, task, settings)
    check_classes(document, compiled, splits.class_names)
    compiled.model.to(accelerator.device)
    if not settings.batch:
        settings.batch = choose_batch(document, compiled, splits.train, task, accelerator).batch
    check_batch(document, accelerator.device)
    together = accelerator.gradient_accumulation_steps = batches_a_step(settings)
    given = {n.id for n in document.nodes if n.weights}
    pretrained = [name for name, node in compiled.node_of.items() if node in given]
    assert compiled.train_model is not None
    optimizer = make_optimizer(compiled.model, settings, pretrained)
    network, optimizer = accelerator.prepare(compiled.train_model, optimizer)
    loader = make_loader(
        splits.train, task, settings.batch, shuffle=True, workers=settings.workers, seed=settings.seed,
        pin=accelerator.device.type == "cuda",
    )  # fmt: skip
    batches = _endless(loader)
    compiled.train()
    on_start(accelerator.device.type, settings.batch)

    def loss_of(batch: Batch) -> float:
        images, targets = batch.to(accelerator.device)
        with accelerator.autocast():
            loss = torch.stack(list(head_losses(compiled.heads, network(images), targets).values())).sum()
        accelerator.backward(loss)
        return float(loss.detach())

    low, high = RANGES.get(settings.optimizer, RANGE)
    rates: list[float] = []
    losses: list[float] = []
    for step in range(steps):
        rate = low * (high / low) ** (step / max(1, steps - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        loss = sum(loss_of(next(batches)) for _ in range(together)) / together
        accelerator.clip_grad_norm_(network.parameters(), settings.clip_norm or math.inf)
        optimizer.step()
        optimizer.zero_grad()
        rates.append(rate)
        losses.append(loss)
        on_step(step + 1, rate, loss)
        if not math.isfinite(loss) or _explodes(losses):
            break
    return judge(rates, losses)


def _endless(loader: Any) -> Iterator[Batch]:
    """Batches with at least one image that can be read, epoch after epoch."""
    while True:
        some = False
        for batch in loader:
            if batch.items:
                some = True
                yield batch
        if not some:
            raise NetwrightError("No training image can be read. `netwright data check` says what is wrong.")


def _explodes(losses: list[float]) -> bool:
    if len(losses) < AFTER:
        return False
    means = [sum(losses[i : i + 5]) / 5 for i in range(len(losses) - 4)]
    return means[-1] > WORSE * min(means)


def main() -> int:
    """Serves one document."""
    out = sys.stdout

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    with contextlib.redirect_stdout(sys.stderr):  # whatever a component prints is no answer
        document = GraphData.model_validate_json(sys.stdin.readline())
        threading.Thread(target=_end_with_stdin, daemon=True).start()
        try:
            found = find_rate(
                document,
                lambda device, batch: say({"started": True, "device": device, "batch": batch, "steps": STEPS}),
                lambda step, rate, loss: say(
                    {"step": step, "rate": rate, "loss": loss if math.isfinite(loss) else None}
                ),
            )
        except NetwrightError as error:
            say({"error": str(error)})
            return 2
        except Exception as error:
            if not out_of_memory(error):
                raise
            say({"error": f"The memory is full: a batch of {document.training.batch} does not fit. Use a smaller one."})
            return 2
    say({"found": found.to_json()})
    return 0


def _end_with_stdin() -> None:
    while sys.stdin.readline():
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
