"""Trains on a folder with one sub-folder a class: python train.py FOLDER [--epochs N] [--batch N]."""

from __future__ import annotations

import torch
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from images import read
from loop import settings, train
from model import CLASS_NAMES, IMAGE_SIZE


def main() -> None:
    chosen = settings("Trains the model on a folder with one sub-folder a class.", "folder")
    crop = v2.RandomResizedCrop(list(IMAGE_SIZE), scale=(0.5, 1.0), antialias=True)
    image = [v2.ToImage(), crop, v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)]
    try:
        data = ImageFolder(str(chosen.folder), v2.Compose(image), loader=read)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SystemExit(f"{chosen.folder} needs a sub-folder with images for each class: {error}") from None
    if len(data.classes) > len(CLASS_NAMES):
        raise SystemExit(f"{chosen.folder} has {len(data.classes)} classes, the model {len(CLASS_NAMES)}.")
    train(data, chosen)


if __name__ == "__main__":
    main()
