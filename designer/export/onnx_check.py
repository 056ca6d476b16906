"""An ONNX file in onnxruntime beside the torch model it was made from: differences, metrics and latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nodes.post.select import DetectionRows
from nodes.types import Detections, MaskDetections, MaskPredictions, Predictions, Structured

KINDS: tuple[type[Structured], ...] = (Detections, MaskDetections, Predictions, MaskPredictions)
"""What a model's outputs can be together, told apart by the names of the outputs."""


TIES = 0.01
"""Share of detections that may differ: of two overlapping boxes with equal scores, runtimes may keep either."""
NEAR_BOX, NEAR_SCORE = 1.0, 1e-3
"""Pixels and score within which two predictions are the same."""


class Difference(NamedTuple):
    """How far two runtimes are apart on one batch.

    Attributes:
        scores: largest difference of a score, a logit or a value; of a map, see `compare`.
        boxes: largest difference of a matched box's corner in pixels; 0 without boxes.
        unmatched: detections with a score of 0.05 or more that have no partner, and scores that only one has cut.
        compared: detections or values that were compared.
    """

    scores: float
    boxes: float
    unmatched: int
    compared: int


class OnnxModel(nn.Module):
    """An ONNX file that is called like the torch model, on the CPU: it can be compared and measured in its place."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def forward(self, *images: Tensor) -> Any:
        names = [i.name for i in self.session.get_inputs()]
        feed = {name: image.cpu().numpy() for name, image in zip(names, images, strict=True)}
        return structured(self.names, [torch.from_numpy(value) for value in self.session.run(None, feed)])


class OpenvinoModel(nn.Module):
    """The same for OpenVINO's file, on the CPU."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        import openvino

        self.network = openvino.compile_model(
            openvino.Core().read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        self.names = [output.get_any_name() for output in self.network.outputs]

    def forward(self, *images: Tensor) -> Any:
        found = self.network([image.cpu().numpy() for image in images])
        return structured(self.names, [torch.from_numpy(found[output].copy()) for output in self.network.outputs])


def structured(names: Sequence[str], values: Sequence[Tensor]) -> Any:
    """Outputs as the torch model gives them: detections or predictions where the names say so, else one or a tuple."""
    for kind in KINDS:
        if tuple(names) == kind._fields:
            return kind(*values)
    return values[0] if len(values) == 1 else tuple(values)


def compare(expected: Any, got: Any, names: Sequence[str], *, of_head: bool = True) -> Difference:
    """Compares what torch gave with what another runtime gave; `names` are those of the outputs.

    The maps of a model that ends in no head can be of any size, sums of dozens of blocks in the hundreds, as can mask
    coefficients and prototypes: where the largest value is over 1, their difference is told in parts of it.

    A score of some size that is 0 in the other was cut there, by a comparison of two values that are nearly equal
    (CenterNet keeps peaks alone): it counts as unmatched. Below that, runtimes differ in where a sigmoid becomes 0.
    SOLO's cells, each with a mask of its own, were chosen by their scores
    and may have changed places: where they differ in their order they are compared as sets.
    """
    if isinstance(expected, (Detections, MaskDetections)):
        return _match(expected, got)
    found = _in_order(expected, got, names, of_head)
    own_masks = (
        isinstance(expected, MaskPredictions) and expected.coefficients.shape[1] == expected.coefficients.shape[2]
    )
    if not own_masks or (found.scores <= NEAR_SCORE and found.boxes <= NEAR_BOX):
        return found
    as_sets = _match_chosen(expected, got)
    return as_sets if as_sets.unmatched <= TIES * as_sets.compared else found


def _in_order(expected: Any, got: Any, names: Sequence[str], of_head: bool) -> Difference:
    scores = boxes = 0.0
    count = lost = 0
    for name, a, b in zip(names, flat_tensors(expected), flat_tensors(got), strict=True):
        apart = (a.detach().double() - b.double()).abs()  # a learned tensor that is an output asks for gradients
        if a.numel() and (not of_head or name.endswith(("coefficients", "prototypes"))):
            apart /= max(1.0, float(a.detach().abs().max()))
        count += a.numel()
        if name.endswith("scores"):
            cut = ((a == 0) != (b == 0)) & (apart > NEAR_SCORE)
            lost += int(cut.sum())
            apart = apart[~cut]
        difference = float(apart.max()) if apart.numel() else 0.0
        if name.endswith("boxes"):
            boxes = max(boxes, difference)
        else:
            scores = max(scores, difference)
    return Difference(scores, boxes, lost, count)


def detections_of(rows: Tensor, writer: DetectionRows) -> Detections:
    """What rows of detections tell, the sides in pixels whatever they are written in: to be compared as a set."""
    width, height = (writer.width, writer.height) if writer.normalised else (1, 1)
    return Detections(
        rows[..., :4] * rows.new_tensor([width, height, width, height]), rows[..., 4], rows[..., 5].long()
    )


def worst(differences: Sequence[Difference]) -> Difference:
    """The largest of each figure, and all that was compared."""
    return Difference(
        max(d.scores for d in differences), max(d.boxes for d in differences),
        max(d.unmatched for d in differences), sum(d.compared for d in differences),
    )  # fmt: skip


def _match(expected: Detections | MaskDetections, got: Detections | MaskDetections, least: float = 0.05) -> Difference:
    """Compares detections as sets: each with its nearest of the same class, since equal scores may change places.

    A mask counts with the mean difference of its cells: where a border moves by a rounding, single cells jump.
    """
    scores, boxes, lost, compared = 0.0, 0.0, 0, 0
    for i in range(len(expected.labels)):
        wanted = ((expected.labels[i] >= 0) & (expected.scores[i] >= least)).nonzero()[:, 0]
        compared += len(wanted)
        for row in wanted:
            same = (got.labels[i] == expected.labels[i][row]).nonzero()[:, 0]
            if not len(same):
                lost += 1
                continue
            apart = (got.boxes[i][same] - expected.boxes[i][row]).abs().amax(1)
            near = int(apart.argmin())
            if float(apart[near]) > NEAR_BOX:
                lost += 1
                continue
            boxes = max(boxes, float(apart[near]))
            scores = max(scores, float((got.scores[i][same[near]] - expected.scores[i][row]).abs()))
            if isinstance(expected, MaskDetections) and isinstance(got, MaskDetections):
                scores = max(scores, float((got.masks[i][same[near]] - expected.masks[i][row]).abs().mean()))
    return Difference(scores, boxes, lost, compared)


def _match_chosen(expected: MaskPredictions, got: MaskPredictions) -> Difference:
    """Compares predictions as sets: each with the nearest by box and scores; masks by the mean difference of cells.

    Those with a score of 0.05, or of half of the highest where none has that.
    """
    scores, boxes, lost, compared = 0.0, 0.0, 0, 0
    for i in range(len(expected.boxes)):
        least = min(0.05, float(expected.scores[i].max()) / 2)
        wanted = (expected.scores[i].amax(1) >= least).nonzero()[:, 0]
        compared += len(wanted)
        for row in wanted:
            box = (got.boxes[i] - expected.boxes[i][row]).abs().amax(1)
            score = (got.scores[i] - expected.scores[i][row]).abs().amax(1)
            near = int((box / NEAR_BOX + score / NEAR_SCORE).argmin())
            if float(box[near]) > NEAR_BOX or float(score[near]) > NEAR_SCORE:
                lost += 1
                continue
            mask = (_mask(expected, i, int(row)) - _mask(got, i, near)).abs().mean()
            boxes, scores = max(boxes, float(box[near])), max(scores, float(score[near]), float(mask))
    return Difference(scores, boxes, lost, compared)


def _mask(found: MaskPredictions, image: int, row: int) -> Tensor:
    """Probabilities [h, w] of a prediction's mask."""
    return torch.einsum("p,phw->hw", found.coefficients[image, row], found.prototypes[image]).sigmoid()


def latencies(first: Callable[[], Any], second: Callable[[], Any], runs: int = 7) -> tuple[float, float]:
    """Median milliseconds of two calls, run in turns after one of each that warms up."""
    times: tuple[list[float], list[float]] = ([], [])
    with torch.no_grad():
        for _ in range(runs + 1):
            for call, kept in zip((first, second), times, strict=True):
                start = time.perf_counter()
                call()
                kept.append((time.perf_counter() - start) * 1e3)
    return _median(times[0][1:]), _median(times[1][1:])


def _median(values: list[float]) -> float:
    return round(sorted(values)[len(values) // 2], 2)


def flat_tensors(value: Any) -> list[Tensor]:
    """The tensors of a nested output, in order."""
    return [value] if isinstance(value, Tensor) else [t for v in value for t in flat_tensors(v)]
