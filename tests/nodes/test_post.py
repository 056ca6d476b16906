"""Soft-NMS, top-k, thresholds, clipping and formats: by hand, in onnxruntime, and in a model that is trained on."""

from __future__ import annotations

import copy
import io
import logging
import math
import warnings
from contextlib import redirect_stderr, redirect_stdout

import onnxruntime
import pytest
import torch
from torch import nn

from designer.engine.compile import compile_document
from designer.graph.document import Document
from designer.train.tasks import detect
from nodes.post.nms import NMS
from nodes.post.select import ClipBoxes, DetectionRows, ScoreThreshold, TopK
from nodes.post.soft_nms import SoftNMS
from nodes.sdk.discover import library
from nodes.types import Detections, Predictions
from tests.nodes.test_nms import predictions


def pairs(*rows: tuple[float, ...]) -> Predictions:
    """One image: rows of x1, y1, x2, y2 and a score for each class."""
    values = torch.tensor(rows)[None]
    return Predictions(values[..., :4], values[..., 4:])


def test_gaussian_by_hand() -> None:
    """Boxes 10 wide and high; the second lies 5 to the right: IoU 50 / 150 = 1/3, factor exp(-(1/9) / 0.5).

    The third is apart and keeps its score, so it is taken before the lowered second.
    """
    given = pairs((0, 0, 10, 10, 0.9), (5, 0, 15, 10, 0.8), (40, 40, 50, 50, 0.7))
    found = SoftNMS(max_detections=4)(given)
    lowered = 0.8 * math.exp(-2 / 9)
    torch.testing.assert_close(found.scores, torch.tensor([[0.9, 0.7, lowered, 0]]), rtol=1e-5, atol=1e-6)
    assert found.boxes[0, :, 0].tolist() == [0, 40, 5, 0]
    assert found.labels[0].tolist() == [0, 0, 0, -1]


def test_linear_and_classes_by_hand() -> None:
    """IoU 1/3 lies above the threshold of 0.3, so the factor is 2/3, for boxes of the same class only."""
    given = pairs((0, 0, 10, 10, 0.9, 0), (5, 0, 15, 10, 0.8, 0.6))
    found = SoftNMS("linear", max_detections=4)(given)
    torch.testing.assert_close(found.scores, torch.tensor([[0.9, 0.6, 0.8 * 2 / 3, 0]]), rtol=1e-5, atol=1e-6)
    assert found.labels[0].tolist() == [0, 1, 0, -1]
    agnostic = SoftNMS("linear", max_detections=4, class_agnostic=True)(given)
    # Now class 1 of the second box falls by both: 2/3 by the first box, 0 by its own class 0.
    torch.testing.assert_close(agnostic.scores, torch.tensor([[0.9, 0.8 * 2 / 3, 0, 0]]), rtol=1e-5, atol=1e-6)
    assert SoftNMS("linear", iou_threshold=0.34, max_detections=2)(given).scores[0].tolist() == pytest.approx(
        [0.9, 0.8]
    )


def test_soft_nms_equals_the_paper_written_down() -> None:
    """The loop of the paper's figure 2, one image and one class at a time."""
    for seed in range(3):
        given = predictions(seed, images=2, cells=40, classes=2, size=320.0)
        found = SoftNMS(max_detections=60, pre_top_k=80, score_threshold=0.05)(given)
        for image in range(2):
            rows = []
            for label in range(2):
                left = [(given.boxes[image, i], float(given.scores[image, i, label])) for i in range(40)]
                while left:
                    best, score = max(left, key=lambda b: b[1])
                    rows.append((score, label))
                    left = [(b, s * math.exp(-(_iou(best, b) ** 2) / 0.5)) for b, s in left if not torch.equal(b, best)]
            want = sorted((r for r in rows if r[0] > 0.05), reverse=True)[:60]
            scores = found.scores[image][found.labels[image] >= 0]
            torch.testing.assert_close(scores, torch.tensor([s for s, _ in want]), rtol=1e-4, atol=1e-5)
            assert found.labels[image][: len(want)].tolist() == [label for _, label in want]


def _iou(a: torch.Tensor, b: torch.Tensor) -> float:
    wh = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
    inter = float(wh.prod())
    return inter / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter)


def test_top_k_is_a_sort() -> None:
    given = pairs((0, 0, 10, 10, 0.2, 0.9), (1, 1, 10, 10, 0.5, 0.1))
    found = TopK(3, score_threshold=0.2)(given)
    assert found.labels[0].tolist() == [1, 0, -1]  # 0.2 itself is left out
    torch.testing.assert_close(found.scores[0], torch.tensor([0.9, 0.5, 0]))
    assert TopK(6)(given).labels[0].tolist() == [1, 0, 0, 1, -1, -1]


def detections() -> Detections:
    boxes = torch.tensor([[[-5.0, 10, 30, 70], [10, 20, 20, 24], [0, 0, 0, 0]]])
    return Detections(boxes, torch.tensor([[0.9, 0.2, 0.0]]), torch.tensor([[2, 0, -1]]))


def test_threshold_and_clip() -> None:
    found = ScoreThreshold(0.2)(detections())
    assert found.labels.tolist() == [[2, -1, -1]]
    assert found.boxes[0, 1].tolist() == [0, 0, 0, 0]
    assert ClipBoxes((64, 32))(detections()).boxes[0, 0].tolist() == [0, 10, 30, 64]
    assert ClipBoxes((64, 24))(detections()).boxes[0, 0].tolist() == [0, 10, 24, 64]


def test_rows_in_every_format() -> None:
    given = detections()
    assert DetectionRows((80, 40))(given)[0, 1].tolist() == pytest.approx([10, 20, 20, 24, 0.2, 0])
    assert DetectionRows((80, 40), "xywh")(given)[0, 1, :4].tolist() == [10, 20, 10, 4]
    assert DetectionRows((80, 40), "cxcywh")(given)[0, 1, :4].tolist() == [15, 22, 10, 4]
    normal = DetectionRows((80, 40), "cxcywh", normalised=True)(given)[0]
    assert normal[1, :4].tolist() == pytest.approx([15 / 40, 22 / 80, 10 / 40, 4 / 80])
    assert normal[2, 5] == -1


class Chain(nn.Module):
    """Predictions from two tensors, then the parts."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, boxes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor | Detections:
        return self.parts(Predictions(boxes, scores))


@pytest.mark.parametrize(
    "parts",
    [
        (SoftNMS(max_detections=20, pre_top_k=50),),
        (SoftNMS("linear", max_detections=20, pre_top_k=50),),
        (TopK(30), ScoreThreshold(0.5)),
        (NMS(max_detections=20), ClipBoxes((320, 320)), DetectionRows((320, 320), "xywh", True)),
    ],
    ids=lambda p: p[-1].__class__.__name__,
)
def test_onnxruntime_agrees_at_another_batch(parts: tuple[nn.Module, ...]) -> None:
    model = Chain(*parts).eval()
    given = predictions(0, images=2, cells=60, classes=3, size=320.0)
    dims = {0: torch.export.Dim("batch", min=1)}
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model, tuple(given), dynamo=True, opset_version=20, dynamic_shapes=(dims, dims), verbose=False
            )
    finally:
        logging.disable(logging.NOTSET)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for images in (2, 3):
        given = predictions(5, images=images, cells=60, classes=3, size=320.0)
        expected = model(*given)
        expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
        feed = {i.name: v.numpy() for i, v in zip(session.get_inputs(), given, strict=True)}
        for ours, theirs in zip(expected, session.run(None, feed), strict=True):
            torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-4)


def test_a_model_that_ends_in_rows_can_still_be_evaluated() -> None:
    doc = Document.new("Mine", library().catalogue)
    image = doc.add("io.image_input", height=64, width=96)
    head = doc.add("head.yolov5_head", num_classes=2)
    x = image
    for _ in range(5):
        down = doc.add("downsample.conv_down", out_channels=8)
        doc.connect(x, down)
        x = down
    doc.set_param(head, "anchors", [10, 20])
    doc.connect(x, head)
    nms, clip, rows = doc.add("post.nms"), doc.add("post.clip_boxes"), doc.add("post.detection_rows")
    doc.connect(head, nms)
    doc.connect(nms, clip)
    doc.connect(clip, rows)
    compiled = compile_document(doc.data)
    compiled.eval()
    images = torch.rand(2, 3, 64, 96)
    table = compiled.model(images)
    found = detect(copy.copy(compiled.model), images)
    torch.testing.assert_close(table[..., :4], found.boxes)
    assert float(found.boxes.amax(1).amax(0)[2]) <= 96
