"""From an image file to a model's input: letterbox or crop, flip and colour jitter, by torchvision's v2 transforms."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from designer.graph.training import TrainingSettings

PAD = 114
"""Grey of the letterbox's bars, the value that the YOLO family pads with."""

PIXELS = 2**25
"""Pixels of maps that are enlarged at a time: 128 MB of float32."""

YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""RGB to brightness and two chroma axes."""


class Fit(NamedTuple):
    """How an image was fitted: `scale`, then bars `left` and `top` in pixels; `height` and `width` of the original."""

    scale: float
    left: int
    top: int
    height: int
    width: int

    def undo(self, boxes: Tensor) -> Tensor:
        """Boxes [..., 4] from pixels of the model's input to pixels of the original image, clipped to it."""
        shift = boxes.new_tensor([self.left, self.top, self.left, self.top])
        limit = boxes.new_tensor([self.width, self.height, self.width, self.height])
        return ((boxes - shift) / self.scale).clamp(min=0).minimum(limit)

    def undo_masks(self, masks: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities [N, h, w] over the model's input of `size` to those [N, height, width] of the original."""
        new = (max(1, round(self.height * self.scale)), max(1, round(self.width * self.scale)))
        whole = F.interpolate(masks[:, None], size, mode="bilinear")
        part = whole[..., self.top : self.top + new[0], self.left : self.left + new[1]]
        return F.interpolate(part, (self.height, self.width), mode="bilinear")[:, 0]


def class_map_of(likely: Tensor, fit: Fit, size: tuple[int, int]) -> Tensor:
    """The most likely class of each pixel of the original image, uint8 [height, width].

    Args:
        likely: [K, h, w] probabilities over the model's input.
        fit: how the image was fitted to the input.
        size: height and width of the input.
    """
    # A few classes at a time: all of them at the size of a large photo would be gigabytes.
    step = max(1, PIXELS // max(fit.height * fit.width, size[0] * size[1]))
    best: Tensor | None = None
    classes = torch.zeros(fit.height, fit.width, dtype=torch.uint8)
    for start in range(0, len(likely), step):
        value, index = fit.undo_masks(likely[start : start + step].float().cpu(), size).max(0)
        better = torch.ones_like(value, dtype=torch.bool) if best is None else value > best
        classes = torch.where(better, (index + start).to(torch.uint8), classes)
        best = value if best is None else torch.maximum(best, value)
    return classes


def scale_to_fit(image: tuple[int, int], size: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    """The factor that makes a height and width fit into a size, and what they become."""
    scale = min(size[0] / image[0], size[1] / image[1])
    return scale, (max(1, round(image[0] * scale)), max(1, round(image[1] * scale)))


def resized_to_fit(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An image uint8 [3, H, W] scaled to fit `size` (height, width), without bars."""
    _, new = scale_to_fit((image.shape[-2], image.shape[-1]), size)
    return image if new == tuple(image.shape[-2:]) else functional.resize(image, list(new), antialias=True)


def letterbox(image: Tensor, boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Fit]:
    """Scales an image to fit `size` (height, width) and fills up with grey bars on both sides.

    Args:
        image: uint8 [3, H, W].
        boxes: [N, 4] corners in pixels.
        size: height and width wanted.
    """
    height, width = image.shape[-2:]
    scale, new = scale_to_fit((height, width), size)
    left, top = (size[1] - new[1]) // 2, (size[0] - new[0]) // 2
    if new != (height, width):
        image = functional.resize(image, list(new), antialias=True)
    image = functional.pad(image, [left, top, size[1] - new[1] - left, size[0] - new[0] - top], fill=[float(PAD)])
    shift = boxes.new_tensor([left, top, left, top])
    return image, boxes * scale + shift, Fit(scale, left, top, height, width)


def letterbox_masks(masks: Tensor, fit: Fit, size: tuple[int, int]) -> Tensor:
    """Masks uint8 [N, H, W] moved as `letterbox` moved their image; the bars are 0."""
    _, new = scale_to_fit((fit.height, fit.width), size)
    if not len(masks):
        return masks.new_zeros(0, *size)
    if new != (fit.height, fit.width):
        masks = functional.resize_mask(masks, list(new))
    bars = [fit.left, fit.top, size[1] - new[1] - fit.left, size[0] - new[0] - fit.top]
    return functional.pad(masks, bars)


def classification_train(size: tuple[int, int], settings: TrainingSettings) -> v2.Transform:
    """Random crop, flips, rotation, colour jitter. Without a crop, the middle as for validation."""
    steps: list[v2.Transform] = [classification_eval(size)]
    if settings.crop_area < 1:
        steps = [v2.RandomResizedCrop(list(size), scale=(settings.crop_area, 1.0), antialias=True)]
    steps += [v2.RandomHorizontalFlip(settings.flip), v2.RandomVerticalFlip(settings.flip_vertical)]
    if settings.rotate or settings.shear:
        shear = [-settings.shear, settings.shear] * 2 if settings.shear else None
        steps.append(v2.RandomAffine(settings.rotate, shear=shear, fill=PAD))
    return v2.Compose([*steps, *colour(settings.jitter)])


def classification_eval(size: tuple[int, int]) -> v2.Transform:
    """The shorter side to fit, the middle cut out."""
    return v2.Compose([v2.Resize(max(size), antialias=True), v2.CenterCrop(list(size))])


class ColourChange(v2.Transform):
    """Brightness, contrast, saturation and hue changed by chance, as one matrix on the colours of each pixel.

    Hue turns the chroma plane of YIQ and saturation stretches it. It took 2.2 ms at 640 x 640, where
    the way over HSV (ColorJitter) took 42 ms.

    Args:
        strength: 1 changes brightness and contrast by up to 40 %, saturation by 70 %, hue by 3 % of a turn.
    """

    _transformed_types = (tv_tensors.Image, v2.functional.is_pure_tensor)

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.limits = torch.tensor([0.4, 0.4, 0.7, 0.03]) * strength

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        brightness, contrast, saturation, turn = ((torch.rand(4) * 2 - 1) * self.limits).tolist()
        return {"factors": (1 + brightness, 1 + contrast, 1 + saturation, turn)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return tv_tensors.wrap(changed(inpt.as_subclass(Tensor), *params["factors"]), like=inpt)


def changed(image: Tensor, brightness: float, contrast: float, saturation: float, turn: float) -> Tensor:
    """An image uint8 [3, H, W] with factors on brightness, contrast and saturation, and its hue turned; grey stays."""
    angle = 2 * math.pi * turn
    c, s = saturation * math.cos(angle), saturation * math.sin(angle)
    chroma = torch.tensor([[1.0, 0, 0], [0, c, -s], [0, s, c]])
    matrix = brightness * contrast * (torch.linalg.inv(YIQ) @ chroma @ YIQ)
    offset = 127.5 * (1 - contrast)  # contrast is stretched around the middle of the range
    flat = image.reshape(3, -1).to(torch.float32)
    out = torch.addmm(torch.full((3, 1), offset + 0.5), matrix, flat)
    return out.clamp_(0.0, 255.0).to(torch.uint8).reshape(image.shape)


def colour(strength: float) -> list[v2.Transform]:
    """Changes of brightness, contrast, saturation and hue."""
    return [ColourChange(strength)] if strength else []


def as_boxes(boxes: Tensor, size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    """Marks [N, 4] corners as boxes of an image of this size, so that v2 transforms move them along."""
    return tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size)


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float 0..1."""
    return images.to(torch.float32) / 255
