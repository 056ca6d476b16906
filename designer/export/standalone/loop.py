"""A plain training loop: a linear warm-up, a cosine, clipped gradients."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset

from files import load_model

HERE = Path(__file__).parent
EPOCHS, BATCH = 20, 16
RATE = 0.01  # after the warm-up
WEIGHT_DECAY = 5e-4
LARGEST_NORM = 10.0  # of the gradients


def settings(what: str, *paths: str) -> argparse.Namespace:
    """The command line: the paths, then --epochs, --batch, --rate, --workers and --device."""
    parser = argparse.ArgumentParser(description=what)
    for name in paths:
        parser.add_argument(name, type=Path)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rate", type=float, default=RATE, help="learning rate after the warm-up")
    parser.add_argument("--workers", type=int, default=2, help="processes that load images")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    for name in paths:
        if not getattr(chosen, name).exists():
            raise SystemExit(f"{getattr(chosen, name)} does not exist.")
    return chosen


def make_optimizer(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """Weight decay for matrices and kernels only, not for norms, biases, scales and tables."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and name.endswith("weight") else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=rate, momentum=0.937, nesterov=True)


def _batches(loader: DataLoader[Any]) -> Iterator[Any]:
    """The batches; an image that cannot be read ends the training with its name."""
    try:
        yield from loader
    except OSError as error:  # a worker's comes with its traceback as text
        reason = str(error).strip().splitlines()[-1].removeprefix("OSError: ")
        raise SystemExit(f"{reason} Replace it or take it out of the data.") from None


def on(device: str, value: Any) -> Any:
    """A tensor, or a dict of them, on a device."""
    if isinstance(value, dict):
        return {k: v.to(device, non_blocking=True) for k, v in value.items()}
    return value.to(device, non_blocking=True)


def train(data: Dataset[Any], chosen: argparse.Namespace, collate: Any = None) -> None:
    """Trains the model of this folder and writes `trained.safetensors` after each epoch."""
    count = len(data)  # type: ignore[arg-type]
    loader = DataLoader(
        data,
        chosen.batch,
        shuffle=True,
        num_workers=chosen.workers,
        collate_fn=collate,
        drop_last=count > chosen.batch,  # a batch norm cannot learn from a batch of one
    )
    model = load_model().train().to(chosen.device)
    optimizer = make_optimizer(model, chosen.rate)
    steps = chosen.epochs * len(loader)
    warm = min(len(loader), steps // 3)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for epoch in range(chosen.epochs):
        total = 0.0
        for images, targets in _batches(loader):
            losses = model.losses(model(on(chosen.device, images)), on(chosen.device, targets))
            loss = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), LARGEST_NORM)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1} of {chosen.epochs}: loss {total / len(loader):.4f}", flush=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, HERE / "trained.safetensors")
    print("Use the weights with: python predict.py --weights trained.safetensors IMAGE")
