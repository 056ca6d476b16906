"""Losses of class maps by hand, and the heads that use them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from nodes.heads.classify import ClassificationHead
from nodes.heads.semantic import FCNHead, LRASPPHead
from nodes.losses.class_map import map_cross_entropy, map_dice

LOGITS = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [5.0, 0.0]]).T.reshape(1, 2, 1, 3)
"""Three pixels of two classes: probabilities (1/2, 1/2), (3/4, 1/4) and a sure one."""


def test_cross_entropy_by_hand() -> None:
    for void in (255, -1):
        targets = torch.tensor([[[1, 0, void]]])
        first, second = math.log(2), math.log(4 / 3)
        assert map_cross_entropy(LOGITS, targets) == pytest.approx((first + second) / 2)
        weights = torch.tensor([3.0, 1.0])
        assert map_cross_entropy(LOGITS, targets, weights) == pytest.approx((first + 3 * second) / 4)
        focal = (0.5**2 * first + 0.25**2 * second) / 2
        assert map_cross_entropy(LOGITS, targets, gamma=2.0) == pytest.approx(focal)
        smooth = (first + 0.9 * second + 0.1 * (math.log(4 / 3) + math.log(4)) / 2) / 2
        assert map_cross_entropy(LOGITS, targets, label_smoothing=0.1) == pytest.approx(smooth)


def test_cross_entropy_is_torchs() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 5, 6, 7), torch.randint(0, 5, (2, 6, 7))
    targets[0, :2] = 255
    weights = torch.rand(5) + 0.5
    wanted = F.cross_entropy(logits, targets, weights, ignore_index=255)
    torch.testing.assert_close(map_cross_entropy(logits, targets, weights), wanted)


def test_dice_by_hand() -> None:
    """p of class 0: 1/2, 3/4; of class 1: 1/2, 1/4; the third pixel is ignored."""
    targets = torch.tensor([[[1, 0, 255]]])
    zero = 1 - 2 * 0.75 / (0.25 + 0.5625 + 1 + 1e-3)
    one = 1 - 2 * 0.5 / (0.25 + 0.0625 + 1 + 1e-3)
    assert map_dice(LOGITS, targets) == pytest.approx((zero + one) / 2)
    assert map_dice(LOGITS, torch.tensor([[[0, 0, 255]]])) == pytest.approx(  # a class that is not there has no say
        1 - 2 * 1.25 / (0.8125 + 2 + 1e-3)
    )


def test_nothing_but_ignored_pixels_gives_no_gradient_and_no_nan() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    targets = torch.full((1, 4, 4), 255)
    total = map_cross_entropy(logits, targets) + map_dice(logits, targets)
    total.backward()
    assert total == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("objective", ["cross_entropy", "focal"])
def test_heads_enlarge_and_lose(objective: str) -> None:
    torch.manual_seed(0)
    heads = (
        (FCNHead(16, 8, 3, objective=objective, dice_gain=1.0), (torch.randn(2, 16, 4, 6),)),
        (LRASPPHead(8, 16, 8, 3, objective=objective), (torch.randn(2, 8, 4, 6), torch.randn(2, 16, 2, 3))),
    )
    for head, inputs in heads:
        assert head.task == "semantic"
        raw = head.train()(*inputs)
        assert raw.shape == (2, 3, 4, 6)
        targets = torch.randint(0, 3, (2, 32, 48))
        losses = head.loss(raw, targets)
        assert set(losses) == ({"cls", "dice"} if isinstance(head, FCNHead) else {"cls"})
        assert all(v.ndim == 0 and v.isfinite() for v in losses.values())
        out = head.eval()(*inputs)
        assert out.shape == (2, 3, 32, 48)
        torch.testing.assert_close(out.sum(1), torch.ones(2, 32, 48))
        with pytest.raises(ValueError, match="class index 3, the head knows 3 classes"):
            head.loss(raw, targets.clamp(max=2) + 1)
    with pytest.raises(ValueError, match="class_weights has 2 numbers, there are 3 classes"):
        FCNHead(16, 8, 3, class_weights=(100, 50))


def test_weights_of_classes_are_per_cent() -> None:
    head = FCNHead(4, 1, 2, depth=0, class_weights=(300, 100))
    losses = head.loss(LOGITS, torch.tensor([[[1, 0, 255]]]))
    assert losses["cls"] == pytest.approx((math.log(2) + 3 * math.log(4 / 3)) / 4)


def test_a_classifier_learns_from_shares_of_classes() -> None:
    """-(0.75 log p0 + 0.25 log p1), p = (3/4, 1/4); with smoothing 0.2 the shares are 0.7 and 0.3."""
    raw = torch.tensor([[math.log(3), 0.0]])
    shares = torch.tensor([[0.75, 0.25]])
    for smoothing, (first, second) in ((0.0, (0.75, 0.25)), (0.2, (0.7, 0.3))):
        head = ClassificationHead(4, 2, label_smoothing=smoothing)
        wanted = -(first * math.log(0.75) + second * math.log(0.25))
        assert head.loss(raw, shares)["cls"] == pytest.approx(wanted)
    assert head.loss(raw, torch.tensor([0]))["cls"] > 0
    with pytest.raises(ValueError, match="shares of 3 classes, the head knows 2"):
        head.loss(raw, torch.ones(1, 3) / 3)
