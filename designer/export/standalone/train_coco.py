"""Trains on your own images: python train.py IMAGES_FOLDER ANNOTATIONS.json [--epochs N] [--batch N]."""

from __future__ import annotations

from coco import Coco, collate
from loop import settings, train
from model import CLASS_NAMES, IMAGE_SIZE, TASK


def main() -> None:
    chosen = settings("Trains the model on images with COCO annotations.", "images", "annotations")
    data = Coco(chosen.images, chosen.annotations, IMAGE_SIZE, masks=TASK == "segment")
    if len(data.class_names) > len(CLASS_NAMES):
        raise SystemExit(f"{chosen.annotations} has {len(data.class_names)} classes, the model {len(CLASS_NAMES)}.")
    train(data, chosen, collate)


if __name__ == "__main__":
    main()
