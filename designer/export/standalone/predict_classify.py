"""Classifies images: python predict.py IMAGE [IMAGE ...] [--weights FILE]."""

from __future__ import annotations

import torch
from torchvision.transforms import v2

from files import named
from model import CLASS_NAMES, IMAGE_SIZE

FIT = v2.Compose([v2.Resize(max(IMAGE_SIZE), antialias=True), v2.CenterCrop(list(IMAGE_SIZE))])


def main() -> None:
    model, images = named(__doc__)
    for path, image in images:
        with torch.no_grad():
            likely = model(FIT(image)[None].float() / 255)[0]
        best = likely.topk(min(5, len(CLASS_NAMES)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        print(f"{path}: " + ", ".join(f"{CLASS_NAMES[k]} {p:.3f}" for k, p in pairs))


if __name__ == "__main__":
    main()
