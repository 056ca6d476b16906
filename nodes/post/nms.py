"""Non-maximum suppression in plain tensor operations: exact, batched, and the same in ONNX at any batch and size."""

from __future__ import annotations

import struct
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops import while_loop

from nodes.post.candidates import Candidates, best_pairs, overlaps
from nodes.sdk.declare import Range, component
from nodes.types import Detections, Predictions


@component("post", role="post", aliases=("non-maximum suppression", "NonMaxSuppression", "batched_nms"))
class NMS(nn.Module):
    """Keeps the best-scored box of every object and drops those of the same class that overlap it.

    A box may be kept for several classes. The result equals that of `torchvision.ops.batched_nms` on all pairs of a
    box and a class above the score threshold; classes are compared, not shifted apart, so large images cost no
    precision. Boxes are not clipped to the image. Runs in eval only.

    Args:
        iou_threshold: a box is dropped when it overlaps a better one by more. 0.7 as YOLOv8 is evaluated; 0.45 leaves
            fewer doubles.
        score_threshold: pairs at or below it are ignored. 0.001 keeps what mean average precision needs; raise it to
            0.25 to look at detections.
        max_detections: rows per image in the output.
        pre_top_k: best pairs of a box and a class per image that take part; memory grows with its square.
        class_agnostic: lets boxes of different classes suppress each other, so each box keeps one class at most.

    Shapes: boxes [B, N, 4], scores [B, N, K] -> boxes [B, M, 4], scores [B, M], labels [B, M], M = max_detections.
    """

    def __init__(
        self,
        iou_threshold: Annotated[float, Range(0, 1, 0.05)] = 0.7,
        score_threshold: Annotated[float, Range(0, 1, 0.05)] = 0.001,
        max_detections: Annotated[int, Range(1, 5000)] = 300,
        pre_top_k: Annotated[int, Range(1, 5000)] = 1000,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__()
        self.iou_threshold, self.score_threshold = _float32_below(iou_threshold), _float32_below(score_threshold)
        self.max_detections, self.pre_top_k, self.class_agnostic = max_detections, pre_top_k, class_agnostic

    @torch.no_grad()
    def forward(self, predictions: Predictions) -> Detections:
        return self.choose(predictions)[0]

    def choose(self, predictions: Predictions) -> tuple[Detections, Tensor]:
        """The detections, and [B, M] which of the N predictions each is; any row where a detection is unused."""
        boxes, scores, labels, rows = best_pairs(predictions, self.pre_top_k)
        valid = scores > self.score_threshold
        if not (torch.compiler.is_compiling() or valid.is_meta):
            # Scores fall, so those above the threshold come first; most images have far fewer than `pre_top_k`.
            used = max(1, int(valid.sum(1).max()))
            boxes, scores, labels, valid = boxes[:, :used], scores[:, :used], labels[:, :used], valid[:, :used]
            rows = rows[:, :used]
        kept = _greedy(self._suppresses(boxes, labels), valid)
        return self._first(Candidates(boxes, scores, labels, rows), kept)

    def _suppresses(self, boxes: Tensor, labels: Tensor) -> Tensor:
        """[B, P, P] float 1 where the row's candidate, if kept, drops the column's, which comes later."""
        over = overlaps(boxes) > self.iou_threshold
        if not self.class_agnostic:
            over &= labels[:, :, None] == labels[:, None]
        return over.triu(1).float()

    def _first(self, found: Candidates, kept: Tensor) -> tuple[Detections, Tensor]:
        """The first `max_detections` kept candidates, in order, padded, and which predictions they are."""
        count = kept.shape[1]
        rank = torch.arange(count, 0, -1, device=kept.device, dtype=torch.float32) * kept
        rank = F.pad(rank, (0, max(0, self.max_detections - count)))
        rank, row = rank.topk(self.max_detections, dim=1)
        used, row = rank > 0, row.clamp(max=count - 1)
        boxes = found.boxes.gather(1, row[..., None].expand(-1, -1, 4)) * used[..., None]
        labels = found.labels.gather(1, row).masked_fill(~used, -1)
        return Detections(boxes, found.scores.gather(1, row) * used, labels), found.rows.gather(1, row)


def _greedy(suppresses: Tensor, valid: Tensor) -> Tensor:
    """[B, P] which candidates greedy suppression keeps: those that no kept, better one suppresses.

    Starting from all, each round settles at least one more candidate of every chain of suppressions, so the rounds end
    at the exact answer, after as many as the longest chain: a handful for a detector's output, P at worst.
    """

    def again(kept: Tensor, changed: Tensor) -> Tensor:
        return changed > 0

    def settle(kept: Tensor, changed: Tensor) -> tuple[Tensor, Tensor]:
        dropped = (kept.float()[:, None] @ suppresses).squeeze(1) > 0
        settled = valid & ~dropped
        return settled, (settled != kept).sum()

    if valid.is_meta:
        return valid
    # while_loop takes no tensor twice, so this starts from all, not from `valid`; and it counts all, as there is a
    # first round to make even where none is valid.
    start = torch.ones_like(valid)
    state = start, start.sum()
    if torch.compiler.is_compiling():
        return while_loop(again, settle, state)[0]
    while again(*state):
        state = settle(*state)
    return state[0]


def _float32_below(value: float) -> float:
    """The largest float32 that is not above `value`.

    `x > value` then holds for the same float32 `x` as in double precision, which is how torchvision compares on the
    CPU: at a threshold of 0.6, three cells shared of five are dropped in both or in neither.
    """
    bits = struct.unpack("I", struct.pack("f", value))[0]
    rounded = struct.unpack("f", struct.pack("I", bits))[0]
    return struct.unpack("f", struct.pack("I", bits - 1))[0] if rounded > value else rounded
