"""What the model makes of the first validation images, drawn after each evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from designer.data.transforms import to_float
from designer.train.metrics import real
from designer.train.plots import draw_classes, draw_found, save_grid
from designer.train.tasks import detect, first_tensor
from nodes.types import Detections, MaskDetections

SAMPLES, SIDE = 8, 320


@torch.no_grad()
def save_samples(
    model: nn.Module,
    dataset: Dataset[Any],
    task: str,
    names: list[str],
    device: torch.device,
    path: Path,
    count: int = SAMPLES,
) -> Path | None:
    """Draws predictions on the first images of a data set; None for classes of images, or without images.

    Classes of pixels are drawn beside the true ones: truth on the left, prediction on the right.
    """
    if task == "classify":
        return None
    first = [dataset[i] for i in range(min(count, len(dataset)))]  # type: ignore[arg-type]
    items = [item for item in first if item.image is not None]
    if not items:
        return None
    training = model.training
    model.eval()
    images = to_float(torch.stack([i.image for i in items])).to(device)
    if task == "semantic":
        likely = first_tensor(model(images)).argmax(1).to("cpu", torch.uint8)
        model.train(training)
        pairs = [
            torch.cat([draw_classes(item.image, classes, names, SIDE // 2) for classes in (item.classes, found)], -1)
            for item, found in zip(items, likely, strict=True)
        ]
        return save_grid(pairs, path, columns=2)
    found = detect(model, images)
    model.train(training)
    drawn = [
        draw_found(item.image, *real(found, i), names, side=SIDE, masks=_masks(found, i, item.image.shape[-2:]))
        for i, item in enumerate(items)
    ]
    return save_grid(drawn, path)


def _masks(found: Detections | MaskDetections, index: int, size: torch.Size) -> Tensor | None:
    """Masks bool [N, H, W] of one image at the size of the model's input."""
    if not isinstance(found, MaskDetections):
        return None
    masks = found.masks[index][found.labels[index] >= 0].float().cpu()
    return F.interpolate(masks[:, None], size, mode="bilinear")[:, 0] >= 0.5
