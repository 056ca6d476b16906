"""Detections chosen, clipped and written in another format."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.post.candidates import best_pairs
from nodes.sdk.declare import ImageSides, Range, component
from nodes.types import Detections, Predictions


@component("post", role="post", title="Top-k", aliases=("topk", "DETR post-processing", "no NMS"))
class TopK(nn.Module):
    """Keeps the best pairs of a box and a class, without suppression.

    For heads that give each object once, such as CenterNet's or DETR's. Runs in eval only.

    Args:
        max_detections: rows per image in the output.
        score_threshold: pairs at or below it are left out.

    Shapes: boxes [B, N, 4], scores [B, N, K] -> boxes [B, M, 4], scores [B, M], labels [B, M], M = max_detections.
    """

    def __init__(
        self,
        max_detections: Annotated[int, Range(1, 5000)] = 100,
        score_threshold: Annotated[float, Range(0, 1, 0.05)] = 0.0,
    ) -> None:
        super().__init__()
        self.max_detections, self.score_threshold = max_detections, score_threshold

    @torch.no_grad()
    def forward(self, predictions: Predictions) -> Detections:
        boxes, scores, labels, _ = best_pairs(predictions, self.max_detections)
        return _above(Detections(boxes, scores, labels), self.score_threshold)


@component("post", role="post", title="Score threshold", aliases=("confidence", "filter"))
class ScoreThreshold(nn.Module):
    """Leaves out detections with a low score; their rows stay, unused. Runs in eval only.

    Args:
        score_threshold: detections at or below it are left out.

    Shapes: boxes [B, M, 4], scores [B, M], labels [B, M] -> the same.
    """

    def __init__(self, score_threshold: Annotated[float, Range(0, 1, 0.05)] = 0.25) -> None:
        super().__init__()
        self.score_threshold = score_threshold

    @torch.no_grad()
    def forward(self, detections: Detections) -> Detections:
        return _above(detections, self.score_threshold)


@component("post", role="post", title="Clip boxes", aliases=("clip to image", "clamp"))
class ClipBoxes(nn.Module):
    """Cuts boxes off at the border of the image. Runs in eval only.

    Shapes: boxes [B, M, 4], scores [B, M], labels [B, M] -> the same.
    """

    def __init__(self, image_size: Annotated[tuple[int, ...], ImageSides()]) -> None:
        super().__init__()
        self.height, self.width = image_size

    @torch.no_grad()
    def forward(self, detections: Detections) -> Detections:
        x, y = detections.boxes[..., 0::2], detections.boxes[..., 1::2]
        clipped = torch.stack((x.clamp(0, self.width), y.clamp(0, self.height)), -1).flatten(-2)
        return detections._replace(boxes=clipped)


@component("post", role="post", title="Detection rows", aliases=("box format", "xywh", "cxcywh", "normalised boxes"))
class DetectionRows(nn.Module):
    """Writes each detection as a row of six numbers: the box in the format asked for, the score, the class.

    For programs that want one plain table; unused rows have class -1. Runs in eval only.

    Args:
        box_format: `xyxy` corners, `xywh` left, top, width, height, `cxcywh` centre, width, height.
        normalised: divides boxes by the image's width and height, so that they are 0 to 1.

    Shapes: boxes [B, M, 4], scores [B, M], labels [B, M] -> [B, M, 6].
    """

    def __init__(
        self,
        image_size: Annotated[tuple[int, ...], ImageSides()],
        box_format: Literal["xyxy", "xywh", "cxcywh"] = "xyxy",
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.box_format, self.normalised = box_format, normalised
        self.height, self.width = image_size

    @torch.no_grad()
    def forward(self, detections: Detections) -> Float[Tensor, "B M 6"]:
        low, high = detections.boxes[..., :2], detections.boxes[..., 2:]
        first = {"xyxy": low, "xywh": low, "cxcywh": (low + high) / 2}[self.box_format]
        boxes = torch.cat((first, high if self.box_format == "xyxy" else high - low), -1)
        if self.normalised:
            boxes = boxes / boxes.new_tensor([self.width, self.height, self.width, self.height])
        label = detections.labels.to(boxes.dtype)
        return torch.cat((boxes, detections.scores[..., None], label[..., None]), -1)


def _above(found: Detections, threshold: float) -> Detections:
    used = found.scores > threshold
    return Detections(found.boxes * used[..., None], found.scores * used, found.labels.masked_fill(~used, -1))
