"""The task-aligned assigner: one case worked by hand, then its invariants on random and awkward scenes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.assign.task_aligned import Assignment, assign_task_aligned
from nodes.losses.iou import iou


def grid(size: int, stride: int) -> Tensor:
    """[N, 2] cell centres of a square image."""
    side = (torch.arange(size // stride) + 0.5) * stride
    y, x = torch.meshgrid(side, side, indexing="ij")
    return torch.stack((x.flatten(), y.flatten()), 1)


def scene(seed: int, batch: int, objects: int, size: int = 64) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Random class scores, predictions around their cells, points, objects, all valid."""
    g = torch.Generator().manual_seed(seed)
    points = torch.cat((grid(size, 8), grid(size, 16)))
    half = torch.rand(batch, len(points), 2, 2, generator=g) * 24
    boxes = torch.cat((points - half[:, :, 0], points + half[:, :, 1]), -1)
    corner = torch.rand(batch, objects, 2, generator=g) * size * 0.8
    truth = torch.cat((corner, corner + torch.rand(batch, objects, 2, generator=g) * size * 0.5 + 1), -1)
    scores = torch.rand(batch, objects, len(points), generator=g)
    return scores, boxes, points, truth, torch.ones(batch, objects, dtype=torch.bool)


def test_by_hand() -> None:
    """Five cells in a row, centres x = 4, 12, 20, 28, 36 (y = 4); two objects; top_k 2, alpha 1, beta 1.

    Object 0 spans x 0..24 and holds cells 0, 1, 2. IoUs of their predictions (all 8 high): cell 0 predicts 0..12
    -> 12/24 = 0.5, cell 1 predicts it exactly -> 1, cell 2 predicts 12..36 -> 12/36 = 1/3. Scores 0.9, 0.4, 0.9 give
    alignments 0.45, 0.4, 0.3: cells 0 and 1 are chosen.
    Object 1 spans x 8..40 and holds cells 1 to 4. IoUs: cell 1 (0..24) 16/40 = 0.4, cell 2 (12..36) 24/32 = 0.75,
    cells 3 and 4 (8..24) 16/32 = 0.5. Scores 1, 0.2, 0.5, 0.1 give 0.4, 0.15, 0.25, 0.05: cells 1 and 3.
    Cell 1 is claimed by both and goes to object 0, IoU 1 against 0.4.
    Target scores: object 0 has best IoU 1 and best alignment 0.45: cell 0 gets 0.45/0.45 * 1 = 1, cell 1 gets
    0.4/0.45 = 8/9. Object 1 keeps cell 3 alone: best IoU 0.5, so 0.5.
    """
    points = torch.tensor([[4.0, 4], [12, 4], [20, 4], [28, 4], [36, 4]])
    spans = torch.tensor([[0.0, 12], [0, 24], [12, 36], [8, 24], [8, 24]])
    boxes = torch.stack((spans[:, 0], torch.zeros(5), spans[:, 1], torch.full((5,), 8.0)), 1)[None]
    truth = torch.tensor([[[0.0, 0, 24, 8], [8, 0, 40, 8]]])
    scores = torch.tensor([[[0.9, 0.4, 0.9, 1, 1], [1, 1, 0.2, 0.5, 0.1]]])
    got = assign_task_aligned(scores, boxes, points, truth, torch.ones(1, 2).bool(), top_k=2, alpha=1, beta=1)
    assert got.positive.tolist() == [[True, True, False, True, False]]
    assert got.owner[0, [0, 1, 3]].tolist() == [0, 0, 1]
    torch.testing.assert_close(got.score, torch.tensor([[1.0, 8 / 9, 0, 0.5, 0]]))


def one_by_one(scores: Tensor, boxes: Tensor, points: Tensor, truth: Tensor, top_k: int) -> tuple[list, list]:
    """The definition again for one image, in loops over objects and cells: owners and target scores."""
    overlap = iou(truth[:, None], boxes[None])
    alignment = scores**0.5 * overlap**6
    claims: list[list[int]] = [[] for _ in points]
    for m, (x1, y1, x2, y2) in enumerate(truth.tolist()):
        inside = [n for n, (x, y) in enumerate(points.tolist()) if x1 <= x < x2 and y1 <= y < y2]
        for n in sorted(inside, key=lambda n: -alignment[m, n].item())[:top_k]:
            claims[n].append(m)
    owners = [max(c, key=lambda m: overlap[m, n].item()) if c else -1 for n, c in enumerate(claims)]
    target = [0.0] * len(points)
    for m in range(len(truth)):
        mine = [n for n, o in enumerate(owners) if o == m]
        for n in mine:
            best = max(overlap[m, i].item() for i in mine)
            target[n] = alignment[m, n].item() / max(alignment[m, i].item() for i in mine) * best
    return owners, target


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_definition_written_as_loops(seed: int) -> None:
    scores, boxes, points, truth, valid = scene(seed, batch=3, objects=6)
    got = assign_task_aligned(scores, boxes, points, truth, valid)
    assert got.positive.sum() > 30
    for b in range(3):
        owners, target = one_by_one(scores[b], boxes[b], points, truth[b], top_k=10)
        assert torch.where(got.positive[b], got.owner[b], -1).tolist() == owners
        torch.testing.assert_close(got.score[b], torch.tensor(target), atol=1e-6, rtol=1e-4)


def equal(a: Assignment, b: Assignment) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_images_do_not_affect_each_other_and_padding_changes_nothing() -> None:
    scores, boxes, points, truth, valid = scene(7, batch=4, objects=5)
    together = assign_task_aligned(scores, boxes, points, truth, valid)
    for b in range(4):
        alone = assign_task_aligned(
            *(t[b : b + 1] for t in (scores, boxes)), points, truth[b : b + 1], valid[b : b + 1]
        )
        assert equal(alone, Assignment(*(t[b : b + 1] for t in together)))
    padded = assign_task_aligned(
        torch.cat((scores, torch.ones(4, 3, scores.shape[2])), 1),
        boxes,
        points,
        torch.cat((truth, torch.tensor([0.0, 0, 64, 64]).expand(4, 3, 4)), 1),
        torch.cat((valid, torch.zeros(4, 3, dtype=torch.bool)), 1),
    )
    assert equal(padded, together)


def test_at_most_top_k_cells_an_object_all_inside() -> None:
    scores, boxes, points, truth, valid = scene(3, batch=2, objects=4)
    got = assign_task_aligned(scores, boxes, points, truth, valid, top_k=3)
    for b in range(2):
        assert got.owner[b][got.positive[b]].bincount(minlength=4).max() <= 3
        for n in got.positive[b].nonzero().flatten().tolist():
            x1, y1, x2, y2 = truth[b, got.owner[b, n]].tolist()
            assert x1 <= points[n, 0] < x2
            assert y1 <= points[n, 1] < y2
    assert ((got.score >= 0) & (got.score <= 1)).all()
    assert not got.score[~got.positive].any()


def test_object_between_cell_centres_finds_a_cell() -> None:
    """A 2x2 px object at (15..17, 15..17) holds no centre of the 8 px grid; widened to 8 px it holds one."""
    points = grid(32, 8)
    boxes = torch.cat((points - 4, points + 4), 1)[None]
    truth = torch.tensor([[[15.0, 15, 17, 17]]])
    scores, valid = torch.ones(1, 1, 16), torch.ones(1, 1).bool()
    assert not assign_task_aligned(scores, boxes, points, truth, valid).positive.any()
    got = assign_task_aligned(scores, boxes, points, truth, valid, smallest=8.0)
    assert got.positive.sum() == 1
    assert points[got.positive[0]].tolist() == [[12.0, 12.0]]


@pytest.mark.parametrize(
    "box",
    [[10.0, 10, 10, 10], [20.0, 20, 10, 10], [-50.0, -50, -10, -10], [500.0, 500, 600, 600]],
    ids=["empty", "inverted", "left of the image", "right of the image"],
)
def test_impossible_objects_get_nothing_and_take_nothing(box: list[float]) -> None:
    scores, boxes, points, truth, valid = scene(1, batch=1, objects=3)
    want = assign_task_aligned(scores, boxes, points, truth, valid, smallest=8.0)
    scores = torch.cat((scores, torch.ones(1, 1, scores.shape[2])), 1)
    truth = torch.cat((truth, torch.tensor(box).expand(1, 1, 4)), 1)
    got = assign_task_aligned(scores, boxes, points, truth, torch.ones(1, 4).bool(), smallest=8.0)
    assert equal(got, want)


def test_no_objects_at_all() -> None:
    scores, boxes, points, _, _ = scene(0, batch=2, objects=3)
    for objects in (0, 2):
        got = assign_task_aligned(
            scores[:, :objects], boxes, points, torch.zeros(2, objects, 4), torch.zeros(2, objects, dtype=torch.bool)
        )
        assert not got.positive.any()
        assert not got.score.any()
        assert got.owner.shape == (2, len(points))


def test_repeated_objects_and_predictions_without_overlap_are_finite() -> None:
    """Three times the same object; predictions that have collapsed to points have IoU 0 everywhere."""
    _, boxes, points, truth, valid = scene(2, batch=2, objects=3)
    truth = truth[:, :1].expand(2, 3, 4)
    scores = torch.full((2, 3, len(points)), 1e-20)
    for predicted in (boxes, torch.cat((points, points), 1).expand(2, -1, -1)):
        got = assign_task_aligned(scores, predicted, points, truth, valid)
        assert torch.isfinite(got.score).all()
        assert got.positive.any()
        assert (got.score <= 1).all()
