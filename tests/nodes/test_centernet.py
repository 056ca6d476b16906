"""CenterNet: figures, heat maps, decoding and losses by hand, awkward targets."""

from __future__ import annotations

import math

import pytest
import torch

from nodes.assign.centre_heat import centre_heat, radius_of
from nodes.backbones.resnet import resnet
from nodes.heads.centernet import CenterNetHead
from nodes.losses.heat import centre_focal_loss
from nodes.necks.deconv import deconv_neck
from nodes.sdk.discover import library
from tests.nodes.test_reference import ROWS
from tests.nodes.test_yolov8_head import targets

SOURCE = "mmdet 3.3.0"


def params_of(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("deformable", "name"), [(False, "r18"), (True, "r18-dcnv2")])
def test_counts_are_those_of_the_table(deformable: bool, name: str) -> None:
    row = ROWS[SOURCE, f"centernet/centernet_{name}_8xb16-crop512-140e_coco.py"]
    with torch.device("meta"):
        backbone = resnet.build((1, 3, 512, 512), depth=18)
        neck = deconv_neck.build((1, 512, 16, 16), deformable=deformable).eval()
        head = CenterNetHead(64, 4).eval()
        fine = neck(torch.empty(1, 512, 16, 16))
        found = head(fine)
    assert params_of(head) == int(ROWS[SOURCE, "CenterNetHead(in=64,feat=64,80)"]["params"])
    assert f"neck={params_of(neck)}," in row["note"]
    assert sum(map(params_of, (backbone, neck, head))) == int(row["params"])
    assert tuple(fine.shape) == (1, 64, 128, 128)
    assert (found.boxes.shape, found.scores.shape) == ((1, 128 * 128, 4), (1, 128 * 128, 80))
    with torch.device("meta"):
        assert deconv_neck.build((1, 512, 5, 7)).eval()(torch.empty(2, 512, 5, 7)).shape == (2, 64, 40, 56)


def test_its_wire_carries_predictions() -> None:
    """In training forward returns one tensor, not a tuple of maps, which must not be taken for what it gives."""
    assert [p.kind for p in library().spec("head.center_net_head").outputs] == ["predictions"]


def test_radius_leaves_the_overlap() -> None:
    """Square of 10 with IoU 0.7: along the diagonal (10 - r)^2 * 1.7 = 140, so r = 10 - sqrt(82.35) = 0.925.

    Inwards (10 - 2r)^2 = 70, so r = 0.817; outwards 0.7 (10 + 2r)^2 = 100, so r = 0.976. The smallest counts.
    """
    assert float(radius_of(torch.tensor([10.0, 10.0]))) == pytest.approx((10 - math.sqrt(70)) / 2, abs=1e-4)
    wide = torch.tensor([40.0, 8.0])
    r = float(radius_of(wide))
    shrunk = (40 - 2 * r) * (8 - 2 * r) / 320
    grown = 320 / ((40 + 2 * r) * (8 + 2 * r))
    moved = (40 - r) * (8 - r) / (640 - (40 - r) * (8 - r))
    assert min(shrunk, grown, moved) == pytest.approx(0.7, abs=1e-4)


def test_heat_by_hand() -> None:
    """A radius of 2 cells gives a spread of 5/6: one cell aside exp(-1 / (2 * 25/36)) = exp(-0.72)."""
    centres, sizes = torch.tensor([[[3.0, 2.0], [0.0, 0.0]]]), torch.tensor([[[30.0, 30.0], [30.0, 30.0]]])
    assert int(radius_of(sizes[0, 0])) == 2
    heat = centre_heat(centres, sizes, torch.tensor([[1, -1]]), torch.tensor([[True, False]]), (5, 8), 3)
    assert heat.shape == (1, 3, 5, 8)
    assert float(heat[0, 1, 2, 3]) == 1
    assert float(heat[0, 1, 2, 4]) == pytest.approx(math.exp(-0.72))
    assert float(heat[0, 1, 3, 4]) == pytest.approx(math.exp(-1.44))
    assert float(heat[0, 1, 2, 6]) == 0  # three cells away
    assert float(heat[0, [0, 2]].sum()) == 0


def test_focal_loss_by_hand() -> None:
    """Logits 0: the centre costs 0.25 log 2, a cell with heat 0.5 another (1/2)^4 of that, one with none all of it."""
    loss = centre_focal_loss(torch.zeros(3), torch.tensor([1.0, 0.5, 0.0]))
    assert float(loss) == pytest.approx(0.25 * math.log(2) * (1 + 1 / 16 + 1), rel=1e-5)


def test_decoding_by_hand() -> None:
    """Two cells side by side on stride 4; the right one is the peak, its neighbour is silenced.

    Its corner is (4, 0), the offset (0.5, 0.25) cells, the size 3 x 2 cells: centre (6, 1), box (0, -3, 12, 5).
    """
    head = CenterNetHead(4, 4, num_classes=1)
    raw = torch.zeros(1, 5, 1, 2)
    raw[0, 0, 0] = torch.tensor([0.0, math.log(3)])
    raw[0, 1:, 0, 1] = torch.tensor([3.0, 2.0, 0.5, 0.25])
    found = head.decode(raw)
    torch.testing.assert_close(found.boxes[0, 1], torch.tensor([0.0, -3, 12, 5]))
    torch.testing.assert_close(found.scores[0, :, 0], torch.tensor([0.0, 0.75]))


def test_loss_by_hand() -> None:
    """One object of 12 x 8 px at (6, 2): cell (1, 0), 3 x 2 cells, offset (0.5, 0.5); outputs are zero.

    Size |3| + |2| times 0.1, offset 0.5 + 0.5; the heat of one of two cells as the focal loss has it.
    """
    head = CenterNetHead(4, 4, num_classes=1)
    losses = head.loss(torch.zeros(1, 5, 1, 2), targets([(0, -2, 12, 6, 0)]))
    assert float(losses["size"]) == pytest.approx(0.5)
    assert float(losses["offset"]) == pytest.approx(1.0)
    assert float(losses["heat"]) == pytest.approx(2 * 0.25 * math.log(2), rel=1e-5)  # radius 0: no heat beside it


@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(classes: int) -> None:
    head = CenterNetHead(8, 4, num_classes=classes, hidden_channels=8)
    awkward = targets(
        [(0, 0, 0, 0, 0), (5, 5, 5.01, 5.01, 0), (10, 10, 20, 20, 0), (10, 10, 20, 20, 0), (20, 10, 30, 20, 0)],
        [(-50, -50, -10, -10, 0), (-1e4, -1e4, 1e4, 1e4, 0), (31, 31, 32, 32, classes - 1)],
    )
    for case in (awkward, targets([], [])):
        head.zero_grad()
        losses = head.loss(head(torch.randn(2, 8, 8, 8)), case)
        sum(losses.values()).backward()
        assert all(torch.isfinite(v) for v in losses.values())
        assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_no_nan_in_200_steps_of_bfloat16() -> None:
    torch.manual_seed(0)
    head, x = CenterNetHead(8, 4, num_classes=3, hidden_channels=8), torch.randn(2, 8, 16, 16)
    truth = targets([(8, 8, 40, 30, 1)], [(30, 30, 60, 62, 2), (2, 2, 12, 12, 0)])
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01)
    losses = []
    for _ in range(200):
        with torch.autocast("cpu", torch.bfloat16):
            loss = sum(head.loss(head(x), truth).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_a_class_the_head_does_not_know_is_refused() -> None:
    head = CenterNetHead(8, 4, num_classes=3)
    with pytest.raises(ValueError, match=r"class index 5.*Set num_classes to 6"):
        head.loss(head(torch.randn(1, 8, 8, 8)), targets([(0, 0, 9, 9, 5)]))
