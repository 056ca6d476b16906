"""YOLOv10's and MHAF-YOLO's heads: what each of the two learns, what is deployed; what the fusions see."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nodes.assisted_fusion import AAF, SAF
from nodes.heads.mhaf import MHAFHead
from nodes.heads.yolov10 import YOLOv10Head
from nodes.reparam import fuse
from tests.nodes.test_yolov8_head import targets


def levels(batch: int = 2) -> tuple[Tensor, ...]:
    return tuple(torch.randn(batch, 8, 64 // s, 64 // s, requires_grad=True) for s in (8, 16))


def head(classes: int = 2, kind: type[YOLOv10Head] = MHAFHead) -> YOLOv10Head:
    torch.manual_seed(0)
    return kind((8, 8), (8, 16), classes)


both = pytest.mark.parametrize("kind", [MHAFHead, YOLOv10Head])


@both
def test_only_the_head_with_ten_cells_trains_what_comes_before(kind: type) -> None:
    ours, maps = head(kind=kind), levels()
    given = targets([(8, 8, 40, 24, 0)], [(16, 16, 48, 48, 1)])
    losses = ours.loss(ours(*maps), given)
    assert set(losses) == {"box", "cls", "dfl", "one_box", "one_cls", "one_dfl"}
    torch.stack([v for k, v in losses.items() if k.startswith("one_")]).sum().backward(retain_graph=True)
    assert all(m.grad is None for m in maps)
    torch.stack([v for k, v in losses.items() if not k.startswith("one_")]).sum().backward()
    assert all(m.grad is not None for m in maps)


@both
def test_one_cell_answers_for_an_object_in_the_head_that_is_used(kind: type) -> None:
    ours = head(kind=kind)
    raw = [m.detach() for m in ours(*levels())]
    given = targets([(8, 8, 56, 56, 0)], [(0, 0, 30, 30, 1), (34, 34, 64, 64, 0)])
    assert len(ours.one.matched_losses(raw[2:], given)[1].image) == 3
    assert len(ours.many.matched_losses(raw[:2], given)[1].image) == 30


@both
def test_eval_and_deployment_use_that_head_alone(kind: type) -> None:
    ours, maps = head(kind=kind).eval(), levels(1)
    found, alone = ours(*maps), ours.one(*maps)
    assert torch.equal(found.boxes, alone.boxes)
    deployed = fuse(ours)
    assert not hasattr(deployed, "many")
    for a, b in zip(deployed(*maps), found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    raw = ours.train()(*maps)
    assert torch.equal(ours.decode(raw).boxes, ours.one.decode(raw[2:]).boxes)


@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(classes: int) -> None:
    ours = head(classes)
    for given in (
        targets([], []),
        targets([(3, 3, 3.5, 3.5, 0), (0, 0, 32, 64, 0), (32, 0, 64, 64, 0)], []),
        targets([(8, 8, 40, 40, 0)] * 3 + [(-30, -30, 90, 90, 0), (100, 100, 120, 140, 0)], []),
    ):
        total = torch.stack(list(ours.loss(ours(*levels()), given).values())).sum()
        assert total.isfinite()
        total.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in ours.parameters())


def test_no_nan_in_200_steps_of_bfloat16() -> None:
    ours, maps = head(), [m.detach() for m in levels()]
    given = targets([(8, 8, 40, 24, 0), (30, 30, 60, 60, 1)], [(0, 0, 64, 64, 1)])
    optimizer = torch.optim.AdamW(ours.parameters(), lr=5e-3)
    losses = []
    for _ in range(200):
        with torch.autocast("cpu", torch.bfloat16):
            loss = torch.stack(list(ours.loss(ours(*maps), given).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().item())
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("kind", [SAF, AAF])
def test_fusions_average_what_is_larger_and_repeat_what_is_smaller(kind: type) -> None:
    """Odd sizes too: 25 cells become 13, 6 become 13."""
    fusion = kind(1, (1, 1), 4, kernel_size=3)
    seen: list[Tensor] = []
    fusion.mix.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    same, larger = torch.zeros(1, 1, 2, 2), torch.arange(16.0).view(1, 1, 4, 4)
    smaller = torch.full((1, 1, 1, 1), 7.0)
    assert fusion(same, larger, smaller).shape == (1, 4, 2, 2)
    # The mean of 0, 1, 4, 5 is 2.5; of 2, 3, 6, 7 it is 4.5; two rows further down 8 more.
    assert seen[0][0, 1].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert (seen[0][0, 2] == 7).all()
    assert fusion(torch.zeros(1, 1, 13, 13), torch.zeros(1, 1, 25, 25), torch.zeros(1, 1, 6, 6)).shape[-1] == 13
