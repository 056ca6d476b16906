"""What compiling a drawing costs at run time: YOLOv8n as a document against the same layers in a hand-written module.

    python benchmarks/compile_overhead.py [--pairs 15] [--size 320] [--batch 2] [--device cpu] [--json]

Runs both in turns and prints the median of the pairs' ratios: forward in eval mode, and a whole training step (forward,
loss, backward, SGD). The bar: 1.00 +- 0.03. Both start from the same weights; equal outputs are checked first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from designer.engine.compile import Compiled, compile_document
from designer.graph.templates import load_template
from nodes.conv import ConvDown
from nodes.csp import C2f
from nodes.heads.yolov8 import YOLOv8Head
from nodes.pooling import SPPF
from nodes.resize import Upsample
from nodes.sdk.discover import library
from nodes.stems import ConvStem

BAR = 0.03


class YOLOv8n(nn.Module):
    """YOLOv8n as one writes it by hand, from the layers that the document uses."""

    def __init__(self, num_classes: int = 80) -> None:
        super().__init__()
        self.stem = ConvStem(3, 16)
        self.down2 = ConvDown(16, 32)
        self.c2 = C2f(32, 32, 1)
        self.down3 = ConvDown(32, 64)
        self.c3 = C2f(64, 64, 2)
        self.down4 = ConvDown(64, 128)
        self.c4 = C2f(128, 128, 2)
        self.down5 = ConvDown(128, 256)
        self.c5 = C2f(256, 256, 1)
        self.sppf = SPPF(256, 256)
        self.up5 = Upsample()
        self.top4 = C2f(384, 128, 1, shortcut=False)
        self.up4 = Upsample()
        self.out3 = C2f(192, 64, 1, shortcut=False)
        self.down_out3 = ConvDown(64, 64)
        self.out4 = C2f(192, 128, 1, shortcut=False)
        self.down_out4 = ConvDown(128, 128)
        self.out5 = C2f(384, 256, 1, shortcut=False)
        self.head = YOLOv8Head((64, 128, 256), (8, 16, 32), num_classes)

    def forward(self, x: Tensor) -> Any:
        p3 = self.c3(self.down3(self.c2(self.down2(self.stem(x)))))
        p4 = self.c4(self.down4(p3))
        p5 = self.sppf(self.c5(self.down5(p4)))
        t4 = self.top4(torch.cat((self.up5(p5), p4), 1))
        n3 = self.out3(torch.cat((self.up4(t4), p3), 1))
        n4 = self.out4(torch.cat((self.down_out3(n3), t4), 1))
        n5 = self.out5(torch.cat((self.down_out4(n4), p5), 1))
        return self.head(n3, n4, n5)


def build(device: str) -> tuple[Compiled, YOLOv8n]:
    """The compiled document, without its NMS, and the module with the same weights."""
    document = load_template("yolov8n-blocks", library().catalogue)
    document.set_disabled(next(n for n in document.data.nodes if n.component == "post.nms"), True)
    compiled, hand = compile_document(document.data), YOLOv8n()
    ours = [m for m in compiled.model.children() if m.state_dict()]
    theirs = [m for m in hand.children() if m.state_dict()]
    for mine, other in zip(ours, theirs, strict=True):
        other.load_state_dict(mine.state_dict())
    compiled.model.to(device)
    return compiled, hand.to(device)


def step(model: nn.Module, head: Any, images: Tensor, targets: dict[str, Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), 1e-4)

    def run() -> None:
        raw = model(images)
        optimizer.zero_grad()
        sum(head.loss(raw[0] if isinstance(raw, tuple) and len(raw) == 1 else raw, targets).values()).backward()
        optimizer.step()

    return run


def seconds(work: Callable[[], object], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def ratio(ours: Callable[[], object], theirs: Callable[[], object], pairs: int, device: str) -> dict[str, float]:
    """Medians over interleaved pairs; which goes first changes, as the second finds warmer caches."""
    for work in (ours, theirs, ours, theirs):
        work()
    mine, other = [], []
    for i in range(pairs):
        for work in (ours, theirs) if i % 2 else (theirs, ours):
            (mine if work is ours else other).append(seconds(work, device))
    each = [a / b for a, b in zip(mine, other, strict=True)]
    return {
        "ratio": statistics.median(each),
        "compiled_ms": statistics.median(mine) * 1e3,
        "hand_written_ms": statistics.median(other) * 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    compiled, hand = build(options.device)
    images = torch.rand(options.batch, 3, options.size, options.size, device=options.device)
    targets = {
        "boxes": torch.tensor([[[20.0, 20, 120, 120], [60, 40, 200, 180]]]).repeat(options.batch, 1, 1),
        "labels": torch.tensor([[1, 2]]).repeat(options.batch, 1),
    }
    targets = {k: v.to(options.device) for k, v in targets.items()}
    compiled.eval()
    hand.eval()
    with torch.no_grad():
        if not all(torch.equal(a, b) for a, b in zip(compiled.model(images), hand(images), strict=True)):
            raise SystemExit("The two do not compute the same, so there is nothing to compare.")
        forward = ratio(lambda: compiled.model(images), lambda: hand(images), options.pairs, options.device)
    compiled.train()
    hand.train()
    assert compiled.train_model is not None
    ours = step(compiled.train_model, compiled.heads[0].module, images, targets)
    training = ratio(ours, step(hand, hand.head, images, targets), options.pairs, options.device)
    result = {"forward": forward, "train step": training}
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, row in result.items():
        met = "met" if abs(row["ratio"] - 1) <= BAR else "MISSED"
        print(
            f"{name:12}compiled {row['compiled_ms']:8.1f} ms   hand-written {row['hand_written_ms']:8.1f} ms   "
            f"ratio {row['ratio']:.3f}   bar 1.00 +- {BAR}: {met}"
        )


if __name__ == "__main__":
    main()
