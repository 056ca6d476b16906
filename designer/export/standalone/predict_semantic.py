"""Tells the class of each pixel: python predict.py IMAGE [IMAGE ...] [--weights FILE].

A coloured copy and the classes are saved beside the images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import write_png
from torchvision.utils import draw_segmentation_masks

from files import named
from images import letterbox
from model import CLASS_NAMES, IMAGE_SIZE


def classes_of(model: torch.nn.Module, image: Tensor) -> Tensor:
    """The class of each pixel of the image, uint8 [H, W]."""
    fitted, scale, left, top = letterbox(image, IMAGE_SIZE)
    with torch.no_grad():
        likely = model(fitted[None].float() / 255)  # [1, K, h, w] probabilities
    height, width = (max(1, round(side * scale)) for side in image.shape[-2:])
    whole = F.interpolate(likely, IMAGE_SIZE, mode="bilinear")
    part = whole[..., top : top + height, left : left + width]
    return F.interpolate(part, image.shape[-2:], mode="bilinear")[0].argmax(0).to(torch.uint8)


def main() -> None:
    model, images = named(__doc__)
    for path, image in images:
        classes = classes_of(model, image)
        shown = [i for i, title in enumerate(CLASS_NAMES) if title != "background"]
        masks = torch.stack([classes == i for i in shown])
        drawn = draw_segmentation_masks(image, masks, alpha=0.5) if masks.any() else image
        target = path.with_name(f"{path.stem}-found.png")
        write_png(drawn, str(target))
        write_png(classes[None], str(path.with_name(f"{path.stem}-classes.png")))
        shares = classes.flatten().bincount(minlength=len(CLASS_NAMES)) / classes.numel()
        said = ", ".join(f"{t} {s:.1%}" for t, s in zip(CLASS_NAMES, shares.tolist(), strict=False) if s)
        print(f"{path}: {said} -> {target}")


if __name__ == "__main__":
    main()
