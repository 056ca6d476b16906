"""What assignment and loss cost of a training step: a detector's step timed whole, and its head's loss alone.

    python benchmarks/loss_share.py [--template yolov8n] [--size 320] [--batch 16] [--steps 7] [--device cpu] [--json]

Each step is forward, loss, backward and SGD, on random images with as many random boxes as COCO has on average. The
loss is timed with its own backward, down to the raw maps, in turns with the whole steps. The bar for YOLOv8n: 15 %.
NMS is timed on the same images in eval mode, as a share of a forward pass with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from designer.engine.compile import Compiled, compile_document
from designer.graph.templates import load_template
from nodes.post.nms import NMS
from nodes.sdk.discover import library

BAR, OBJECTS, CLASSES = 0.15, 7, 80


def build(template: str, size: int, device: str) -> Compiled:
    """The template at another image size, in train mode."""
    document = load_template(template, library().catalogue)
    image = next(n for n in document.data.nodes if n.component == "io.image_input")
    document.set_param(image, "height", size)
    document.set_param(image, "width", size)
    compiled = compile_document(document.data)
    compiled.model.to(device)
    compiled.train()
    return compiled


def batch(count: int, size: int, device: str) -> tuple[Tensor, dict[str, Tensor]]:
    low, span = torch.rand(count, OBJECTS, 2) * size * 0.7, torch.rand(count, OBJECTS, 2) * size * 0.3 + 2
    targets = {
        "boxes": torch.cat((low, low + span), 2),
        "labels": torch.randint(CLASSES, (count, OBJECTS)),
    }
    return torch.rand(count, 3, size, size, device=device), {k: v.to(device) for k, v in targets.items()}


def step(compiled: Compiled, images: Tensor, targets: dict[str, Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.SGD(compiled.model.parameters(), 1e-4)
    head: Any = compiled.heads[0].module
    model: Any = compiled.train_model

    def run() -> None:
        optimizer.zero_grad()
        sum(head.loss(model(images)[0], targets).values()).backward()
        optimizer.step()

    return run


def loss_alone(compiled: Compiled, images: Tensor, targets: dict[str, Tensor]) -> Callable[[], None]:
    """The loss and its backward on raw maps that are there already."""
    head: Any = compiled.heads[0].module
    assert compiled.train_model is not None
    with torch.no_grad():
        raw = compiled.train_model(images)[0]
    single = isinstance(raw, Tensor)
    leaves = [t.detach().requires_grad_() for t in ((raw,) if single else raw)]

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        sum(head.loss(leaves[0] if single else tuple(leaves), targets).values()).backward()

    return run


def seconds(work: Callable[[], object], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def share(part: Callable[[], object], whole: Callable[[], object], steps: int, device: str) -> dict[str, float]:
    """Medians of both, timed in turns after one round to warm up, and the median of their ratios."""
    parts, wholes = [], []
    for i in range(steps + 1):
        first, second = seconds(part, device), seconds(whole, device)
        if i:
            parts.append(first)
            wholes.append(second)
    ratios = [a / b for a, b in zip(parts, wholes, strict=True)]
    return {"share": statistics.median(ratios), "part_ms": _ms(parts), "whole_ms": _ms(wholes)}


def _ms(values: Sequence[float]) -> float:
    return statistics.median(values) * 1e3


def suppression(compiled: Compiled, images: Tensor, steps: int, device: str) -> dict[str, float]:
    compiled.eval()
    nms = next((m for m in compiled.model.modules() if isinstance(m, NMS)), None)
    if nms is None:
        raise SystemExit("This template has no NMS.")
    seen: list[Any] = []
    hook = nms.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        compiled.model(images)
        hook.remove()
        predictions: Any = seen[0]
        # Fresh weights find nothing; a cell in a hundred that is sure of one class is what a trained network gives.
        scores = predictions.scores
        sure = torch.rand_like(scores[..., :1]) < 0.01
        one = torch.arange(CLASSES, device=device) == torch.randint(CLASSES, sure.shape, device=device)
        predictions = predictions._replace(scores=scores * 0 + sure * one * torch.rand_like(scores))
        model: nn.Module = compiled.model
        return share(lambda: nms(predictions), lambda: model(images), steps, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", default="yolov8n")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    compiled = build(options.template, options.size, options.device)
    images, targets = batch(options.batch, options.size, options.device)
    work = loss_alone(compiled, images, targets), step(compiled, images, targets)
    result = {
        "assignment and loss": share(*work, options.steps, options.device),
        "NMS": suppression(compiled, images, options.steps, options.device),
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, row in result.items():
        whole = "step" if name != "NMS" else "eval pass"
        bar = f"   bar {BAR:.0%}: {'met' if row['share'] < BAR else 'MISSED'}" if name != "NMS" else ""
        print(f"{name:20}{row['part_ms']:8.1f} ms of {row['whole_ms']:8.1f} ms a {whole}: {row['share']:.1%}{bar}")


if __name__ == "__main__":
    main()
