"""Drawn shapes: data without files or network, for a first run, for tests and for benchmarks.

Image i of a split is a pure function of (seed, split, i), so any process can make it and no two splits share one.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

NAMES = ("circle", "square", "triangle", "star", "cross", "ring")
"""Classes in order; the first `classes` of them are drawn."""

_SPLITS = {"train": 0, "val": 1}


def draw(
    index: int, size: tuple[int, int], *, split: str = "train", seed: int = 0, classes: int = 3, most: int = 4
) -> tuple[np.ndarray, list[tuple[float, float, float, float]], list[int], np.ndarray]:
    """One image with its boxes and labels.

    Args:
        index: number of the image.
        size: height and width in pixels.
        split: `train` or `val`; the two never give the same image.
        seed: another seed, another data set.
        classes: how many of `NAMES` are drawn, 1 to 6.
        most: objects in an image, 1 to this many.

    Returns:
        RGB image uint8 [H, W, 3], boxes (x1, y1, x2, y2) in pixels exact to the drawn shape, labels, and masks
        uint8 [objects, H, W]: a shape, less what was drawn over it.
    """
    random = np.random.default_rng((seed, _SPLITS[split], index))
    height, width = size
    image = Image.fromarray(_background(random, height, width))
    boxes: list[tuple[float, float, float, float]] = []
    labels: list[int] = []
    masks = np.zeros((0, height, width), np.uint8)
    for _ in range(int(random.integers(1, most + 1))):
        label = int(random.integers(classes))
        mask = _place(random, label, height, width, boxes)
        if mask is None:
            continue
        drawn = np.asarray(mask)
        ys, xs = np.nonzero(drawn)
        boxes.append((float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)))
        labels.append(label)
        masks = np.concatenate((masks * ~drawn, drawn[None].astype(np.uint8)))
        image.paste(tuple(int(c) for c in random.integers(0, 256, 3)), mask=mask)
    noise = random.normal(0, random.uniform(2, 12), (height, width, 1))
    pixels = np.clip(np.asarray(image, dtype=np.float32) + noise, 0, 255).astype(np.uint8)
    return pixels, boxes, labels, masks


def draw_one(
    index: int, size: tuple[int, int], *, split: str = "train", seed: int = 0, classes: int = 3
) -> tuple[np.ndarray, int]:
    """One image with a single shape, and its label: the classification form."""
    pixels, _, labels, _ = draw(index, size, split=split, seed=seed + 1_000_003, classes=classes, most=1)
    return pixels, labels[0]


def _background(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A smooth two-colour gradient in a random direction."""
    a, b = random.integers(0, 256, (2, 3))
    angle = random.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    t = np.clip((x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle) + 0.5, 0, 1)[..., None]
    return (a * (1 - t) + b * t).astype(np.uint8)


def _place(
    random: np.random.Generator, label: int, height: int, width: int, boxes: list[tuple[float, float, float, float]]
) -> Image.Image | None:
    """The mask of a shape somewhere that covers no more than a tenth of any other; None when no place was found."""
    shorter = min(height, width)
    for _ in range(20):
        radius = shorter * random.uniform(0.07, 0.24)
        x, y = random.uniform(radius, width - radius), random.uniform(radius, height - radius)
        box = (x - radius, y - radius, x + radius, y + radius)
        if all(_overlap(box, other) < 0.1 for other in boxes):
            mask = Image.new("1", (width, height))
            _draw_shape(ImageDraw.Draw(mask), label, x, y, radius, random.uniform(0, 2 * math.pi))
            return mask
    return None


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Shared area over the smaller area."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(w, 0) * max(h, 0) / smaller


def _draw_shape(draw: ImageDraw.ImageDraw, label: int, x: float, y: float, radius: float, turn: float) -> None:
    name = NAMES[label]
    if name in ("circle", "ring"):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
        if name == "ring":
            inner = radius * 0.55
            draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=0)
        return
    radii = {
        "square": [1.0] * 4,
        "triangle": [1.0] * 3,
        "star": [1.0, 0.42] * 5,
        # Twelve corners of a plus sign: arms end at (+-1, +-0.33), notches at (+-0.33, +-0.33).
        "cross": [math.hypot(0.95, 0.3), math.hypot(0.3, 0.3), math.hypot(0.95, 0.3)] * 4,
    }[name]
    if name == "cross":
        spread = math.atan2(0.3, 0.95)
        angles = [q * math.pi / 2 + d for q in range(4) for d in (spread, math.pi / 4, math.pi / 2 - spread)]
    else:
        angles = [2 * math.pi * i / len(radii) for i in range(len(radii))]
    points = [
        (x + radius * r * math.cos(a + turn), y + radius * r * math.sin(a + turn))
        for r, a in zip(radii, angles, strict=True)
    ]
    draw.polygon(points, fill=1)
