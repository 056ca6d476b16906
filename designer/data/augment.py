"""What training does to images so that no two epochs are alike: mosaic, affine, mixup, copy-paste, flips, colour.

Everything random is drawn from torch's generator, which the data set seeds for each image and epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from designer.data.records import Crowd
from designer.data.transforms import PAD, as_boxes, colour
from designer.graph.training import TrainingSettings

VISIBLE = 0.1
"""Least share of a box or mask that must be left after cutting or covering; below it the object is dropped."""
SMALLEST = 2.0
"""Pixels of the shortest side of a box that is kept."""


@dataclass
class Sample:
    """An image with its objects: uint8 [3, H, W], boxes [N, 4] corners in pixels, labels [N], masks uint8 [N, H, W].

    `areas` [N] are what the annotations say of an original that is not augmented, 0 where they do not; `crowds` those
    on it, with runs for outlines where masks are wanted.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    masks: Tensor | None = None
    areas: Tensor | None = None
    crowds: tuple[Crowd, ...] = ()

    def chosen(self, keep: Tensor) -> Sample:
        """With some of the objects."""
        masks = self.masks[keep] if self.masks is not None else None
        return Sample(self.image, self.boxes[keep], self.labels[keep], masks)


def affine(
    settings: TrainingSettings, fill: dict[Any, Any], interpolation: InterpolationMode = InterpolationMode.NEAREST
) -> list[v2.Transform]:
    """Rotation, shift, zoom and shear as far as they are wanted: one step or none; `fill` is what comes in by type."""
    if not (settings.rotate or settings.translate or settings.scale or settings.shear):
        return []
    move = (settings.translate, settings.translate) if settings.translate else None
    scale = (1 - settings.scale, 1 + settings.scale) if settings.scale else None
    shear = [-settings.shear, settings.shear] * 2 if settings.shear else None
    return [v2.RandomAffine(settings.rotate, move, scale, shear, interpolation, fill)]


class Augment:
    """Makes a training sample of the model's size from an image of a data set, and from others by chance.

    Args:
        settings: strengths and chances.
        size: height and width of the result.
        load: the sample at an index, each side at most that of `size`; None for a file that cannot be read.
        count: number of samples.
    """

    def __init__(
        self, settings: TrainingSettings, size: tuple[int, int], load: Callable[[int], Sample | None], count: int
    ) -> None:
        self.settings, self.size, self.load, self.count = settings, size, load, count
        steps = affine(settings, {tv_tensors.Image: PAD, tv_tensors.Mask: 0})
        # Even where nothing moves: rounding puts corners beyond the border, and such objects would be taken out below.
        steps += [v2.ClampBoundingBoxes()]
        steps += [v2.RandomHorizontalFlip(settings.flip), v2.RandomVerticalFlip(settings.flip_vertical)]
        self.crop = v2.RandomResizedCrop(list(size), scale=(settings.crop_area, 1.0), antialias=True)
        self.steps = v2.Compose([*steps, *colour(settings.jitter), v2.SanitizeBoundingBoxes(min_size=SMALLEST)])

    def __call__(self, first: Sample, epoch: int) -> Sample:
        """A sample of the wanted size; `epoch` counts from 0 and ends the mosaic in time."""
        sample = self._placed(first, epoch)
        if chance(self.settings.copy_paste) and sample.masks is not None and (other := self._other(epoch)):
            sample = paste(sample, other)
        if chance(self.settings.mixup) and (other := self._other(epoch)):
            sample = mix(sample, other, float(torch.distributions.Beta(32.0, 32.0).sample()))
        moved: dict[str, Any] = {
            "image": tv_tensors.Image(sample.image),
            "boxes": as_boxes(sample.boxes, self.size),
            "labels": sample.labels,
        }
        if sample.masks is not None:
            moved["masks"] = tv_tensors.Mask(sample.masks)
        plain = {k: v.as_subclass(Tensor) for k, v in self.steps(moved).items()}
        return Sample(plain["image"], plain["boxes"], plain["labels"], plain.get("masks"))

    def _other(self, epoch: int) -> Sample | None:
        found = self.load(below(self.count))
        return self._placed(found, epoch) if found else None

    def _cropped(self, first: Sample) -> Sample:
        place = self.crop.make_params([first.image])
        return cropped(first, (place["top"], place["left"], place["height"], place["width"]), self.size)

    def _placed(self, first: Sample, epoch: int) -> Sample:
        """The image between grey bars, a part of it that fills the input, or in a mosaic with three others."""
        last = self.settings.epochs - self.settings.close_mosaic
        if (epoch >= last and self.settings.close_mosaic) or not chance(self.settings.mosaic):
            return self._cropped(first) if chance(self.settings.crop) else centred(first, self.size)
        others = [self.load(below(self.count)) for _ in range(3)]
        height, width = self.size
        middle = (round(height * between(0.25, 0.75)), round(width * between(0.25, 0.75)))
        return mosaic([first, *others], self.size, middle, [between(0.5, 1.0) for _ in range(4)])


def cropped(sample: Sample, place: tuple[int, int, int, int], size: tuple[int, int]) -> Sample:
    """A part of a sample, enlarged to `size`. Szegedy et al. 2015, Going deeper with convolutions, arXiv:1409.4842.

    Args:
        sample: what is cut.
        place: top, left, height and width of the part.
        size: height and width of the result.
    """
    top, left, height, width = place
    image = functional.resized_crop(sample.image, top, left, height, width, list(size), antialias=True)
    masks = sample.masks
    if masks is not None:
        masks = masks[:, top : top + height, left : left + width]
    part = Sample(image, sample.boxes - sample.boxes.new_tensor([left, top, left, top]), sample.labels, masks)
    kept = cut(part, (height, width))
    return on_resized(image, (height, width), kept.boxes, kept.labels, kept.masks)


def centred(sample: Sample, size: tuple[int, int]) -> Sample:
    """A sample that fits into `size`, with grey bars on both sides."""
    height, width = sample.image.shape[-2:]
    left, top = (size[1] - width) // 2, (size[0] - height) // 2
    bars = [left, top, size[1] - width - left, size[0] - height - top]
    image = functional.pad(sample.image, bars, fill=[float(PAD)])
    masks = functional.pad(sample.masks, bars) if sample.masks is not None else None
    return Sample(image, sample.boxes + sample.boxes.new_tensor([left, top, left, top]), sample.labels, masks)


def mosaic(samples: list[Sample | None], size: tuple[int, int], middle: tuple[int, int], scales: list[float]) -> Sample:
    """Four images around a point, each cut off at the border. Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934.

    Args:
        samples: top left, top right, bottom left, bottom right; None leaves a corner grey.
        size: height and width of the result.
        middle: row and column at which the four meet.
        scales: factor on each image's size.
    """
    height, width = size
    canvas = torch.full((3, height, width), PAD, dtype=torch.uint8)
    parts: list[Sample] = []
    for corner, (sample, scale) in enumerate(zip(samples, scales, strict=True)):
        if sample is None:
            continue
        sample = scaled(sample, scale)
        tall, wide = sample.image.shape[-2:]
        top = middle[0] - tall if corner < 2 else middle[0]
        left = middle[1] - wide if corner % 2 == 0 else middle[1]
        rows = slice(max(0, top), min(height, top + tall))
        columns = slice(max(0, left), min(width, left + wide))
        source = (..., slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        canvas[:, rows, columns] = sample.image[source]
        masks = None
        if sample.masks is not None:
            masks = sample.masks.new_zeros(len(sample.masks), height, width)
            masks[:, rows, columns] = sample.masks[source]
        shift = sample.boxes.new_tensor([left, top, left, top])
        parts.append(cut(Sample(canvas, sample.boxes + shift, sample.labels, masks), size))
    return joined(canvas, parts)


def cut(sample: Sample, size: tuple[int, int]) -> Sample:
    """Boxes clipped to the image; objects of which too little is left are dropped."""
    limit = sample.boxes.new_tensor([size[1], size[0], size[1], size[0]])
    clipped = sample.boxes.clamp(min=0).minimum(limit)
    before, after = sample.boxes[:, 2:] - sample.boxes[:, :2], clipped[:, 2:] - clipped[:, :2]
    keep = (after.prod(1) >= VISIBLE * before.prod(1)) & (after.amin(1) >= SMALLEST) if len(after) else after[:, 0] > 0
    return Sample(sample.image, clipped, sample.labels, sample.masks).chosen(keep)


def scaled(sample: Sample, factor: float) -> Sample:
    """A sample with both sides times a factor."""
    height, width = sample.image.shape[-2:]
    new = [max(1, round(height * factor)), max(1, round(width * factor))]
    image = functional.resize(sample.image, new, antialias=True)
    return on_resized(image, (height, width), sample.boxes, sample.labels, sample.masks)


def on_resized(image: Tensor, original: tuple[int, int], boxes: Tensor, labels: Tensor, masks: Tensor | None) -> Sample:
    """A resized image with the objects of its original, whose height and width are given."""
    height, width = image.shape[-2], image.shape[-1]
    if (height, width) == original:
        return Sample(image, boxes, labels, masks)
    if masks is not None:
        masks = functional.resize_mask(masks, [height, width]) if len(masks) else masks.new_zeros(0, height, width)
    ratio = boxes.new_tensor([width / original[1], height / original[0]] * 2)
    return Sample(image, boxes * ratio, labels, masks)


def joined(image: Tensor, parts: list[Sample]) -> Sample:
    """One image with the objects of several samples."""
    boxes = torch.cat([p.boxes for p in parts]) if parts else torch.zeros(0, 4)
    labels = torch.cat([p.labels for p in parts]) if parts else torch.zeros(0, dtype=torch.int64)
    masks = None
    if parts and parts[0].masks is not None:
        masks = torch.cat([p.masks for p in parts if p.masks is not None])
    return Sample(image, boxes, labels, masks)


def mix(first: Sample, second: Sample, share: float) -> Sample:
    """Two images over each other, `share` of the first, with all objects. Zhang et al. 2018, arXiv:1710.09412."""
    blended = first.image.float() * share + second.image.float() * (1 - share)
    return joined(blended.round().to(torch.uint8), [first, second])


def paste(onto: Sample, other: Sample) -> Sample:
    """Half of another image's objects laid over this one. Ghiasi et al. 2021, arXiv:2012.07177.

    Those that would hide much of an object are left out; what becomes hidden is taken out of the masks below.
    """
    assert onto.masks is not None
    assert other.masks is not None
    if not len(other.labels):
        return onto
    wanted = torch.rand(len(other.labels)) < 0.5
    below = onto.masks.bool()
    area = below.flatten(1).sum(1).clamp(min=1)
    for i in wanted.nonzero()[:, 0].tolist():
        hidden = (below & other.masks[i].bool()).flatten(1).sum(1) / area
        if len(hidden) and float(hidden.max()) > 0.3:
            wanted[i] = False
    new = other.chosen(wanted)
    assert new.masks is not None
    cover = new.masks.any(0).bool()
    image = torch.where(cover, new.image, onto.image)
    masks = onto.masks * ~cover
    left = masks.flatten(1).sum(1) >= VISIBLE * area
    return joined(image, [Sample(image, onto.boxes, onto.labels, masks).chosen(left), new])


def chance(share: float) -> bool:
    """True in a share of the cases; nothing is drawn for a share of 0."""
    return share > 0 and float(torch.rand(())) < share


def between(low: float, high: float) -> float:
    """A number drawn evenly."""
    return low + (high - low) * float(torch.rand(()))


def below(count: int) -> int:
    """A whole number from 0 to count - 1, drawn evenly."""
    return int(torch.randint(count, ()))
