"""Pixels as training sees them, from any image file that Pillow opens. Imports no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that are broken or no images."""
TURN_NOTE = 0x0112
"""The EXIF tag by which a camera says how the picture is to be turned."""


def as_rgb(image: Image.Image) -> Image.Image:
    """Red, green and blue, 8 bits each.

    16 bits become 8 over their whole range: Pillow's own way would make everything above 255 white. What is transparent
    shows the colour below. A camera's note on how to turn the picture is not followed, so that pixels and labels lie as
    in the file.
    """
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
        image = Image.fromarray(grey.astype(np.uint8))
    return image.convert("RGB")


def read_rgb(path: Path, side: int = 0) -> Image.Image:
    """An image file as red, green and blue.

    Args:
        path: the file.
        side: a longest side that is enough, by which a JPEG is decoded faster; 0 for all pixels.

    Raises:
        OSError, ValueError, SyntaxError, DecompressionBombError: see `BROKEN`.
    """
    with Image.open(path) as image:
        if side:
            image.draft("RGB", (side, side))
        return as_rgb(image)


def is_turned(image: Image.Image) -> bool:
    """Whether the camera's note says that the picture is not upright as it is stored."""
    return int(image.getexif().get(TURN_NOTE, 1)) not in (0, 1)
