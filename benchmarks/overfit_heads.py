"""Whether every head learns: each overfits four drawn images with a small network, on the CPU, in 100 steps.

    python benchmarks/overfit_heads.py [--heads yolov3 ...] [--steps 100] [--json] [--write docs/heads.md]

Prints the loss at the start and at the end and COCO's mAP50 on the same four images (of masks for a segmenter; mean IoU
for class maps). A head that cannot do this has a fault in its loss, its assignment or its decoding. The bars: 0.9, for
masks and class maps 0.8.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from designer.data.dataset import load_dataset, make_loader
from designer.engine.compile import Compiled, compile_document
from designer.graph.document import Document
from designer.graph.model import Node
from designer.graph.training import DataSettings, TrainingSettings
from designer.train.tasks import evaluate
from nodes.sdk.discover import library

SIDE, IMAGES, CLASSES = 160, 4, 3
BARS = {"detect": 0.9, "segment": 0.8, "semantic": 0.8}
METRICS = {"detect": "map50", "segment": "mask_map50", "semantic": "miou"}


@dataclass(frozen=True)
class Result:
    """What a head came to."""

    head: str
    task: str
    params: int
    first_loss: float
    last_loss: float
    score: float
    seconds: float


def yolo_levels(doc: Document, image: Node) -> list[tuple[Node, str]]:
    """YOLOv8n's backbone and neck: strides 8, 16, 32."""
    backbone = doc.add("backbone.csp_darknet", size="n")
    neck = doc.add("neck.pafpn", size="n")
    doc.connect(image, backbone)
    for level in "345":
        doc.connect(backbone, neck, f"p{level}", f"p{level}")
    return [(neck, f"n{level}") for level in "345"]


def fine_map(doc: Document, image: Node) -> list[tuple[Node, str]]:
    """ResNet-18 and CenterNet's neck: stride 4."""
    backbone = doc.add("backbone.resnet", depth=18)
    neck = doc.add("neck.deconv_neck", channels=128)
    doc.connect(image, backbone)
    doc.connect(backbone, neck, "c5")
    return [(neck, "p2")]


def finer_levels(doc: Document, image: Node) -> list[tuple[Node, str]]:
    """ResNet-18 and an FPN from P2 to P6 of 64 channels."""
    backbone = doc.add("backbone.resnet", depth=18)
    neck = doc.add("neck.fpn_p2_p6", channels=64)
    doc.connect(image, backbone)
    for level in "2345":
        doc.connect(backbone, neck, f"c{level}", f"c{level}")
    return [(neck, f"p{level}") for level in "23456"]


def two_maps(doc: Document, image: Node) -> list[tuple[Node, str]]:
    """ResNet-18's strides 4 and 8."""
    backbone = doc.add("backbone.resnet", depth=18)
    doc.connect(image, backbone)
    return [(backbone, "c2"), (backbone, "c3")]


def fpn_levels(doc: Document, image: Node) -> list[tuple[Node, str]]:
    """ResNet-18 and an FPN from P3 to P7 of 64 channels."""
    backbone = doc.add("backbone.resnet", depth=18)
    neck = doc.add("neck.fpn_p3_p7", channels=64)
    doc.connect(image, backbone)
    for level in "345":
        doc.connect(backbone, neck, f"c{level}", f"c{level}")
    return [(neck, f"p{level}") for level in "34567"]


_SOLO = {
    "feat_channels": 64, "tower_depth": 3,
    "grids": [20, 16, 12, 8, 4], "smallest": [1, 24, 40, 64, 96], "largest": [32, 48, 80, 128, 2048],
}  # fmt: skip
"""For objects of 160-pixel images."""
Levels = Callable[[Document, Node], list[tuple[Node, str]]]
HEADS: dict[str, tuple[str, Levels, dict[str, Any]]] = {
    "YOLOv3": ("head.yolov3_head", yolo_levels, {}),
    "YOLOv4": ("head.yolov4_head", yolo_levels, {}),
    "YOLOv5": ("head.yolov5_head", yolo_levels, {}),
    "YOLOv6": ("head.yolov6_head", yolo_levels, {}),
    "YOLOv8": ("head.yolov8_head", yolo_levels, {}),
    "YOLOv10": ("head.yolov10_head", yolo_levels, {}),
    "YOLO11": ("head.yolov8_head", yolo_levels, {"separable": True}),
    "YOLOX": ("head.yolox_head", yolo_levels, {}),
    "GFL": ("head.gfl_head", fpn_levels, {"tower_depth": 2, "base_size": 4}),
    "MHAF-YOLO": ("head.mhaf_head", yolo_levels, {}),
    "DAMO-YOLO": ("head.zero_head", yolo_levels, {}),
    "RTMDet": ("head.rtm_det_head", fpn_levels, {}),
    "RetinaNet": ("head.retina_net_head", fpn_levels, {"tower_depth": 2, "norm": True, "base_size": 2}),
    "FCOS": ("head.fcos_head", fpn_levels, {"tower_depth": 2}),
    "ATSS": ("head.atss_head", fpn_levels, {"tower_depth": 2, "base_size": 4}),
    "PAA": ("head.paa_head", fpn_levels, {"tower_depth": 2, "base_size": 4}),
    "EfficientDet": ("head.efficient_det_head", fpn_levels, {"base_size": 2}),
    "SSD": (
        "head.ssd_head",
        yolo_levels,
        {"boxes_per_cell": [4, 6, 4], "scales": [15, 30, 60, 90], "steps": []},
    ),
    "RT-DETR": ("head.rtdetr_head", yolo_levels, {"layers": 3, "queries": 50}),
    "CenterNet": ("head.center_net_head", fine_map, {}),
    "YOLO-seg": ("head.yolo_seg_head", yolo_levels, {}),
    "SOLO": ("head.solo_head", finer_levels, _SOLO),
    "SOLO decoupled": ("head.solo_head", finer_levels, {**_SOLO, "decoupled": True}),
    "FCN": ("head.fcn_head", fine_map, {"dropout": 0.0}),
    "LR-ASPP": ("head.lraspp_head", two_maps, {}),
}


def build(head: str) -> Compiled:
    """The head on a small network, fresh weights."""
    component, levels, params = HEADS[head]
    doc = Document.new(head, library().catalogue)
    image = doc.add("io.image_input", height=SIDE, width=SIDE)
    node = doc.add(component, num_classes=CLASSES, **params)
    for source, port in levels(doc, image):
        doc.connect(source, node, port)
    return compile_document(doc.data)


def overfit(head: str, steps: int, seed: int = 0) -> Result:
    """Trains on four images without augmentation and evaluates on the same."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    compiled = build(head)
    task = compiled.heads[0].task
    drawn = CLASSES - 1 if task == "semantic" else CLASSES  # in class maps the background is one
    data = DataSettings(kind="shapes", classes=drawn, train_images=IMAGES, val_images=IMAGES)
    splits = load_dataset(data, (SIDE, SIDE), task, TrainingSettings(flip=0, jitter=0))
    batch = next(iter(make_loader(splits.train, task, IMAGES, shuffle=False)))
    images, targets = batch.to(torch.device("cpu"))
    optimizer = torch.optim.AdamW(compiled.model.parameters(), lr=2e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.2)
    losses: list[float] = []
    compiled.train()
    for _ in range(steps):
        loss = _loss(compiled, images, targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(compiled.model.parameters(), 10)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    # Batch statistics of these four images, so that eval measures the head and not how far running averages have come.
    _settle(compiled, images)
    splits.train.augment = None  # type: ignore[attr-defined]  # validation reads the true masks of unchanged images
    loader = make_loader(splits.train, task, IMAGES, shuffle=False)
    metrics = evaluate(compiled.model, loader, task, splits.class_names, torch.device("cpu"))
    params = sum(p.numel() for p in compiled.model.parameters())
    value = float(metrics[METRICS[task]])
    return Result(head, task, params, losses[0], losses[-1], value, round(time.perf_counter() - began, 1))


def _loss(compiled: Compiled, images: Tensor, targets: Any) -> Tensor:
    assert compiled.train_model is not None
    parts = compiled.heads[0].module.loss(compiled.train_model(images)[0], targets)  # type: ignore[operator]
    return torch.stack(list(parts.values())).sum()


@torch.no_grad()
def _settle(compiled: Compiled, images: Tensor) -> None:
    for part in compiled.model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # a plain average
    assert compiled.train_model is not None
    compiled.train_model(images)


def table(results: list[Result]) -> str:
    """Markdown."""
    lines = ["| head | task | parameters | first loss | last loss | score |", "|---|---|--:|--:|--:|--:|"]
    for r in results:
        values = (r.head, r.task, f"{r.params:,}", f"{r.first_loss:.2f}", f"{r.last_loss:.2f}", f"{r.score:.3f}")
        lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


def page(results: list[Result], steps: int) -> str:
    """The page of the docs."""
    return (
        "# Every head learns\n\nWritten by `python benchmarks/overfit_heads.py --write docs/heads.md`. Each head on a "
        f"small network overfits {IMAGES} drawn images of {SIDE} x {SIDE} pixels in {steps} steps of AdamW on the CPU. "
        "The score is mAP50 of the same images, of masks for segmenters, and mean IoU for class maps.\n\n"
        + table(results)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", nargs="*", default=list(HEADS), choices=list(HEADS))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help="a page to write the table to")
    args = parser.parse_args()
    results = []
    for head in args.heads:
        results.append(overfit(head, args.steps))
        if not args.json:
            print(table(results[-1:]).splitlines()[-1], f"{results[-1].seconds:.0f} s", flush=True)
    if args.json:
        print(json.dumps([asdict(r) for r in results]))
    if args.write:
        args.write.write_text(page(results, args.steps), encoding="utf-8")
    if below := [r.head for r in results if r.score <= BARS[r.task]]:
        raise SystemExit(f"below the bar: {', '.join(below)}")


if __name__ == "__main__":
    main()
