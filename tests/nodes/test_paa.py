"""PAA: figures, the mixture and what it chooses by hand, overlap as score, awkward targets."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nodes.assign.gaussian_mixture import assign_gaussian_mixture, fit_two_gaussians
from nodes.heads.paa import PAAHead
from tests.nodes.test_reference import Case, run
from tests.nodes.test_yolov8_head import targets

STRIDES = (8, 16, 32, 64, 128)


def pyramid(channels: int, batch: int = 2, side: int = 128) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, channels, side // s, side // s) for s in STRIDES]


def test_counts_are_those_of_the_table() -> None:
    case = Case("mmdet 3.3.0", "PAAHead(80,256,stacked=4)", lambda *_: PAAHead(256, STRIDES), (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert sum(p.numel() for p in built.parameters()) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 8525, 4), (1, 8525, 80)]
    with torch.device("meta"):
        raw = built.train()(*(torch.empty(s) for s in case.shapes()))
    text = ["[" + ", ".join("x".join(map(str, m.shape)) for m in raw[i : i + 5]) + "]" for i in (0, 5, 10)]
    assert case.row["output_shapes"] == f"[{', '.join(text)}]"
    wide: list[tuple[int, ...]] = [(2, 256, 64 >> i, 96 >> i) for i in range(5)]
    cells = sum(h * w for _, _, h, w in wide)
    assert run(case, wide)[1] == [(2, cells, 4), (2, cells, 80)]


def test_two_gaussians_by_hand() -> None:
    """Two groups far apart: each distribution takes one, with its mean, variance and half of the weight.

    Values 0, 2 | 100, 102: means 1 and 101, variances 1. The density at each value, one away from its mean, is
    1/2 * exp(-1/2) / sqrt(2 pi). The third value of the second row is not there: 0 and 2 are groups of their own.
    """
    values = torch.tensor([[0.0, 2, 100, 102], [0, 50, 7, 7]])
    there = torch.tensor([[True] * 4, [True, True, False, False]])
    found = fit_two_gaussians(values, there)
    assert found.low.tolist() == [[True, True, False, False], [True, False, False, False]]
    want = math.log(0.5) - 0.5 - math.log(2 * math.pi) / 2
    torch.testing.assert_close(found.density[0], torch.full((4,), want), rtol=1e-4, atol=1e-4)
    nothing = fit_two_gaussians(torch.full((1, 3), math.inf), torch.zeros(1, 3, dtype=torch.bool))
    assert not nothing.low.any()


def test_two_gaussians_find_what_the_values_were_drawn_from() -> None:
    torch.manual_seed(0)
    values = torch.cat((torch.randn(300) * 0.5 + 1, torch.randn(200) * 0.5 + 5))[None]
    found = fit_two_gaussians(values, torch.ones_like(values, dtype=torch.bool), steps=50)
    assert found.low[0, :300].all()
    assert not found.low[0, 300:].any()


def test_assignment_by_hand() -> None:
    """Two levels of four anchors; two candidates of each level. Object 0 may have anchors 0 to 2 and 4 to 6.

    The cheapest of the first level are 0 and 1 (costs 1.0 and 1.1), of the second 5 and 6 (1.2 and 9.0): sorted 1.0,
    1.1, 1.2, 9.0. The lower distribution is around 1.1, where the mixture is densest, so 1.0 and 1.1 learn. Object 1
    has one candidate and keeps it. Object 2 has none.
    """
    owner = torch.tensor([[0, 0, 0, 1, 0, 0, 0, -1]])
    costs = torch.tensor([[1.0, 1.1, 5.0, 3.0, 9.5, 1.2, 9.0, 0.0]])
    chosen = assign_gaussian_mixture(owner, costs, (4, 4), 3, candidates=2)
    assert chosen.tolist() == [[0, 0, -1, 1, -1, -1, -1, -1]]
    assert assign_gaussian_mixture(owner[:, :0], costs[:, :0], (0,), 0).shape == (1, 0)


def test_score_is_the_root_of_class_times_overlap() -> None:
    """Logits log 3 and 0: sqrt(3/4 * 1/2). The anchor of 8 cells of 8 px around the corner (0, 0) stays as it is."""
    head = PAAHead(8, (8,), num_classes=1)
    raw = (torch.full((1, 1, 1, 1), math.log(3)), torch.zeros(1, 4, 1, 1), torch.zeros(1, 1, 1, 1))
    found = head.decode(raw)
    assert float(found.scores) == pytest.approx(math.sqrt(0.375), rel=1e-5)
    assert found.boxes.flatten().tolist() == [-32, -32, 32, 32]


def test_loss_by_hand() -> None:
    """One anchor equal to the object, all outputs zero: overlap 1, so no box loss; both others are of p = 1/2.

    Focal loss of a one: 1/4 * 1/4 * log 2. Cross-entropy of the overlap: log 2, at a gain of 1/2.
    """
    head = PAAHead(8, (8,), num_classes=1)
    raw = (torch.zeros(1, 1, 1, 1), torch.zeros(1, 4, 1, 1), torch.zeros(1, 1, 1, 1))
    losses = head.loss(raw, targets([(-32, -32, 32, 32, 0)]))
    assert float(losses["box"]) == pytest.approx(0, abs=1e-5)
    assert float(losses["cls"]) == pytest.approx(math.log(2) / 16, rel=1e-5)
    assert float(losses["iou"]) == pytest.approx(math.log(2) / 2, rel=1e-5)


@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(classes: int) -> None:
    head = PAAHead(8, STRIDES, num_classes=classes, tower_depth=1)
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
    head, levels = PAAHead(8, STRIDES, num_classes=3, tower_depth=1), pyramid(8)
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
    head = PAAHead(8, STRIDES, num_classes=3, tower_depth=0)
    with pytest.raises(ValueError, match=r"class index 5.*Set num_classes to 6"):
        head.loss(head(*pyramid(8, 1)), targets([(0, 0, 9, 9, 5)]))
