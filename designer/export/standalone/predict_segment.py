"""Finds objects and their masks: python predict.py IMAGE [IMAGE ...] [--weights FILE].

Drawn copies are saved beside the images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import write_png
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from files import named
from images import letterbox
from model import CLASS_NAMES, IMAGE_SIZE

THRESHOLD = 0.25  # lowest score shown


def find(model: torch.nn.Module, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes [N, 4] in pixels of the image, scores [N], class indices [N] and masks bool [N, H, W]."""
    fitted, scale, left, top = letterbox(image, IMAGE_SIZE)
    with torch.no_grad():
        output = model(fitted[None].float() / 255)
    if output[2].ndim == 2:  # boxes, scores, labels and masks after suppression
        boxes, scores, labels, masks = (t[0] for t in output)
    else:  # boxes, a score per class, coefficients and prototypes: the best class of each, a mask for the best 100
        boxes, scores, coefficients, prototypes = (t[0] for t in output)
        scores, labels = scores.max(-1)
        best = scores.topk(min(100, len(scores))).indices
        boxes, scores, labels = boxes[best], scores[best], labels[best]
        masks = (coefficients[best] @ prototypes.flatten(1)).sigmoid().unflatten(1, prototypes.shape[1:])
    keep = (scores >= THRESHOLD) & (labels >= 0)
    boxes = (boxes[keep] - boxes.new_tensor([left, top, left, top])) / scale
    return boxes, scores[keep], labels[keep], enlarge(masks[keep], image.shape[-2:], scale, left, top)


def enlarge(masks: Tensor, size: torch.Size, scale: float, left: int, top: int) -> Tensor:
    """Masks [N, h, w] over the model's input to bool [N, H, W] over the image."""
    height, width = (max(1, round(side * scale)) for side in size)
    whole = F.interpolate(masks[:, None], IMAGE_SIZE, mode="bilinear")
    part = whole[..., top : top + height, left : left + width]
    return F.interpolate(part, size, mode="bilinear")[:, 0] >= 0.5


def main() -> None:
    model, images = named(__doc__)
    for path, image in images:
        boxes, scores, labels, masks = find(model, image)
        captions = [f"{CLASS_NAMES[k]} {s:.2f}" for k, s in zip(labels.tolist(), scores.tolist(), strict=True)]
        drawn = image
        if captions:
            drawn = draw_segmentation_masks(image, masks, alpha=0.5)
            drawn = draw_bounding_boxes(drawn, boxes, captions, width=2, fill_labels=True)
        target = path.with_name(f"{path.stem}-found.png")
        write_png(drawn, str(target))
        print(f"{path}: {', '.join(captions) or 'nothing'} -> {target}")


if __name__ == "__main__":
    main()
