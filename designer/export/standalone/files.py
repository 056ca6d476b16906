"""The files that a command names: images and weights. What is wrong with one is said in a line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from images import read
from model import load

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
WRITTEN = ("-found", "-classes")  # ends of the names of what predict.py writes


def load_model(weights: Path | None = None) -> Any:
    """The model of this folder, of whichever class, with its weights or those of another file."""
    try:
        return load(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise SystemExit(f"{weights or 'weights.safetensors'} holds no weights of this model: {reason}") from None


def named(what: str) -> tuple[nn.Module, Iterator[tuple[Path, Tensor]]]:
    """The command line of predict.py: the model, and each image that is named or in a folder that is named."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="a file, or a folder of images")
    parser.add_argument("--weights", type=Path, help="such as trained.safetensors; by default this folder's")
    chosen = parser.parse_args()
    return load_model(chosen.weights), _each(chosen.images)


def _each(paths: list[Path]) -> Iterator[tuple[Path, Tensor]]:
    """Images that cannot be read are said and passed over; at the end there is an exit code then."""
    unread = 0
    for path in paths:
        inside = sorted(p for p in path.iterdir() if _is_image(p)) if path.is_dir() else [path]
        if not inside:
            raise SystemExit(f"{path} holds no image ({', '.join(sorted(SUFFIXES))}).")
        for one in inside:
            try:
                image = read(one)
            except OSError as error:
                print(error)
                unread += 1
                continue
            yield one, image
    if unread:
        raise SystemExit(f"Not read: {unread} of the images.")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.stem.endswith(WRITTEN)
