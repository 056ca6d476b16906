"""Anchor-based YOLO heads: figures, decoding, matching and losses by hand, awkward targets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nodes.assign.anchor_shape import best_shape, like_shapes, like_sides, match_cells, shape_overlap
from nodes.heads.yolo_anchor import Implicit, YOLOv3Head, YOLOv4Head, YOLOv5Head
from nodes.reparam import fuse
from tests.nodes.test_reference import ROWS
from tests.nodes.test_yolov8_head import targets

HEADS = (YOLOv3Head, YOLOv4Head, YOLOv5Head)
LOG3 = math.log(3)  # its sigmoid is 0.75


def params_of(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def pyramid(channels: tuple[int, ...], batch: int = 2, side: int = 64) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, c, side // s, side // s) for c, s in zip(channels, (8, 16, 32), strict=False)]


def test_counts_are_those_of_the_table() -> None:
    parts = ROWS["mmdet 3.3.0", "yolo/yolov3_d53_8xb8-ms-416-273e_coco.py"]["note"]
    v5 = ROWS["mmyolo 0.6.0", "yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py"]["note"]
    v7 = ROWS["mmyolo 0.6.0", "yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco.py"]["note"]
    with torch.device("meta"):
        assert f"bbox_head={params_of(YOLOv3Head((128, 256, 512), (8, 16, 32)))};" in parts
        assert f"bbox_head={params_of(YOLOv4Head((128, 256, 512), (8, 16, 32)))};" in parts  # the same network
        assert f"bbox_head={params_of(YOLOv5Head((64, 128, 256), (8, 16, 32)))};" in v5
        implicit = YOLOv5Head((128, 256, 512), (8, 16, 32), implicit=True)
        assert f"bbox_head={params_of(implicit)};" in v7
        assert params_of(fuse(implicit)) == params_of(YOLOv5Head((128, 256, 512), (8, 16, 32)))


@pytest.mark.parametrize("cls", HEADS)
def test_shapes(cls: type) -> None:
    head = cls((16, 24, 32), (8, 16, 32), num_classes=4)
    raw = head(*pyramid((16, 24, 32)))
    assert [tuple(m.shape) for m in raw] == [(2, 27, 8, 8), (2, 27, 4, 4), (2, 27, 2, 2)]
    found = head.eval()(*pyramid((16, 24, 32)))
    assert (found.boxes.shape, found.scores.shape) == ((2, 252, 4), (2, 252, 4))


def test_decoding_by_hand() -> None:
    """One level of stride 8, anchors 16 x 32 and 8 x 8, two cells side by side; values log 3, so sigmoids of 0.75.

    Version 3: 0.75 cell = 6 px from the cell's corner; sides e^log3 = 3 anchors. Version 4: 0.75 * 1.2 - 0.1 = 0.8
    cell = 6.4 px. Version 5: 1.5 - 0.5 = 1 cell = 8 px; sides 1.5^2 = 2.25 anchors.
    """
    raw = torch.zeros(1, 2 * 7, 1, 2)
    raw[0, :4, 0, 1] = LOG3  # the first anchor in the second cell, whose corner is at x = 8
    raw[0, 4, 0, 1], raw[0, 6, 0, 1] = LOG3, LOG3
    want = {YOLOv3Head: (14, 6, 48, 96), YOLOv4Head: (14.4, 6.4, 48, 96), YOLOv5Head: (16, 8, 36, 72)}
    for cls, (x, y, w, h) in want.items():
        found = cls((4,), (8,), num_classes=2, anchors=(16, 32, 8, 8)).decode((raw,))
        box = torch.tensor([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        torch.testing.assert_close(found.boxes[0, 1], box)  # anchors come one after the other, each with its cells
        torch.testing.assert_close(found.scores[0, 1], torch.tensor([0.375, 0.5625]))
        # The second anchor in the first cell, all zero: its middle, its own size.
        torch.testing.assert_close(found.boxes[0, 2], torch.tensor([0.0, 0, 8, 8]))


def test_which_anchors_by_hand() -> None:
    """An object of 20 x 10. Against 10 x 10: 100 / 200. Against 40 x 10: 200 / 400. Against 18 x 12: 180 / 236."""
    sizes = torch.tensor([[[20.0, 10.0]]])
    anchors = torch.tensor([[[10.0, 10.0], [40.0, 10.0]], [[18.0, 12.0], [100.0, 45.0]]])
    torch.testing.assert_close(shape_overlap(sizes, anchors)[0, 0, 0], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(shape_overlap(sizes, anchors)[0, 0, 1], torch.tensor([180 / 236, 200 / 4500]))
    assert best_shape(sizes, anchors).tolist() == [[[[False, False], [True, False]]]]
    assert like_shapes(sizes, anchors, 0.213).tolist() == [[[[True, True], [True, False]]]]
    assert like_shapes(sizes, anchors, 0.9).tolist() == [[[[False, False], [True, False]]]]
    assert like_sides(sizes, anchors, 4.0).tolist() == [[[[True, True], [True, False]]]]


def test_which_cells_by_hand() -> None:
    """Strides 8 and 16 on 32 x 24 pixels: 3 rows of 4 cells, 2 of 2. The centre (13, 7) is cell (1, 0) of the first.

    There it lies at 0.625 and 0.875 of the cell, so the nearest neighbours are (2, 0) and (1, 1). At stride 16 it is
    in cell (0, 0) at 0.81 and 0.44: the neighbour to the right; none above, as there is no row.
    """
    chosen = torch.tensor([[[[True, False], [False, True]]]])
    centres, grids = torch.tensor([[[13.0, 7.0]]]), [(3, 4), (2, 2)]
    alone = match_cells(chosen, centres, (8, 16), grids, neighbours=False)
    # Two anchors x 12 cells come before the second level, whose second anchor starts four cells later.
    assert sorted(alone.place.tolist()) == [1, 24 + 4]
    more = match_cells(chosen, centres, (8, 16), grids, neighbours=True)
    assert sorted(more.place.tolist()) == [1, 2, 4 + 1, 24 + 4, 24 + 5]
    outside = match_cells(chosen, torch.tensor([[[-1.0, 7.0]]]), (8, 16), grids, neighbours=True)
    assert outside.place.numel() == 0


def test_yolov3_loss_by_hand() -> None:
    """One object, 16 x 32 at (4, 12), in the lower of two cells of stride 8, and one anchor of just that size.

    Values are zero, so the place costs BCE(0.5 | 0.5) = log 2 for x and for y, the size nothing, times 2 less the
    object's share of the image, which is 8 x 16 px, so at most 1: the weight is 1. Objectness: log 2 for the match;
    the other cell's box, 16 x 32 at (4, 4), overlaps by 24/40 = 0.6 and is left alone. One class: log 2.
    """
    head = YOLOv3Head((4,), (8,), num_classes=1, anchors=(16, 32))
    raw = torch.zeros(1, 6, 2, 1)
    losses = head.loss((raw,), targets([(-4, -4, 12, 28, 0)]))
    log2 = math.log(2)
    assert {k: round(float(v), 5) for k, v in losses.items()} == {
        "box": round(2 * log2, 5), "obj": round(log2, 5), "cls": round(log2, 5)
    }  # fmt: skip


def test_yolov5_objectness_aims_at_the_overlap() -> None:
    """A prediction that matches exactly is to claim 1, all others 0; the box costs nothing."""
    head = YOLOv5Head((4,), (8,), num_classes=1, anchors=(8, 8))
    raw = torch.zeros(1, 6, 2, 2)
    losses = head.loss((raw,), targets([(0, 0, 8, 8, 0)]))  # the centre is in the middle: no neighbour is nearer
    assert float(losses["box"]) == pytest.approx(0, abs=1e-5)
    assert float(losses["obj"]) == pytest.approx(4 * math.log(2), abs=1e-5)
    raw[0, 4] = torch.tensor([[20.0, -20.0], [-20.0, -20.0]])
    assert float(head.loss((raw,), targets([(0, 0, 8, 8, 0)]))["obj"]) == pytest.approx(0, abs=1e-5)


def test_a_box_that_grew_away_comes_back_in_yolov4() -> None:
    """e^6 times too wide: the overlap alone has hardly a gradient there."""
    head = YOLOv4Head((4,), (8,), num_classes=1, anchors=(8, 8))
    raw = torch.zeros(1, 6, 1, 1)
    raw[0, 2] = 6
    raw.requires_grad_()
    head.loss((raw,), targets([(0, 0, 8, 8, 0)]))["box"].backward()
    assert float(raw.grad[0, 2]) > 1


@pytest.mark.parametrize("cls", HEADS)
@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(cls: type, classes: int) -> None:
    head = cls((8, 8, 8), (8, 16, 32), num_classes=classes)
    awkward = targets(
        [(0, 0, 0, 0, 0), (5, 5, 5.01, 5.01, 0), (10, 10, 20, 20, 0), (10, 10, 20, 20, 0), (20, 10, 30, 20, 0)],
        [(-50, -50, -10, -10, 0), (-1e4, -1e4, 1e4, 1e4, 0), (63, 63, 64, 64, classes - 1)],
    )
    for case in (awkward, targets([], [])):
        head.zero_grad()
        losses = head.loss(head(*pyramid((8, 8, 8))), case)
        sum(losses.values()).backward()
        assert all(torch.isfinite(v) for v in losses.values())
        assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
        assert set(losses) == {"box", "obj", "cls"}


@pytest.mark.parametrize("cls", HEADS)
def test_no_nan_in_200_steps_of_bfloat16(cls: type) -> None:
    torch.manual_seed(0)
    head = cls((8, 8, 8), (8, 16, 32), num_classes=3)
    levels, truth = pyramid((8, 8, 8)), targets([(8, 8, 40, 30, 1)], [(30, 30, 60, 62, 2), (2, 2, 12, 12, 0)])
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)
    first = last = math.nan
    for step in range(200):
        with torch.autocast("cpu", torch.bfloat16):
            loss = sum(head.loss(head(*levels), truth).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 10)
        optimizer.step()
        last = float(loss.detach())
        first = last if step == 0 else first
    assert last < 0.7 * first


def test_implicit_knowledge_folds_away() -> None:
    torch.manual_seed(0)
    layer, x = Implicit(6, 10), torch.randn(2, 6, 3, 5)
    torch.testing.assert_close(layer.fuse()(x), layer(x), rtol=1e-5, atol=1e-5)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"anchors has 6 numbers; 2 level.* multiple of 4"):
        YOLOv3Head((8, 8), (8, 16), anchors=(1, 2, 3, 4, 5, 6))
    head = YOLOv5Head((8, 8, 8), (8, 16, 32), num_classes=3)
    with pytest.raises(ValueError, match=r"class index 5.*Set num_classes to 6"):
        head.loss(head(*pyramid((8, 8, 8))), targets([(0, 0, 9, 9, 5)], []))


def test_yolov3_scales_boxes_with_the_anchor() -> None:
    """The size's loss is half the squared log ratio: twice the anchor is 0.5 * log(2)^2 a side, weighed by 2 - 1/4."""
    head = YOLOv3Head((4,), (8,), num_classes=1, anchors=(8, 8))
    raw = torch.zeros(1, 6, 4, 4)
    raw[0, :2] = 0
    place = functional.binary_cross_entropy_with_logits(torch.zeros(2), torch.zeros(2), reduction="sum")
    # The object 16 x 16 at (16, 16): the corner of cell (2, 2), a quarter of the 32 x 32 image.
    loss = head.loss((raw,), targets([(8, 8, 24, 24, 0)]))["box"]
    assert float(loss) == pytest.approx((float(place) + math.log(2) ** 2) * 1.75, rel=1e-5)
