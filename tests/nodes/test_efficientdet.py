"""EfficientDet's head: figures, anchors, decoding and losses by hand, awkward targets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from nodes.heads.efficientdet import EfficientDetHead
from tests.nodes.test_reference import ROWS
from tests.nodes.test_yolov8_head import targets

STRIDES = (8, 16, 32, 64, 128)


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def pyramid(channels: int, batch: int = 2, side: int = 256) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, channels, side // s, side // s) for s in STRIDES]


@pytest.mark.parametrize(("size", "channels", "side"), [("d0", 64, 512), ("d1", 88, 640)])
def test_counts_and_shapes_are_those_of_the_table(size: str, channels: int, side: int) -> None:
    row = ROWS["effdet 0.4.1", f"tf_efficientdet_{size}"]
    with torch.device("meta"), torch.no_grad():
        head = EfficientDetHead(channels, STRIDES, num_classes=90)
        raw = head(*(torch.empty(1, channels, side // s, side // s) for s in STRIDES))
        found = head.eval()(*(torch.empty(2, channels, 256 // s, 384 // s) for s in STRIDES))
    assert f"class_net={params_of(head.cls_tower)},box_net={params_of(head.box_tower)};" in row["note"]
    text = ["[" + ", ".join("x".join(map(str, m.shape)) for m in raw[i : i + 5]) + "]" for i in (0, 5)]
    assert row["output_shapes"] == f"[{', '.join(text)}]"
    cells = sum((256 // s) * (384 // s) for s in STRIDES)
    assert (found.boxes.shape, found.scores.shape) == ((2, 9 * cells, 4), (2, 9 * cells, 90))


def test_anchors_and_decoding_by_hand() -> None:
    """One cell of 8 px, one size of 4 cells: 32 px around (4, 4), then 44.8 x 22.4 and 22.4 x 44.8, not rounded.

    Moved right by 1/4 of 32 px and twice as high.
    """
    head = EfficientDetHead(8, (8,), num_classes=1, tower_depth=0, octaves=1)
    raw = (torch.zeros(1, 3, 1, 1), torch.zeros(1, 12, 1, 1))
    found = head.decode(raw)
    want = torch.tensor([(-12, -12, 20, 20), (-18.4, -7.2, 26.4, 15.2), (-7.2, -18.4, 15.2, 26.4)])
    torch.testing.assert_close(found.boxes[0], want)
    assert found.scores.flatten().tolist() == [0.5] * 3
    raw[1][0, :4, 0, 0] = torch.tensor([0.25, 0, 0, math.log(2)])
    torch.testing.assert_close(head.decode(raw).boxes[0, 0], torch.tensor([-4.0, -28, 28, 36]))
    assert head._split(raw)[2].shape == (3, 4)


def test_loss_by_hand() -> None:
    """The object is the square anchor moved right by 8 of its 32 px: 1/4; IoU 24/40. Outputs are zero.

    The others overlap it by less than 1/2: 44.8 x 22.4 by 22.4 * 30.4 = 681 of 1024 + 1004 - 681, IoU 0.51. So two
    anchors learn. Huber beyond 0.1: 0.1 * (x - 0.05). The square: 0.25 -> 0.02. The wide one: its centre moves by
    8 / 44.8, log(32 / 44.8) and log(32 / 22.4). Over 4 sides of 2 + 1 anchors, times 50.
    Classes: three anchors of p = 1/2, a one costs 1/4 * 2^-1.5 * log 2, a zero three times that: 2 + 3 quarters.
    """
    head = EfficientDetHead(8, (8,), num_classes=1, tower_depth=0, octaves=1)
    raw = (torch.zeros(1, 3, 1, 1), torch.zeros(1, 12, 1, 1))
    losses = head.loss(raw, targets([(-4, -12, 28, 20, 0)]))
    moves = (0.25, 8 / 44.8, math.log(44.8 / 32), math.log(32 / 22.4))
    assert float(losses["box"]) == pytest.approx(sum(0.1 * (m - 0.05) for m in moves) / 12 * 50, rel=1e-4)
    assert float(losses["cls"]) == pytest.approx((2 + 3) / 4 * 2**-1.5 * math.log(2) / 3, rel=1e-4)


def test_levels_share_convolutions_but_not_norms() -> None:
    """A pyramid of equal maps gives equal outputs until one level's norm changes."""
    torch.manual_seed(0)
    head = EfficientDetHead(8, (8, 16), num_classes=2, tower_depth=1)
    x = torch.randn(2, 8, 4, 4)
    first, second, *_ = head(x, x)
    torch.testing.assert_close(first, second)
    nn.init.constant_(head.cls_tower.norms[0][1].bias, 1.0)  # type: ignore[index]
    again, changed, *_ = head(x, x)
    torch.testing.assert_close(first, again)
    assert not torch.allclose(second, changed)


@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(classes: int) -> None:
    head = EfficientDetHead(8, STRIDES, num_classes=classes, tower_depth=1)
    awkward = targets(
        [(0, 0, 0, 0, 0), (5, 5, 5.01, 5.01, 0), (10, 10, 20, 20, 0), (10, 10, 20, 20, 0), (20, 10, 30, 20, 0)],
        [(-50, -50, -10, -10, 0), (-1e4, -1e4, 1e4, 1e4, 0), (127, 127, 128, 128, classes - 1)],
    )
    for case in (awkward, targets([], [])):
        head.zero_grad()
        losses = head.loss(head(*pyramid(8)), case)
        torch.stack(list(losses.values())).sum().backward()
        assert all(torch.isfinite(v) for v in losses.values())
        assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_no_nan_in_200_steps_of_bfloat16() -> None:
    torch.manual_seed(0)
    head, levels = EfficientDetHead(8, STRIDES, num_classes=3, tower_depth=1, octaves=1), pyramid(8)
    truth = targets([(8, 8, 60, 50, 1)], [(30, 30, 100, 122, 2), (2, 2, 30, 32, 0)])
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01)
    losses = []
    for _ in range(200):
        with torch.autocast("cpu", torch.bfloat16):
            loss = torch.stack(list(head.loss(head(*levels), truth).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_a_class_the_head_does_not_know_is_refused() -> None:
    head = EfficientDetHead(8, STRIDES, num_classes=3, tower_depth=0)
    with pytest.raises(ValueError, match=r"class index 5.*Set num_classes to 6"):
        head.loss(head(*pyramid(8, 1)), targets([(0, 0, 9, 9, 5)]))
