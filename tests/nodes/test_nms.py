"""NMS against torchvision's, decision by decision, and against itself in other runtimes."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime
import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

from nodes.post.nms import NMS
from nodes.types import Detections, Predictions


def predictions(seed: int, images: int, cells: int, classes: int, size: float, spread: float = 0.1) -> Predictions:
    """Random boxes in clusters, so that many overlap, on a grid of 1/8 pixel."""
    g = torch.Generator().manual_seed(seed)
    anchors = torch.rand(images, max(1, cells // 8), 2, generator=g) * size
    which = torch.randint(anchors.shape[1], (images, cells), generator=g)[..., None].expand(-1, -1, 2)
    centre = anchors.gather(1, which) + torch.randn(images, cells, 2, generator=g) * size * spread * 0.1
    half = (torch.rand(images, cells, 2, generator=g) + 0.5) * size * spread
    boxes = (torch.cat((centre - half, centre + half), -1) * 8).round() / 8
    return Predictions(boxes, torch.rand(images, cells, classes, generator=g))


def reference(boxes: Tensor, scores: Tensor, component: NMS, iou_threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """The same job for one image with torchvision: all pairs, the best `pre_top_k`, each class on its own."""
    flat, order = scores.flatten().sort(descending=True, stable=True)
    order = order[flat > component.score_threshold][: component.pre_top_k]
    box, label = order // scores.shape[1], order % scores.shape[1]
    groups = torch.zeros_like(label) if component.class_agnostic else label
    kept = torch.zeros(len(order), dtype=torch.bool)
    for group in groups.unique():
        members = (groups == group).nonzero().squeeze(1)
        chosen = nms(boxes[box[members]], scores[box[members], label[members]], iou_threshold)
        kept[members[chosen]] = True
    box, label = box[kept][: component.max_detections], label[kept][: component.max_detections]
    return boxes[box], scores[box, label], label


def rows(found: Detections, image: int) -> tuple[Tensor, Tensor, Tensor]:
    used = found.labels[image] >= 0
    return found.boxes[image][used], found.scores[image][used], found.labels[image][used]


@pytest.mark.parametrize("iou_threshold", [0.0, 0.3, 0.45, 0.6, 0.7, 1.0])
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_equals_torchvision_on_crowded_scenes(iou_threshold: float, class_agnostic: bool) -> None:
    """Thousands of decisions: 4 seeds x 3 images x 500 pairs, several classes a cell, equal to the bit."""
    component = NMS(iou_threshold, 0.2, max_detections=500, pre_top_k=500, class_agnostic=class_agnostic)
    dropped = 0
    for seed in range(4):
        given = predictions(seed, images=3, cells=240, classes=4, size=640.0)
        found = component(given)
        for image in range(3):
            want = reference(given.boxes[image], given.scores[image], component, iou_threshold)
            got = rows(found, image)
            for a, b in zip(got, want, strict=True):
                assert torch.equal(a, b)
            dropped += 500 - len(got[0])
    assert dropped > 100 or iou_threshold == 1.0, "the scenes must be crowded enough to decide something"


def test_equals_torchvisions_batched_nms() -> None:
    """One call over all classes. It shifts classes apart, which eighths of a pixel survive exactly."""
    component = NMS(0.5, 0.0, max_detections=1000, pre_top_k=1000)
    for seed in range(4):
        given = predictions(seed, images=1, cells=200, classes=5, size=320.0)
        cells, classes = given.scores.shape[1:]
        every_box = given.boxes[0].repeat_interleave(classes, 0)
        label = torch.arange(classes).repeat(cells)
        kept = batched_nms(every_box, given.scores[0].flatten(), label, 0.5)
        boxes, scores, labels = rows(component(given), 0)
        assert torch.equal(boxes, every_box[kept])
        assert torch.equal(scores, given.scores[0].flatten()[kept])
        assert torch.equal(labels, label[kept])
        assert 50 < len(kept) < 990


def test_chain_of_suppressions_is_followed_to_its_end() -> None:
    """A row of 300 boxes, each over half on the next: greedy suppression keeps every second one."""
    left = torch.arange(300.0) * 3
    boxes = torch.stack((left, torch.zeros(300), left + 10, torch.full((300,), 10.0)), 1)[None]
    scores = torch.linspace(0.9, 0.1, 300)[None, :, None]
    # 7 of 13 px shared: IoU 0.538. Two apart: 4 of 16, 0.25.
    boxes_kept, _, _ = rows(NMS(0.5)(Predictions(boxes, scores)), 0)
    assert torch.equal(boxes_kept[:, 0], left[::2])


def test_threshold_is_compared_as_in_double_precision() -> None:
    """IoU is 3/5, and float32 rounds 0.6 up: torchvision drops the second box at 0.6, so must we."""
    boxes = torch.tensor([[[0.0, 0, 4, 1], [1, 0, 5, 1]]])
    scores = torch.tensor([[[0.9], [0.8]]])
    kept = len(nms(boxes[0], scores[0, :, 0], 0.6))
    assert (NMS(0.6)(Predictions(boxes, scores)).labels >= 0).sum() == kept == 1
    assert (NMS(0.61)(Predictions(boxes, scores)).labels >= 0).sum() == 2


def test_far_apart_classes_of_a_huge_image_stay_exact() -> None:
    """Shifting class 900 by 900 times the image would round these boxes to whole 2 px; comparing classes does not."""
    boxes = torch.tensor([[[20000.0, 20000, 20002.5, 20002.5], [20001.25, 20000, 20003.75, 20002.5]]])
    scores = torch.zeros(1, 2, 901)
    scores[0, :, 900] = torch.tensor([0.9, 0.8])
    found = NMS(iou_threshold=0.3)(Predictions(boxes, scores))  # half shared: IoU 1/3
    assert found.labels[0, 0] == 900
    assert (found.labels >= 0).sum() == 1
    assert (NMS(iou_threshold=0.34)(Predictions(boxes, scores)).labels >= 0).sum() == 2


def test_empty_and_repeated_boxes() -> None:
    """Two empty boxes have no IoU (0/0) and are both kept; of three equal boxes with equal scores the first stays."""
    boxes = torch.tensor([[[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]]])
    scores = torch.full((1, 5, 1), 0.5)
    found = NMS()(Predictions(boxes, scores))
    assert (found.labels >= 0).sum() == 3
    assert torch.isfinite(found.boxes).all()


def test_rows_are_sorted_and_padded() -> None:
    given = predictions(0, images=2, cells=20, classes=2, size=100.0)
    given.scores[1] = 0.0
    found = NMS(score_threshold=0.25, max_detections=64)(given)
    assert [t.shape for t in found] == [(2, 64, 4), (2, 64), (2, 64)]
    assert found.labels.dtype == torch.int64
    used = int((found.labels[0] >= 0).sum())
    assert 0 < used < 40
    assert (found.scores[0].diff() <= 0).all()
    assert (found.labels[0, :used] >= 0).all()
    assert (found.labels[0, used:] == -1).all()
    assert not found.boxes[0, used:].any()
    assert (found.scores[0, :used] > 0.25).all()
    assert not found.scores[0, used:].any()
    assert (found.labels[1] == -1).all()


@pytest.mark.parametrize("images", [1, 3])
def test_nothing_above_the_threshold_gives_nothing(images) -> None:
    given = predictions(0, images=images, cells=20, classes=2, size=100.0)
    found = NMS(score_threshold=0.5)(Predictions(given.boxes, given.scores * 0.4))
    assert (found.labels == -1).all()
    assert not found.scores.any()


def test_max_detections_keeps_the_best() -> None:
    given = predictions(1, images=1, cells=300, classes=1, size=1000.0, spread=0.01)
    every, few = NMS()(given), NMS(max_detections=7)(given)
    assert torch.equal(every.scores[:, :7], few.scores)
    assert few.boxes.shape == (1, 7, 4)


def test_meta_device_gives_the_shapes() -> None:
    given = Predictions(torch.empty(2, 8400, 4, device="meta"), torch.empty(2, 8400, 80, device="meta"))
    found = NMS()(given)
    assert [t.shape for t in found] == [(2, 300, 4), (2, 300), (2, 300)]
    assert found.labels.dtype == torch.int64


def test_export_and_onnx_agree_at_other_batches_and_sizes(tmp_path) -> None:
    """One ONNX file, no special operator; equal to the bit, ties, chains and padding included."""
    component = NMS(0.5, 0.1, max_detections=40, pre_top_k=100).eval()
    example = (predictions(0, images=2, cells=90, classes=3, size=200.0),)
    dims = (Predictions({0: torch.export.Dim("batch"), 1: torch.export.Dim("cells")}, {0: torch.export.Dim("batch"),
            1: torch.export.Dim("cells")}),)  # fmt: skip
    program = torch.export.export(component, example, dynamic_shapes=dims)
    path = tmp_path / "nms.onnx"
    torch.onnx.export(program, f=path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    for seed, images, cells in ((1, 1, 90), (2, 2, 333), (3, 5, 4)):
        given = predictions(seed, images, cells, 3, 200.0)
        want = component(given)
        assert (want.labels >= 0).any()
        assert_same(want, program.module()(given))
        assert_same(want, run(session, given))
    given = predictions(4, images=2, cells=50, classes=3, size=200.0)
    given.scores.mul_(0.01)
    assert (run(session, given)[2] == -1).all()
    # 30 boxes in a chain, each with the same score for three classes: onnxruntime keeps their order as we do.
    left = torch.arange(30.0) * 3
    chain = torch.stack((left, torch.zeros(30), left + 10, torch.full((30,), 10.0)), 1)[None]
    given = Predictions(chain, torch.linspace(0.9, 0.2, 30)[None, :, None].expand(1, 30, 3).contiguous())
    assert_same(component(given), run(session, given))


def run(session: onnxruntime.InferenceSession, given: Predictions) -> list[Tensor]:
    named = {i.name: t.numpy() for i, t in zip(session.get_inputs(), given, strict=True)}
    return [torch.from_numpy(t) for t in session.run(None, named)]


def assert_same(want: Detections, got: Sequence[Tensor]) -> None:
    for ours, other in zip(want, got, strict=True):
        assert torch.equal(ours, other)
