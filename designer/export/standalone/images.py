"""How an image is read, and fitted to the model's size without being distorted."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional


def read(path: str | Path) -> Tensor:
    """An image as RGB, uint8 [3, H, W]. Raises OSError with its name where it cannot be read."""
    return functional.pil_to_tensor(opened(path).convert("RGB"))


def opened(path: str | Path) -> Image.Image:
    """An image as its file has it. Raises OSError with its name where it cannot be read."""
    try:
        image = Image.open(path)
        image.load()
        return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged or no image"
        raise OSError(f"{path} cannot be read: {reason}.") from None


def letterbox(image: Tensor, size: tuple[int, int]) -> tuple[Tensor, float, int, int]:
    """Fits uint8 [3, H, W] into `size` (height, width) with grey bars; also its scale and the left and top bars."""
    height, width = image.shape[-2:]
    scale = min(size[0] / height, size[1] / width)
    new = (max(1, round(height * scale)), max(1, round(width * scale)))
    left, top = (size[1] - new[1]) // 2, (size[0] - new[0]) // 2
    if new != (height, width):
        image = functional.resize(image, list(new), antialias=True)
    bars = [left, top, size[1] - new[1] - left, size[0] - new[0] - top]
    return functional.pad(image, bars, fill=[114.0]), scale, left, top
