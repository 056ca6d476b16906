"""What differs between tasks: how a model is measured, and by which figure the best checkpoint is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from designer.data.items import Batch
from designer.data.masks import found_runs
from designer.data.transforms import class_map_of
from designer.engine.compile import Compiled
from designer.graph.errors import GraphError
from designer.train.metrics import CocoMap, MeanIoU, TopK, real
from designer.train.processes import Processes
from nodes.post.mask_nms import MaskNMS
from nodes.post.nms import NMS
from nodes.post.select import DetectionRows
from nodes.types import Detections, MaskDetections, MaskPredictions, Predictions, Structured

BEST = {"detect": "map", "segment": "mask_map", "semantic": "miou", "classify": "top1"}
"""The metric that decides which checkpoint is the best."""


def task_of(compiled: Compiled) -> str:
    """The task of a document's heads. Raises GraphError when there is none, or when they differ."""
    tasks = {head.task for head in compiled.heads}
    if not tasks:
        raise GraphError(
            "The model has no head, so it cannot be trained. Add a detection, segmentation or classification head."
        )
    if len(tasks) > 1:
        raise GraphError(f"The heads have different tasks ({', '.join(sorted(tasks))}). Train one task at a time.")
    return tasks.pop()


def detect(model: nn.Module, images: Tensor) -> Detections | MaskDetections:
    """What a detector or segmenter in eval mode finds; predictions without an NMS node behind them go through one.

    Where the model ends in `DetectionRows`, what went into it counts.

    Raises:
        GraphError: when the model gives neither predictions nor detections.
    """
    before: list[Any] = []
    hooks = [
        part.register_forward_pre_hook(lambda _, args: before.append(args[0]))
        for part in model.modules()
        if isinstance(part, DetectionRows)
    ]
    try:
        output = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    values = [*before, *([output] if isinstance(output, (Tensor, Structured)) else output)]
    for value in values:
        if isinstance(value, (Detections, MaskDetections)):
            return value
    for value in values:
        if isinstance(value, Predictions):
            return NMS()(value)
        if isinstance(value, MaskPredictions):
            return MaskNMS(tuple(images.shape[-2:]))(value)
    raise GraphError("The model gives neither predictions nor detections. Wire its head to an NMS node, or to nothing.")


@torch.no_grad()
def evaluate(
    model: nn.Module, loader: DataLoader[Any], task: str, class_names: list[str], device: torch.device,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
    on_quality: Callable[[dict[str, Any], dict[str, Any]], None] = lambda quality, values: None,
    on_skipped: Callable[[list[str]], None] = lambda names: None,
    processes: Processes | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Metrics of a model in eval mode over a loader, as its task's measure names them, and `images`.

    Args:
        model: ends in predictions, detections or the scores of classes.
        loader: gives batches that are not augmented.
        task: `detect`, `segment`, `semantic` or `classify`.
        class_names: of the labels.
        device: where the model is.
        on_batch: is told how many batches are done and how many there are.
        on_quality: is given the figures of each class, confusion matrix and curves, and the metrics.
        on_skipped: is given the names of the images that cannot be used, and are not measured.
        processes: those that share the loader's batches; the first of them puts together what they found.
    """
    group = processes or Processes()
    training = model.training
    model.eval()
    measure = make_measure(task, class_names)
    images, skipped = 0, list[str]()
    total = len(loader)
    batch: Batch
    for done, batch in enumerate(loader, 1):
        if batch.items:
            inputs, targets = batch.to(device)
            images += len(batch.items)
            if isinstance(measure, TopK):
                measure.add(first_tensor(model(inputs)), targets)
            elif isinstance(measure, MeanIoU):
                likely = first_tensor(model(inputs))
                for probabilities, item in zip(likely, batch.items, strict=True):
                    found = class_map_of(probabilities, item.fit, tuple(batch.images.shape[-2:]))  # type: ignore[arg-type]
                    measure.add(found, item.true_classes)
            else:
                _add_detections(measure, detect(model, inputs), batch)
        skipped += batch.skipped
        on_batch(done, total)
    model.train(training)
    values: dict[str, Any] = {}
    if shares := group.gather((measure, images, skipped)):
        for other, _, _ in shares[1:]:
            shares[0][0].join(other)  # type: ignore[arg-type]
        measure = shares[0][0]
        values = {**measure.compute(), "images": sum(count for _, count, _ in shares)}
        on_skipped([name for _, _, names in shares for name in names])
        on_quality(measure.quality(), values)
    return group.agree(values)


def make_measure(task: str, class_names: list[str]) -> CocoMap | TopK | MeanIoU:
    """What measures a model of a task."""
    if task == "classify":
        return TopK(class_names)
    return MeanIoU(class_names) if task == "semantic" else CocoMap(class_names, masks=task == "segment")


def first_tensor(output: Any) -> Tensor:
    """What a classifier or a semantic segmenter gives: its probabilities, the first of several outputs."""
    return output[0] if isinstance(output, tuple) else output


def _add_detections(measure: CocoMap, found: Detections | MaskDetections, batch: Batch) -> None:
    for i, item in enumerate(batch.items):
        boxes, scores, labels = real(found, i)
        masks = None
        if isinstance(found, MaskDetections):
            chosen = found.masks[i][found.labels[i] >= 0]
            masks = item.true_runs, found_runs(chosen, item.fit, tuple(batch.images.shape[-2:]))  # type: ignore[arg-type]
        # Truth in validation is not augmented, so item.labels belong to item.true_boxes.
        size = (item.fit.height, item.fit.width)
        found_objects = item.fit.undo(boxes), scores, labels.long()
        measure.add(size, item.true_boxes, item.labels, *found_objects, masks, item.true_areas, item.crowds)
