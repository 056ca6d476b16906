"""RTMDet's head and YOLO-MS: figures, soft-label assignment, decoding and loss by hand, awkward targets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nodes.assign.soft_label import assign_soft_label
from nodes.backbones.yolo_ms import yolo_ms
from nodes.heads.rtmdet import RTMDetHead
from nodes.necks.yolo_ms import yolo_ms_neck
from tests.nodes.test_reference import ROWS
from tests.nodes.test_yolov8_head import targets
from tests.nodes.test_yolox_gfl import grid

BASE = ROWS["repo YOLO-MS", "yoloms/yoloms_syncbn_fast_8xb8-300e_coco.py"]


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parts_of_yolo_ms() -> None:
    with torch.device("meta"), torch.no_grad():
        neck = yolo_ms_neck.build((1, 256, 80, 80), (1, 512, 40, 40), (1, 1024, 20, 20), size="base").eval()
        assert f"neck={params_of(neck)},bbox_head={params_of(RTMDetHead(192, (8, 16, 32)))};" in BASE["note"]
        maps = neck(torch.empty(2, 256, 12, 20), torch.empty(2, 512, 6, 10), torch.empty(2, 1024, 3, 5))
        assert [tuple(m.shape) for m in maps] == [(2, 192, 12, 20), (2, 192, 6, 10), (2, 192, 3, 5)]


@pytest.mark.parametrize(("size", "millions"), [("xs", 4.5), ("s", 8.1), ("base", 22.0)])
def test_yolo_ms_is_as_large_as_published(size: str, millions: float) -> None:
    with torch.device("meta"), torch.no_grad():
        backbone = yolo_ms.build((1, 3, 64, 64), size=size).eval()
        maps = backbone(torch.empty(1, 3, 64, 64))[1:]
        neck = yolo_ms_neck.build(*(tuple(m.shape) for m in maps), size=size).eval()
        head = RTMDetHead(neck(*maps)[0].shape[1], (8, 16, 32))
    assert round(sum(map(params_of, (backbone, neck, head))) / 1e6, 1) == pytest.approx(millions, abs=0.0501)


def test_soft_labels_by_hand() -> None:
    """4 x 4 cells of 8 px, all boxes the object 0..32 px: thirteen are wanted, the cheapest of sixteen.

    All fit alike and score alike, so the distance from the centre decides: the three left out are corners.
    """
    points, strides = grid(4, 8)
    boxes = torch.tensor([[0.0, 0, 32, 32]]).expand(1, 16, 4)
    truth, labels = torch.tensor([[[0.0, 0, 32, 32]]]), torch.zeros(1, 1, dtype=torch.long)
    found = assign_soft_label(torch.zeros(1, 16, 1), boxes, points, strides, truth, labels, labels >= 0)
    missing = (~found.positive[0]).nonzero()[:, 0].tolist()
    assert len(missing) == 3
    assert set(missing) <= {0, 3, 12, 15}
    # Half overlaps: thirteen of them add up to 6.5, six whole cells: the four of the middle, and two beside them.
    half = torch.tensor([[0.0, 0, 32, 16]]).expand(1, 16, 4)
    found = assign_soft_label(torch.zeros(1, 16, 1), half, points, strides, truth, labels, labels >= 0)
    assert found.positive.sum() == 6
    assert found.positive[0, [5, 6, 9, 10]].all()
    assert found.score[0, 5] == pytest.approx(0.5)
    outside = assign_soft_label(torch.zeros(1, 16, 1), boxes, points, strides, truth + 100, labels, labels >= 0)
    assert not outside.positive.any()


def test_decoding_and_loss_by_hand() -> None:
    """One cell of 8 px with its point at 0, 0 and sides of one cell: the box -8..8, which is the object."""
    head = RTMDetHead(4, (8,), 1)
    raw = [torch.ones(1, 5, 1, 1)]
    raw[0][:, 4] = 0.0
    found = head.decode(raw)
    assert found.boxes[0, 0].tolist() == [-8, -8, 8, 8]
    assert found.scores[0, 0, 0] == 0.5
    losses = head.loss(raw, targets([(-8, -8, 8, 8, 0)]))
    assert float(losses["cls"]) == pytest.approx(0.25 * math.log(2), abs=1e-5)
    assert float(losses["box"]) == pytest.approx(0, abs=1e-5)
    # Sides of half a cell: a quarter of the object. Its quality and weight are 1/4, over 1 at least; GIoU 1/4.
    raw[0][:, :4] = 0.5
    losses = head.loss(raw, targets([(-8, -8, 8, 8, 0)]))
    assert float(losses["box"]) == pytest.approx(2 * 0.75 * 0.25, abs=1e-5)
    assert float(losses["cls"]) == pytest.approx(0.25**2 * math.log(2), abs=1e-5)


def test_levels_share_convolutions_but_not_norms() -> None:
    head = RTMDetHead(4, (8, 16), 1)
    assert len(head.cls_tower.convs) == 2
    assert len(head.cls_tower.norms) == 2
    head.train()(torch.randn(2, 4, 8, 8) + 3, torch.randn(2, 4, 4, 4))
    first, second = (norms[0].running_mean for norms in head.cls_tower.norms)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(classes: int) -> None:
    torch.manual_seed(0)
    head = RTMDetHead(8, (8, 16), classes)
    for given in (
        targets([], []),
        targets([(3, 3, 3.5, 3.5, 0), (0, 0, 32, 64, 0), (32, 0, 64, 64, 0)], []),
        targets([(8, 8, 40, 40, 0)] * 3 + [(-30, -30, 90, 90, 0), (100, 100, 120, 140, 0)], []),
    ):
        total = torch.stack(
            list(head.loss(head(torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4)), given).values())
        ).sum()
        assert total.isfinite()
        total.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


def test_no_nan_in_200_steps_of_bfloat16() -> None:
    torch.manual_seed(0)
    head, levels = RTMDetHead(8, (8, 16), 2), (torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4))
    given = targets([(8, 8, 40, 24, 0), (30, 30, 60, 60, 1)], [(0, 0, 64, 64, 1)])
    optimizer = torch.optim.AdamW(head.parameters(), lr=5e-3)
    losses = []
    for _ in range(200):
        with torch.autocast("cpu", torch.bfloat16):
            loss = torch.stack(list(head.loss(head(*levels), given).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().item())
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] / 2
