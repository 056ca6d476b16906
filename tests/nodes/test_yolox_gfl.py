"""YOLOX, GFL and DAMO-YOLO's head: figures, SimOTA and the losses by hand, decoding, awkward targets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from nodes.assign.sim_ota import assign_sim_ota
from nodes.backbones.yolox import yolox_backbone
from nodes.heads.gfl import GFLHead
from nodes.heads.yolox import YOLOXHead
from nodes.heads.zero_head import ZeroHead
from nodes.losses.quality_focal import quality_focal_loss, quality_focal_miss
from tests.nodes.test_reference import ROWS
from tests.nodes.test_yolov8_head import targets


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_counts_are_those_of_the_table() -> None:
    yolox = ROWS["mmdet 3.3.0", "yolox/yolox_s_8xb8-300e_coco.py"]["note"]
    gfl = ROWS["mmdet 3.3.0", "gfl/gfl_r50_fpn_1x_coco.py"]["note"]
    with torch.device("meta"):
        backbone = yolox_backbone.build((1, 3, 640, 640)).eval()
        assert f"backbone={params_of(backbone)}," in yolox
        assert [tuple(m.shape) for m in backbone(torch.empty(2, 3, 96, 160))] == [
            (2, 128, 12, 20), (2, 256, 6, 10), (2, 512, 3, 5)
        ]  # fmt: skip
        assert f"bbox_head={params_of(YOLOXHead((128,) * 3, (8, 16, 32)))};" in yolox
        assert f"bbox_head={params_of(GFLHead(256, (8, 16, 32, 64, 128)))};" in gfl


def test_quality_focal_loss_by_hand() -> None:
    """p = 1/2 and t = 0.8: 0.3^2 ln 2. t = 0: 0.5^2 ln 2. p = t: nothing."""
    logits = torch.tensor([0.0, 0.0, math.log(4)])
    found = quality_focal_loss(logits, torch.tensor([0.8, 0.0, 0.8]))
    assert found.tolist() == pytest.approx([0.09 * math.log(2), 0.25 * math.log(2), 0], abs=1e-6)
    assert quality_focal_miss(logits[:1]).tolist() == pytest.approx([0.25 * math.log(2)])


def grid(side: int, stride: int) -> tuple[Tensor, Tensor]:
    """Centres [N, 2] and strides [N] of side x side cells."""
    along = (torch.arange(side) + 0.5) * stride
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack((x.flatten(), y.flatten()), 1), torch.full((side * side,), float(stride))


def test_sim_ota_by_hand() -> None:
    """4 x 4 cells of 8 px, one object of 0..32 px on one class.

    Four predictions overlap it fully, the others not at all: 4 cells. All have the same score, so the cost is that of
    the overlap, and the four are taken. With the scores of two of them near zero these still cost less than any that
    does not overlap: log(1/1e-8) times 3 is 55.
    """
    points, strides = grid(4, 8)
    boxes = torch.zeros(1, 16, 4)
    good = [5, 6, 9, 10]
    boxes[0, good] = torch.tensor([0.0, 0, 32, 32])
    truth, labels = torch.tensor([[[0.0, 0, 32, 32]]]), torch.zeros(1, 1, dtype=torch.long)
    scores = torch.full((1, 16, 1), 0.5)
    scores[0, good[:2]] = 1e-5
    found = assign_sim_ota(scores, boxes, points, strides, truth, labels, labels >= 0)
    assert found.positive[0].nonzero()[:, 0].tolist() == good
    assert found.score[0, good].tolist() == pytest.approx([1.0] * 4)
    # Half overlaps: 16 of them add up to 8 over the best ten, but ten halves give five.
    boxes[0] = torch.tensor([0.0, 0, 32, 16])
    assert assign_sim_ota(scores, boxes, points, strides, truth, labels, labels >= 0).positive.sum() == 5


def test_a_cell_goes_to_the_object_that_it_costs_least() -> None:
    points, strides = grid(4, 8)
    boxes = torch.tensor([[10.0, 10, 22, 22]]).expand(1, 16, 4).clone()
    truth = torch.tensor([[[0.0, 0, 32, 32], [10, 10, 22, 22], [100, 100, 120, 120]]])
    labels = torch.tensor([[0, 1, 0]])
    scores = torch.full((1, 16, 2), 0.5)
    found = assign_sim_ota(scores, boxes, points, strides, truth, labels, labels >= 0)
    # Every prediction is the second object: it wants ten cells, four inside it and six around. The first object, which
    # they overlap by 144 / 1024, wants one, of those around the second, where it alone has both box and centre.
    counts = [int((found.owner[found.positive] == i).sum()) for i in range(3)]
    assert counts == [1, 9, 0]  # the third lies outside the image
    none = assign_sim_ota(scores, boxes, points, strides, truth[:, :0], labels[:, :0], labels[:, :0] >= 0)
    assert not none.positive.any()


def test_yolox_decoding_by_hand() -> None:
    """Cell (1, 2) of stride 8, offsets 0.5 and 0.25 from its corner (16, 8): centre (20, 10); sides 8e and 8."""
    head = YOLOXHead((4,), (8,), 2, 4, 1).eval()
    raw = torch.full((1, 7, 3, 4), -9.0)
    raw[0, :4, 1, 2] = torch.tensor([0.5, 0.25, 1.0, 0.0])
    raw[0, 4:, 1, 2] = torch.tensor([0.0, math.log(3), -9.0])
    found = head.decode([raw])
    half = 4 * math.e
    assert found.boxes[0, 6].tolist() == pytest.approx([20 - half, 6, 20 + half, 14], abs=1e-4)
    assert found.scores[0, 6, 0] == pytest.approx(0.5 * 0.75)


def test_yolox_loss_by_hand() -> None:
    """One cell of 8 px, whose box is the object 0..8 px exactly, all logits 0: ln 2 for its class, whose target is 1,
    ln 2 for its objectness, nothing for its box."""
    head = YOLOXHead((4,), (8,), 1, 4, 1)
    raw = torch.zeros(1, 6, 1, 1)
    raw[0, :2] = 0.5
    losses = head.loss([raw], targets([(0, 0, 8, 8, 0)]))
    assert float(losses["cls"]) == pytest.approx(math.log(2), abs=1e-5)
    assert float(losses["obj"]) == pytest.approx(math.log(2), abs=1e-5)
    assert float(losses["box"]) == pytest.approx(0, abs=1e-5)


def test_gfl_decoding_and_loss_by_hand() -> None:
    """One cell of 8 px whose point is at 0, 0. Sides that are sure of 1 bin reach 8 px: the box -8..8."""
    head = GFLHead(4, (8,), 1, reg_max=4, tower_depth=0, base_size=2)
    sides = torch.zeros(1, 4, 5, 1, 1)
    sides[:, :, 1] = 40.0
    raw = [torch.zeros(1, 1, 1, 1), sides.flatten(1, 2)]
    found = head.decode(raw)
    assert found.boxes[0, 0].tolist() == pytest.approx([-8, -8, 8, 8])
    assert found.scores[0, 0, 0] == 0.5
    losses = head.loss(raw, targets([(-8, -8, 8, 8, 0)]))
    # The box is the object: the quality is 1, p = 1/2.
    assert float(losses["cls"]) == pytest.approx(0.25 * math.log(2), abs=1e-5)
    assert float(losses["box"]) == pytest.approx(0, abs=1e-5)
    assert float(losses["dfl"]) == pytest.approx(0, abs=1e-5)
    raw[1] = torch.zeros(1, 20, 1, 1)  # five bins alike: two cells to each side; ln 5 a side, times 1/2, over 1
    losses = head.loss(raw, targets([(-8, -8, 8, 8, 0)]))
    assert float(losses["dfl"]) == pytest.approx(0.25 * 0.5 * math.log(5), abs=1e-5)
    assert float(losses["box"]) == pytest.approx(2 * 0.5 * (1 - 0.25), abs=1e-5)


def test_zero_head_by_hand() -> None:
    """A 3x3 convolution to K and one to 4 x 17 values a level, with bias, and a scale a level. One cell of 8 px whose
    sides are sure of one cell: -4..12 around (4, 4), which is the object; its score 1/2 should be 1."""
    head = ZeroHead((64, 128, 256), (8, 16, 32))
    assert params_of(head) == (64 + 128 + 256) * 9 * (80 + 68) + 3 * (80 + 68) + 3
    head = ZeroHead((4,), (8,), 1, reg_max=4)
    raw = torch.zeros(1, 21, 1, 1)
    raw[0, 1:20:5] = 40.0
    found = head.decode([raw])
    assert found.boxes[0, 0].tolist() == pytest.approx([-4, -4, 12, 12])
    losses = head.loss([raw], targets([(-4, -4, 12, 12, 0)]))
    assert losses["cls"].item() == pytest.approx(0.25 * math.log(2), abs=1e-5)
    assert losses["box"].item() == pytest.approx(0, abs=1e-5)
    assert losses["dfl"].item() == pytest.approx(0, abs=1e-5)


HEADS = {
    "yolox": lambda classes: YOLOXHead((8, 8), (8, 16), classes, 8, 1),
    "gfl": lambda classes: GFLHead(8, (8, 16), classes, tower_depth=1, base_size=2),
    "zero": lambda classes: ZeroHead((8, 8), (8, 16), classes),
}


@pytest.mark.parametrize("which", HEADS)
@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(which: str, classes: int) -> None:
    torch.manual_seed(0)
    head = HEADS[which](classes)
    cases = (
        targets([], []),
        targets([(3, 3, 3.5, 3.5, 0), (0, 0, 32, 64, 0), (32, 0, 64, 64, 0)], []),
        targets([(8, 8, 40, 40, 0)] * 3 + [(-30, -30, 90, 90, 0), (100, 100, 120, 140, 0), (5, 5, 5, 5, 0)], []),
    )
    for given in cases:
        raw = head(torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4))
        total = torch.stack(list(head.loss(raw, given).values())).sum()
        assert total.isfinite()
        total.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())
    with pytest.raises(ValueError, match=str(classes)):
        head.loss(raw, targets([(8, 8, 40, 40, classes)], []))


@pytest.mark.parametrize("which", HEADS)
def test_no_nan_in_200_steps_of_bfloat16(which: str) -> None:
    torch.manual_seed(0)
    head, levels = HEADS[which](2), (torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4))
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
