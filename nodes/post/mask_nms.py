"""Suppression for instance segmenters: the boxes choose, then the masks of what is left are put together."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodes.masks import touched
from nodes.post.nms import NMS
from nodes.sdk.declare import ImageSides, Range, component
from nodes.types import MaskDetections, MaskPredictions, Predictions


@component(
    "post",
    role="post",
    title="Mask NMS",
    paper="Bolya et al. 2019, arXiv:1904.02689",
    aliases=("instance segmentation", "non-maximum suppression", "process_mask", "YOLACT", "MaskNMS"),
)
class MaskNMS(nn.Module):
    """Keeps the best-scored box of every object, and gives each that is kept its mask.

    Boxes are suppressed as by NMS. A mask is the sigmoid of the box's coefficients times the image's prototypes, cut
    off where the box does not reach; only those of kept boxes are made. Runs in eval only.

    Args:
        iou_threshold: a box is dropped when it overlaps a better one by more.
        score_threshold: pairs of a box and a class at or below it are ignored.
        max_detections: rows per image in the output, each with a mask; memory grows with it.
        pre_top_k: best pairs of a box and a class per image that take part.
        class_agnostic: lets boxes of different classes suppress each other.

    Shapes: boxes [B, N, 4], scores [B, N, K], coefficients [B, N, P], prototypes [B, P, h, w] -> boxes [B, M, 4],
    scores [B, M], labels [B, M], masks [B, M, h, w], M = max_detections.
    """

    def __init__(
        self,
        image_size: Annotated[tuple[int, ...], ImageSides()],
        iou_threshold: Annotated[float, Range(0, 1, 0.05)] = 0.7,
        score_threshold: Annotated[float, Range(0, 1, 0.05)] = 0.001,
        max_detections: Annotated[int, Range(1, 1000)] = 100,
        pre_top_k: Annotated[int, Range(1, 5000)] = 1000,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__()
        self.height, self.width = image_size
        self.nms = NMS(iou_threshold, score_threshold, max_detections, pre_top_k, class_agnostic)

    @torch.no_grad()
    def forward(self, predictions: MaskPredictions) -> MaskDetections:
        found, rows = self.nms.choose(Predictions(predictions.boxes, predictions.scores))
        count = predictions.coefficients.shape[2]
        coefficients = predictions.coefficients.float().gather(1, rows[..., None].expand(-1, -1, count))
        return MaskDetections(*found, self._masks(coefficients, predictions.prototypes.float(), found.boxes))

    def _masks(self, coefficients: Tensor, prototypes: Tensor, boxes: Tensor) -> Tensor:
        """[B, M, h, w] from coefficients [B, M, P], prototypes [B, P, h, w] and the boxes [B, M, 4] to cut off at."""
        height, width = prototypes.shape[-2:]
        masks = (coefficients @ prototypes.flatten(2)).unflatten(2, (height, width)).sigmoid()
        return masks * touched(boxes, height, width, (self.height / height, self.width / width))


@component("post", role="post", title="Mask threshold", aliases=("binary masks", "cut-off", "MaskThreshold"))
class MaskThreshold(nn.Module):
    """Makes masks of 0 and 1 out of probabilities, at the size of the image if wanted. Runs in eval only.

    Args:
        threshold: least probability that belongs to the object.
        enlarge: brings the masks to the size of the image first, so that their borders are smooth.

    Shapes: boxes [B, M, 4], scores [B, M], labels [B, M], masks [B, M, h, w] -> the same; enlarged masks [B, M, H, W].
    """

    def __init__(
        self,
        image_size: Annotated[tuple[int, ...], ImageSides()],
        threshold: Annotated[float, Range(0, 1, 0.05)] = 0.5,
        enlarge: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.threshold, self.enlarge = tuple(image_size), threshold, enlarge

    @torch.no_grad()
    def forward(self, detections: MaskDetections) -> MaskDetections:
        masks = detections.masks
        if self.enlarge:
            masks = F.interpolate(masks, self.size, mode="bilinear", align_corners=False)
        return detections._replace(masks=(masks >= self.threshold).to(masks.dtype))
