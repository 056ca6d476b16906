"""What a detector's wires carry besides maps: predictions before NMS and detections after it.

All are NamedTuples of tensors, so they pass through `torch.export`, `torch.compile`, deepcopy and hooks like a plain
tuple. This file travels with exported models and imports torch only.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Predictions(NamedTuple):
    """Every candidate box of a detection head, each with a probability per class.

    Attributes:
        boxes: [B, N, 4] corners x1, y1, x2, y2 in pixels of the input image; not clipped to the image.
        scores: [B, N, K] probabilities 0..1, one per class; classes do not exclude each other.
    """

    boxes: Tensor
    scores: Tensor


class Detections(NamedTuple):
    """What is left after suppression: a fixed number M of rows per image, best score first.

    Images have different numbers of objects; unused rows at the end have label -1, score 0 and an all-zero box, so
    `labels >= 0` selects the real ones.

    Attributes:
        boxes: [B, M, 4] corners x1, y1, x2, y2 in pixels of the input image.
        scores: [B, M] probabilities 0..1, falling.
        labels: [B, M] int64 class indices, -1 where the row is unused.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class MaskPredictions(NamedTuple):
    """Every candidate of an instance segmenter: a box, a probability per class, and how its mask is put together.

    The mask of a candidate is the sigmoid of its coefficients times the image's prototypes.

    Attributes:
        boxes: [B, N, 4] corners x1, y1, x2, y2 in pixels of the input image; not clipped to the image.
        scores: [B, N, K] probabilities 0..1, one per class.
        coefficients: [B, N, P] weight of each prototype.
        prototypes: [B, P, h, w] maps that all candidates of an image share.
    """

    boxes: Tensor
    scores: Tensor
    coefficients: Tensor
    prototypes: Tensor


class MaskDetections(NamedTuple):
    """Detections with a mask each; unused rows have label -1, score 0, and an all-zero box and mask.

    Attributes:
        boxes: [B, M, 4] corners x1, y1, x2, y2 in pixels of the input image.
        scores: [B, M] probabilities 0..1, falling.
        labels: [B, M] int64 class indices, -1 where the row is unused.
        masks: [B, M, h, w] probability 0..1 that a cell belongs to the object; the h x w cells cover the input image.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor


Structured = Predictions | Detections | MaskPredictions | MaskDetections
"""What is no plain tensor on a wire."""
