"""What the trainer adds to a training step: ours against a plain torch loop of the same model, loss and data.

    python benchmarks/train_step.py [--size 320] [--batch 16] [--pairs 12] [--json]

Ours is `Trainer._train_epoch` as it is: watching, averaging the weights, telling events, looking for commands. Theirs
is forward, loss, backward, clipping and SGD, a dozen lines. They take turns in one run on the CPU, each going first in
turn; printed are the medians of the pairs' ratios, of the clock and of the process's CPU time, which other programs
disturb less and which is judged; on batches that lie ready, and with loading by the same process. Bar: 1.03.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from designer.data.dataset import make_loader
from designer.data.items import Batch
from designer.engine.compile import compile_document
from designer.graph.templates import load_template
from designer.train.loop import Trainer
from designer.train.losses import head_losses
from designer.train.optim import make_optimizer
from designer.train.run import RunFolder
from nodes.sdk.discover import library

BAR = 1.03
WARM_UP = 2
Times = tuple[float, float]
"""Seconds by the clock, seconds of the process's CPU time."""


class Plain:
    """A loop as one would write it by hand."""

    def __init__(self, trainer: Trainer) -> None:
        self.compiled = compile_document(trainer.document)
        self.compiled.model.load_state_dict(trainer.compiled.model.state_dict())
        self.compiled.train()
        self.optimizer = make_optimizer(self.compiled.model, trainer.settings)

    def step(self, batch: Batch) -> None:
        assert self.compiled.train_model is not None
        self.optimizer.zero_grad()
        raws = self.compiled.train_model(batch.images)
        loss = torch.stack(list(head_losses(self.compiled.heads, raws, batch.targets).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.compiled.model.parameters(), 10.0)
        self.optimizer.step()


class Turns:
    """Stands where the trainer's loader was: between two batches it gives, the plain loop has its turn.

    Args:
        trainer: whose loader it takes the place of.
        pairs: steps of each.
        loading: count the making of batches too; else they are made before.
    """

    def __init__(self, trainer: Trainer, pairs: int, loading: bool) -> None:
        self.batch_sampler, self.num_workers = trainer.loader.batch_sampler, 0
        self._plain, self._count = Plain(trainer), pairs + WARM_UP
        self._sources = [_batches(trainer) for _ in range(2)]
        if not loading:
            ready = [next(self._sources[0]) for _ in range(4)]
            self._sources = [iter(ready * self._count) for _ in range(2)]
        self.ours: list[Times] = []
        self.plain: list[Times] = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Batch]:
        for number in range(self._count):
            if number % 2:
                self._theirs()
            began = _now()
            yield next(self._sources[0])
            self.ours.append(_since(began))
            if not number % 2:
                self._theirs()

    def _theirs(self) -> None:
        began = _now()
        self._plain.step(next(self._sources[1]))
        self.plain.append(_since(began))


def _now() -> Times:
    return time.perf_counter(), time.process_time()


def _since(began: Times) -> Times:
    return time.perf_counter() - began[0], time.process_time() - began[1]


def _batches(trainer: Trainer) -> Iterator[Batch]:
    loader = make_loader(trainer.splits.train, trainer.task, trainer.settings.batch, shuffle=True)
    while True:
        yield from loader


def measure(folder: Path, size: int, batch: int, pairs: int, loading: bool) -> dict[str, Any]:
    """Median milliseconds of both and the median of the pairs' ratios, by `clock` and `cpu`."""
    document = load_template("yolov8n", library().catalogue)
    image = next(n for n in document.data.nodes if n.component == "io.image_input")
    for side in ("height", "width"):
        document.set_param(image, side, size)
    document.set_training(
        batch=batch, workers=0, device="cpu", epochs=1, accumulate=1, nominal_batch=0, optimizer="sgd"
    )
    document.set_data(kind="shapes", train_images=8 * batch, val_images=1)
    trainer = Trainer(RunFolder.create(folder, document.data))
    turns = Turns(trainer, pairs, loading)
    trainer.loader, trainer.batches = turns, len(turns)  # type: ignore[assignment]
    trainer._train_epoch()
    trainer.trackers.close()
    trainer.events.close()
    ours, plain = turns.ours[WARM_UP:], turns.plain[WARM_UP:]
    found: dict[str, Any] = {}
    for kind, name in enumerate(("clock", "cpu")):
        ratios = [a[kind] / b[kind] for a, b in zip(ours, plain, strict=True)]
        found[name] = {
            "ours_ms": round(statistics.median(t[kind] for t in ours) * 1e3, 1),
            "plain_ms": round(statistics.median(t[kind] for t in plain) * 1e3, 1),
            "ratio": round(statistics.median(ratios), 4),
            "spread": [round(value, 3) for value in (min(ratios), max(ratios))],
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: measure(Path(folder), options.size, options.batch, options.pairs, loading)
            for name, loading in (("batches ready", False), ("with loading", True))
        }
    met = all(row["cpu"]["ratio"] <= BAR for row in found.values())
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"YOLOv8n, {options.size} px, batch {options.batch}, {torch.get_num_threads()} threads")
        for name, kinds in found.items():
            for kind, row in kinds.items():
                low, high = row["spread"]
                print(
                    f"{name:13} {kind:5} ours {row['ours_ms']:8.1f} ms   plain {row['plain_ms']:8.1f} ms   "
                    f"ratio {row['ratio']:.3f} (pairs from {low:.2f} to {high:.2f})"
                )
        print(f"bar {BAR}: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
