"""Trains on images and masks of the same names, PNGs whose values are classes and 255 where ignored:
python train.py IMAGES_FOLDER MASKS_FOLDER [--epochs N] [--batch N].
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from images import letterbox, opened, read
from loop import settings, train
from model import CLASS_NAMES, IMAGE_SIZE


class Masks(Dataset[tuple[Tensor, Tensor]]):
    """Images [3, H, W] 0 to 1 and classes int64 [H, W] at the model's size, flipped half of the time."""

    def __init__(self, images: Path, masks: Path) -> None:
        there = {path.stem: path for path in images.iterdir()}
        self.pairs = [(there[mask.stem], mask) for mask in sorted(masks.glob("*.png")) if mask.stem in there]
        if not self.pairs:
            raise SystemExit(f"{masks} holds no PNG with the name of an image in {images}.")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        path, mask = self.pairs[index]
        image = read(path)
        values = torch.from_numpy(np.array(opened(mask)))[None]
        if values.ndim != 3:
            raise OSError(f"{mask} is coloured, not class indices.")
        fitted, scale, left, top = letterbox(image, IMAGE_SIZE)
        height, width = (max(1, round(side * scale)) for side in image.shape[-2:])
        small = functional.resize_image(values, [height, width], InterpolationMode.NEAREST_EXACT)
        classes = torch.full(IMAGE_SIZE, 255)
        classes[top : top + height, left : left + width] = small[0]
        if random.random() < 0.5:
            fitted, classes = fitted.flip(-1), classes.flip(-1)
        return fitted.float() / 255, classes


def main() -> None:
    chosen = settings("Trains the model on images with masks.", "images", "masks")
    data = Masks(chosen.images, chosen.masks)
    print(f"{len(data)} images; classes are {', '.join(CLASS_NAMES)}.")
    train(data, chosen)


if __name__ == "__main__":
    main()
