"""Box overlaps against torchvision's losses and by hand, and the distribution focal loss by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

from nodes.losses.dfl import distribution_focal_loss, expected_distance
from nodes.losses.iou import ciou, diou, giou, iou

A = torch.tensor([0.0, 0.0, 4.0, 4.0])
B = torch.tensor([2.0, 2.0, 6.0, 4.0])


def random_boxes(seed: int, count: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=g) * 100
    return torch.cat((corner, corner + torch.rand(count, 2, generator=g) * 60 + 0.5), 1)


def test_by_hand() -> None:
    """A is 4x4, B 4x2; they share 2x2 = 4 of 16 + 8 - 4 = 20, so IoU = 0.2.

    The enclosing box is 6x4 = 24, of which 4 are in neither: GIoU = 0.2 - 4/24. The centres (2, 2) and (4, 3) are
    sqrt(5) apart, its diagonal is sqrt(52): DIoU = 0.2 - 5/52. CIoU also loses v^2 / (1 - IoU + v) with
    v = 4/pi^2 (atan(4/4) - atan(4/2))^2.
    """
    v = 4 / math.pi**2 * (math.atan(1) - math.atan(2)) ** 2
    assert iou(A, B).item() == pytest.approx(0.2)
    assert giou(A, B).item() == pytest.approx(0.2 - 4 / 24)
    assert diou(A, B).item() == pytest.approx(0.2 - 5 / 52)
    assert ciou(A, B).item() == pytest.approx(0.2 - 5 / 52 - v * v / (0.8 + v))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(giou, generalized_box_iou_loss), (diou, distance_box_iou_loss), (ciou, complete_box_iou_loss)],
)
def test_values_and_gradients_equal_torchvisions(ours, theirs) -> None:
    target = random_boxes(1, 500)
    a, b = random_boxes(0, 500).requires_grad_(), random_boxes(0, 500).requires_grad_()
    loss, want = 1 - ours(a, target), theirs(b, target)
    torch.testing.assert_close(loss, want, atol=1e-5, rtol=1e-5)
    loss.sum().backward()
    want.sum().backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("measure", [iou, giou, diou, ciou])
def test_equal_boxes_score_one_and_order_does_not_matter(measure) -> None:
    boxes, others = random_boxes(2, 50), random_boxes(3, 50)
    torch.testing.assert_close(measure(boxes, boxes), torch.ones(50), atol=1e-5, rtol=0)
    torch.testing.assert_close(measure(boxes, others), measure(others, boxes), atol=1e-6, rtol=1e-5)
    assert measure(boxes[:, None], others[None]).shape == (50, 50)


@pytest.mark.parametrize("measure", [iou, giou, diou, ciou])
def test_degenerate_boxes_are_finite(measure) -> None:
    """Empty, line-like, touching, far apart, huge: all against all."""
    boxes = torch.tensor(
        [
            [5.0, 5, 5, 5],
            [0, 0, 0, 9],
            [0, 0, 9, 0],
            [0, 0, 9, 9],
            [9, 0, 18, 9],
            [-1e5, -1e5, 1e5, 1e5],
            [0, 0, 1e-6, 1],
        ]
    )
    a = boxes[:, None].expand(7, 7, 4).clone().requires_grad_()
    value = measure(a, boxes[None])
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(a.grad).all()


def test_half_precision_boxes_are_measured_in_float32() -> None:
    assert iou(A.bfloat16(), B.bfloat16()).dtype == torch.float32


def test_dfl_by_hand() -> None:
    """Three bins, probabilities 0.2, 0.5, 0.3; target 1.25 -> -(0.75 ln 0.5 + 0.25 ln 0.3)."""
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    got = distribution_focal_loss(logits, torch.tensor([1.25]))
    assert got.item() == pytest.approx(-(0.75 * math.log(0.5) + 0.25 * math.log(0.3)))
    assert expected_distance(logits).item() == pytest.approx(0.5 + 0.6)


@pytest.mark.parametrize(("target", "bin_asked"), [(0.0, 0), (2.0, 2), (1.0, 1), (-3.0, 0), (9.0, 2)])
def test_dfl_of_whole_and_outside_targets_asks_for_one_bin(target: float, bin_asked: int) -> None:
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    got = distribution_focal_loss(logits, torch.tensor([target]))
    assert got.item() == pytest.approx(-logits[0, bin_asked].item())


def test_dfl_is_least_at_the_target() -> None:
    """Descent on the logits leads to a distribution whose mean is the target."""
    logits = torch.zeros(1, 16, requires_grad=True)
    target = torch.tensor([6.3])
    for _ in range(300):
        (gradient,) = torch.autograd.grad(distribution_focal_loss(logits, target).sum(), logits)
        logits.data -= 2 * gradient
    assert expected_distance(logits).item() == pytest.approx(6.3, abs=0.1)
