"""Soft non-maximum suppression: overlapping boxes lose score instead of being dropped."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops import while_loop

from nodes.post.candidates import best_pairs, overlaps
from nodes.sdk.declare import Range, component
from nodes.types import Detections, Predictions


@component(
    "post", role="post", title="Soft-NMS", paper="Bodla et al. 2017, arXiv:1704.04503", aliases=("soft suppression",)
)
class SoftNMS(nn.Module):
    """Takes the best box again and again and lowers the scores of those of its class that overlap it.

    Finds objects that stand close together, which hard suppression drops. As many rounds as `max_detections`, each on
    the whole batch. Runs in eval only.

    Args:
        method: `gaussian` multiplies a score by exp(-IoU^2 / sigma), `linear` by 1 - IoU above `iou_threshold`.
        sigma: how far the Gaussian reaches.
        iou_threshold: overlap from which the linear method lowers a score.
        score_threshold: boxes whose score falls to this or less are left out.
        max_detections: rows per image in the output.
        pre_top_k: best pairs of a box and a class per image that take part.
        class_agnostic: lets boxes of different classes lower each other.

    Shapes: boxes [B, N, 4], scores [B, N, K] -> boxes [B, M, 4], scores [B, M], labels [B, M], M = max_detections.
    """

    def __init__(
        self,
        method: Literal["gaussian", "linear"] = "gaussian",
        sigma: Annotated[float, Range(0.01, 10)] = 0.5,
        iou_threshold: Annotated[float, Range(0, 1, 0.05)] = 0.3,
        score_threshold: Annotated[float, Range(0, 1, 0.05)] = 0.001,
        max_detections: Annotated[int, Range(1, 1000)] = 100,
        pre_top_k: Annotated[int, Range(1, 5000)] = 500,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__()
        self.method, self.sigma, self.iou_threshold = method, sigma, iou_threshold
        self.score_threshold, self.max_detections = score_threshold, max_detections
        self.pre_top_k, self.class_agnostic = pre_top_k, class_agnostic

    @torch.no_grad()
    def forward(self, predictions: Predictions) -> Detections:
        boxes, scores, labels, _ = best_pairs(predictions, self.pre_top_k)
        found_scores, found = _take(scores, self._factors(boxes, labels), self.max_detections)
        used = found_scores > self.score_threshold
        boxes = boxes.gather(1, found[..., None].expand(-1, -1, 4)) * used[..., None]
        return Detections(boxes, found_scores * used, labels.gather(1, found).masked_fill(~used, -1))

    def _factors(self, boxes: Tensor, labels: Tensor) -> Tensor:
        """[B, P, P] what the column's score is multiplied by when the row's box is taken."""
        over = overlaps(boxes).nan_to_num_(0.0)
        if self.method == "gaussian":
            factors = torch.exp(-over.square() / self.sigma)
        else:
            factors = torch.where(over > self.iou_threshold, 1 - over, torch.ones_like(over))
        if self.class_agnostic:
            return factors
        return factors.where(labels[:, :, None] == labels[:, None], torch.ones_like(factors))


def _take(scores: Tensor, factors: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Scores [B, M] at the moment each was taken, falling, and which candidate it was; -1 where none was left."""
    places = torch.arange(count, device=scores.device)

    def more(step: Tensor, left: Tensor, taken: Tensor, which: Tensor) -> Tensor:
        return step < count

    def one(step: Tensor, left: Tensor, taken: Tensor, which: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        best, index = left.max(1, keepdim=True)
        here = (places == step)[None]
        lowered = left * factors.gather(1, index[..., None].expand(-1, -1, left.shape[1])).squeeze(1)
        lowered = lowered.where(left > 0, left).scatter(1, index, -1.0)
        return step + 1, lowered, best.where(here, taken), index.where(here, which)

    none = torch.zeros_like(scores[:, :1], dtype=torch.int64).repeat(1, count)
    state = (
        torch.zeros((), dtype=torch.int64, device=scores.device),
        scores.clone(),
        F.pad(scores[:, :0], (0, count), value=-1.0),
        none,
    )
    if scores.is_meta:
        return state[2], state[3]
    if torch.compiler.is_compiling():
        state = while_loop(more, one, state)
    else:
        for _ in range(count):
            state = one(*state)
    return state[2], state[3]
