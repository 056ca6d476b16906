"""Finds objects in images: python predict.py IMAGE [IMAGE ...] [--weights FILE]. Drawn copies are saved beside them."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.io import write_png
from torchvision.utils import draw_bounding_boxes

from files import named
from images import letterbox
from model import CLASS_NAMES, IMAGE_SIZE

THRESHOLD = 0.25  # lowest score shown


def find(model: torch.nn.Module, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes [N, 4] in pixels of the image, scores [N] and class indices [N]."""
    fitted, scale, left, top = letterbox(image, IMAGE_SIZE)
    with torch.no_grad():
        output = model(fitted[None].float() / 255)
    if len(output) == 3:  # boxes, scores, labels after NMS
        boxes, scores, labels = (t[0] for t in output)
    else:  # boxes and a score per class: keep the best class of each box
        boxes, scores = output[0][0], output[1][0]
        scores, labels = scores.max(-1)
    keep = (scores >= THRESHOLD) & (labels >= 0)
    boxes = (boxes[keep] - boxes.new_tensor([left, top, left, top])) / scale
    return boxes, scores[keep], labels[keep]


def main() -> None:
    model, images = named(__doc__)
    for path, image in images:
        boxes, scores, labels = find(model, image)
        captions = [f"{CLASS_NAMES[k]} {s:.2f}" for k, s in zip(labels.tolist(), scores.tolist(), strict=True)]
        drawn = draw_bounding_boxes(image, boxes, captions, width=2, fill_labels=True) if captions else image
        target = path.with_name(f"{path.stem}-found.png")
        write_png(drawn, str(target))
        print(f"{path}: {', '.join(captions) or 'nothing'} -> {target}")


if __name__ == "__main__":
    main()
