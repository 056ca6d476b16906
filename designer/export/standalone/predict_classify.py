"""Classifies images: python predict.py IMAGE [IMAGE ...] [--weights FILE]."""

from __future__ import annotations

import argparse

import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from model import CLASS_NAMES, IMAGE_SIZE, load

FIT = v2.Compose([v2.Resize(max(IMAGE_SIZE), antialias=True), v2.CenterCrop(list(IMAGE_SIZE))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--weights", help="such as trained.safetensors; by default this folder's")
    chosen = parser.parse_args()
    model = load(chosen.weights)
    for name in chosen.images:
        image = functional.pil_to_tensor(Image.open(name).convert("RGB"))
        with torch.no_grad():
            likely = model(FIT(image)[None].float() / 255)[0]
        best = likely.topk(min(5, len(CLASS_NAMES)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        print(f"{name}: " + ", ".join(f"{CLASS_NAMES[k]} {p:.3f}" for k, p in pairs))


if __name__ == "__main__":
    main()
