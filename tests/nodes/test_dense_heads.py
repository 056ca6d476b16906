"""RetinaNet's, FCOS's and ATSS's heads: figures, assignment by hand, awkward targets, half precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from nodes.anchors import anchor_sides, decode, encode, pyramid_anchors
from nodes.assign.atss import assign_atss
from nodes.assign.centre_sampling import assign_centre_sampling
from nodes.assign.max_iou import IGNORED, NOTHING, assign_max_iou
from nodes.heads.atss import ATSSHead
from nodes.heads.dense import cell_centres
from nodes.heads.fcos import FCOSHead, centerness_of
from nodes.heads.retinanet import RetinaNetHead
from nodes.losses.focal import focal_loss
from nodes.necks.fpn import fpn_p3_p7
from tests.nodes.test_reference import Case, run
from tests.nodes.test_yolov8_head import targets

STRIDES = (8, 16, 32, 64, 128)
HEADS = (RetinaNetHead, FCOSHead, ATSSHead)
PYRAMID = [(1, 256, 80 >> i, 80 >> i) for i in range(5)]
ROWS_OF = [
    (RetinaNetHead, 80, "torchvision", "RetinaNetHead(256,9,80)", 76725),
    (RetinaNetHead, 91, "torchvision", "RetinaNetHead(256,9,91)", 76725),
    (RetinaNetHead, 80, "mmdet 3.3.0", "RetinaHead(80,256)", 76725),
    (FCOSHead, 80, "torchvision", "FCOSHead(256,1,80)", 8525),
    (FCOSHead, 91, "torchvision", "FCOSHead(256,1,91)", 8525),
    (ATSSHead, 80, "mmdet 3.3.0", "ATSSHead(80,256,stacked=4)", 8525),
]


@pytest.mark.parametrize(("cls", "classes", "source", "variant", "count"), ROWS_OF)
def test_counts_are_those_of_the_table(cls: type, classes: int, source: str, variant: str, count: int) -> None:
    case = Case(source, variant, lambda *_: cls(256, STRIDES, classes), (), ())
    built, shapes, gmacs = run(case, PYRAMID)
    assert sum(p.numel() for p in built.parameters()) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, count, 4), (1, count, classes)]
    wide = [(2, 256, 64 >> i, 96 >> i) for i in range(5)]
    cells = sum(h * w for _, _, h, w in wide) * count // 8525
    assert run(case, wide)[1] == [(2, cells, 4), (2, cells, classes)]


@pytest.mark.parametrize(
    ("source", "variant", "extra"),
    [
        ("torchvision", "FeaturePyramidNetwork([512,1024,2048],256)+LastLevelP6P7(2048,256)", "c5"),
        ("mmdet 3.3.0", "FPN(start_level=1,add_extra_convs=on_output)", "p5"),
    ],
)
def test_fpn_with_two_more_levels(source: str, variant: str, extra: str) -> None:
    case = Case(source, variant, lambda *s: fpn_p3_p7.build(*s, extra_from=extra), (), ())
    built, shapes, gmacs = run(case, [(1, 512, 80, 80), (1, 1024, 40, 40), (1, 2048, 20, 20)])
    assert sum(p.numel() for p in built.parameters()) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == PYRAMID
    assert run(case, [(2, 512, 13, 20), (2, 1024, 7, 10), (2, 2048, 4, 5)])[1][-1] == (2, 256, 1, 2)


def test_focal_loss_is_torchvisions() -> None:
    torch.manual_seed(0)
    logits, aims = torch.randn(50) * 4, (torch.rand(50) > 0.5).float()
    want = sigmoid_focal_loss(logits, aims, reduction="none")
    torch.testing.assert_close(focal_loss(logits, aims), want, rtol=1e-5, atol=1e-7)
    # By hand: p = 1/2, alpha 1/4, gamma 2: 1/4 * 1/4 * log 2 for a one, three times that for a zero.
    by_hand = focal_loss(torch.zeros(2), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(by_hand, torch.tensor([1.0, 3.0]) * math.log(2) / 16)


def test_anchors_by_hand() -> None:
    """Stride 8, four cells: 32 px, then 2^(1/2) larger and cut to 45; ratio 2 is 1/sqrt(2) wide: 22.6 x 45.3."""
    sides = anchor_sides(8, 4, 2, (1.0, 2.0))
    torch.testing.assert_close(sides[:3], torch.tensor([[32.0, 32], [45, 45], [22.627, 45.255]]), rtol=1e-4, atol=0)
    boxes = pyramid_anchors([torch.zeros(1, 1, 1, 2)], (8,), [sides[:1]], 0.0)
    assert boxes.tolist() == [[-16, -16, 16, 16], [-8, -16, 24, 16]]
    assert pyramid_anchors([torch.zeros(1, 1, 1, 1)], (8,), [sides[:1]], 0.5).tolist() == [[-12, -12, 20, 20]]


def test_boxes_as_changes_by_hand() -> None:
    """From 10 x 20 at (5, 10) to 20 x 20 at (10, 5): half a width right, a quarter of the height up, twice as wide."""
    anchor, box = torch.tensor([0.0, 0, 10, 20]), torch.tensor([0.0, -5, 20, 15])
    changes = encode(anchor, box)
    torch.testing.assert_close(changes, torch.tensor([0.5, -0.25, math.log(2), 0]))
    torch.testing.assert_close(decode(anchor, changes), box)
    assert float(decode(anchor, torch.tensor([0.0, 0, 50, 0]))[2]) == pytest.approx(5 + 10 * 62.5 / 2)


def test_max_iou_by_hand() -> None:
    """An object of 10 x 10 at the origin. Anchors: itself; 10 x 6, IoU 0.6; 10 x 4.5, 0.45; 10 x 2, 0.2; far away.

    A second object, 2 x 2, overlaps the big anchors by 0.04, 0.067, 0.089 and the fourth by 0.2: all far below 0.5,
    but the fourth is what overlaps it most, so that anchor is rescued, for the object that it overlaps most itself:
    a tie at 0.2, which the first object wins.
    """
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 4.5], [0, 0, 10, 2], [50, 50, 60, 60]])
    truth, valid = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 2, 2]]]), torch.tensor([[True, True]])
    assert assign_max_iou(anchors, truth, valid).tolist() == [[0, 0, IGNORED, 0, NOTHING]]
    assert assign_max_iou(anchors, truth, valid, rescue=False).tolist() == [[0, 0, IGNORED, NOTHING, NOTHING]]
    assert assign_max_iou(anchors, truth, torch.tensor([[False, True]])).tolist() == [[-1, -1, -1, 1, -1]]


def test_centre_sampling_by_hand() -> None:
    """Strides 8 and 16 on 64 x 64. An object of 40 x 40 around (20, 20): sides up to 64 px belong to stride 8.

    Points of stride 8 lie at 4, 12, 20, ...; less than 12 px from the centre are 12, 20 and 28 in x and y: 9 points.
    An object of 160 x 160 around (32, 32) has sides beyond 64 px, so it goes to stride 16, the coarsest: points at 8,
    24, 40, 56; less than 24 px away are 24, 40 (8 and 56 are 24 away): 4 points.
    """
    maps = [torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)]
    points, strides = cell_centres(maps, (8, 16))
    truth = torch.tensor([[[0.0, 0, 40, 40], [-48, -48, 112, 112]]])
    owner = assign_centre_sampling(points, strides, (8, 16), truth, torch.tensor([[True, True]]))[0]
    fine, coarse = owner[:64].view(8, 8), owner[64:].view(4, 4)
    assert (fine >= 0).nonzero().tolist() == [[y, x] for y in (1, 2, 3) for x in (1, 2, 3)]
    assert fine.max() == 0
    assert (coarse == 1).nonzero().tolist() == [[y, x] for y in (1, 2) for x in (1, 2)]
    # Where both fit, the smaller wins.
    nested = torch.tensor([[[0.0, 0, 40, 40], [10, 10, 30, 30]]])
    owner = assign_centre_sampling(points, strides, (8, 16), nested, torch.tensor([[True, True]]))[0]
    assert int(owner[2 * 8 + 2]) == 1


def test_centerness_by_hand() -> None:
    """At (2, 5) in a box of 8 x 10: sqrt(2/6 * 5/5)."""
    found = centerness_of(torch.tensor([[2.0, 5], [4, 5], [0, 5]]), torch.tensor([[0.0, 0, 8, 10]] * 3))
    torch.testing.assert_close(found, torch.tensor([math.sqrt(1 / 3), 1, 0]))


def test_atss_by_hand() -> None:
    """Five anchors of 10 x 10 in a row, 5 px apart, an object equal to the middle one; three candidates.

    Their IoUs are 1, 1/3 and 1/3; mean 0.556, deviation 0.385, threshold 0.94: only the middle one learns.
    """
    anchors = torch.tensor([[x, 0.0, x + 10, 10] for x in (0.0, 5, 10, 15, 20)])
    truth = torch.tensor([[[10.0, 0, 20, 10]]])
    owner = assign_atss(anchors, [5], truth, torch.tensor([[True]]), candidates=3)
    assert owner.tolist() == [[-1, -1, 0, -1, -1]]
    assert assign_atss(anchors, [5], truth, torch.tensor([[False]]), candidates=3).tolist() == [[-1] * 5]
    # With all equal the threshold is that value itself, and all whose centres lie inside learn it.
    same = anchors[2].repeat(4, 1)
    assert assign_atss(same, [4], truth, torch.tensor([[True]])).tolist() == [[0] * 4]


def pyramid(channels: int, batch: int = 2, side: int = 128) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, channels, side // s, side // s) for s in STRIDES]


@pytest.mark.parametrize("cls", HEADS)
@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(cls: type, classes: int) -> None:
    head = cls(8, STRIDES, num_classes=classes, tower_depth=1)
    awkward = targets(
        [(0, 0, 0, 0, 0), (5, 5, 5.01, 5.01, 0), (10, 10, 20, 20, 0), (10, 10, 20, 20, 0), (20, 10, 30, 20, 0)],
        [(-50, -50, -10, -10, 0), (-1e4, -1e4, 1e4, 1e4, 0), (127, 127, 128, 128, classes - 1)],
    )
    for case in (awkward, targets([], [])):
        head.zero_grad()
        losses = head.loss(head(*pyramid(8)), case)
        sum(losses.values()).backward()
        assert all(torch.isfinite(v) for v in losses.values())
        assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize("cls", HEADS)
def test_no_nan_in_200_steps_of_bfloat16(cls: type) -> None:
    torch.manual_seed(0)
    head, levels = cls(8, STRIDES, num_classes=3, tower_depth=1), pyramid(8)
    truth = targets([(8, 8, 60, 50, 1)], [(30, 30, 100, 122, 2), (2, 2, 30, 32, 0)])
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01)
    losses = []
    for _ in range(200):
        with torch.autocast("cpu", torch.bfloat16):
            loss = sum(head.loss(head(*levels), truth).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("cls", HEADS)
def test_a_class_the_head_does_not_know_is_refused(cls: type) -> None:
    head = cls(8, STRIDES, num_classes=3, tower_depth=0)
    with pytest.raises(ValueError, match=r"class index 5.*Set num_classes to 6"):
        head.loss(head(*pyramid(8, 1)), targets([(0, 0, 9, 9, 5)]))
