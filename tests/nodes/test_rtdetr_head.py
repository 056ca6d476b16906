"""RT-DETR's head: its figures; assignment, denoising, attention and losses by hand; what learns from what."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from nodes.assign.hungarian import Pairs, assign_hungarian, pair_costs
from nodes.assign.matching import cheapest_pairs
from nodes.deformable_attention import DeformableAttention
from nodes.denoising import VALUES, noisy_queries
from nodes.heads.rtdetr import RTDETRHead, start_boxes
from nodes.losses.set_loss import noisy_pairs, set_losses
from nodes.query_decoder import QueryDecoder, logit
from tests.nodes.test_reference import Case, run
from tests.nodes.test_yolov8_head import targets

STRIDES = (8, 16, 32)
CASE = Case("ultralytics", "RTDETRDecoder(80,ch=(256,256,256))", lambda *_: RTDETRHead((256,) * 3, STRIDES), (), ())


def levels(batch: int = 2) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(batch, 8, 128 // s, 64 // s) for s in STRIDES]


def head(**params: int | float) -> RTDETRHead:
    torch.manual_seed(0)
    small = {"feat_channels": 16, "queries": 10, "layers": 2, "heads": 2, "feed_forward": 16, "denoising": 4}
    return RTDETRHead((8, 8, 8), STRIDES, 3, **(small | params))  # type: ignore[arg-type]


def test_the_head_is_as_large_as_the_table_says() -> None:
    built, shapes, gmacs = run(CASE, CASE.shapes())
    assert sum(p.numel() for p in built.parameters()) == int(CASE.row["params"])
    assert sum(b.numel() for b in built.buffers() if b.dim()) == 1536
    assert gmacs == pytest.approx(float(CASE.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 300, 4), (1, 300, 80)]
    small = [(2, 256, 8, 12), (2, 256, 4, 6), (2, 256, 2, 3)]
    assert run(CASE, small)[1] == [(2, 126, 4), (2, 126, 80)]  # no more queries than cells


def focal_cost(p: float) -> float:
    """Of a query whose score of the object's class is p: alpha 0.25, gamma 2."""
    return -0.25 * (1 - p) ** 2 * math.log(p) + 0.75 * p**2 * math.log(1 - p)


def test_two_queries_for_two_objects() -> None:
    """The first query suits both objects best; the sum is least when it takes the one that the other does not know."""
    scores = torch.tensor([[0.9, 0.8], [0.85, 0.1]])  # a query's score of each class
    truth = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0, 0, 0, 0]]])
    found = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.6, 0.5, 0.2, 0.2]])[None, None]
    labels = torch.tensor([[0, 1, -1]])
    cost = pair_costs(scores.logit()[None, None], found, truth, labels, 2.0, 5.0, 2.0)[0, 0, :, :2]
    # The second query is 0.1 to the right: IoU 1/3, and with the first box it fills its hull of 0.3 x 0.2.
    apart = 5 * 0.1 - 2 / 3
    by_hand = [[2 * focal_cost(p) - 2 for p in (0.9, 0.8)], [2 * focal_cost(p) + apart for p in (0.85, 0.1)]]
    torch.testing.assert_close(cost, torch.tensor(by_hand), rtol=1e-4, atol=1e-4)
    assert cost[0].argmin() == 0
    assert cost.diag().sum() > cost[0, 1] + cost[1, 0]
    pairs = assign_hungarian(scores.logit()[None, None], found, truth, labels)
    assert [t.tolist() for t in pairs] == [[0, 0], [0, 0], [0, 1], [1, 0]]


def test_every_layer_of_every_image_is_matched_by_itself() -> None:
    places = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.1
    labels = torch.tensor([[0, -1, 1], [-1, -1, 2]])
    truth = torch.full((2, 3, 4), 0.15)
    for image, owner, layer, query in ((0, 0, 0, 4), (0, 2, 1, 3), (1, 2, 2, 1)):
        truth[image, owner] = places[image, layer, query]
    pairs = assign_hungarian(torch.zeros(2, 3, 5, 3), places, truth, labels)
    rows = set(zip(*(t.tolist() for t in pairs), strict=True))
    assert len(rows) == 9
    assert {(0, 0, 4, 0), (0, 1, 3, 2), (1, 2, 1, 2)} <= rows


def test_more_objects_than_queries_and_predictions_that_are_not_finite() -> None:
    truth, labels = torch.rand(1, 4, 4), torch.zeros(1, 4, dtype=torch.long)
    boxes = torch.full((1, 1, 2, 4), torch.nan)
    assert len(assign_hungarian(torch.zeros(1, 1, 2, 1), boxes, truth, labels).image) == 2


def test_pairs_cost_as_little_as_scipys() -> None:
    random = np.random.default_rng(0)
    for case in range(400):
        size = tuple(random.integers(0, 13, 2))
        kinds = (
            random.normal(size=size), random.integers(0, 3, size), np.zeros(size),
            np.where(random.random(size) < 0.3, 1e6, random.normal(size=size)),
        )  # fmt: skip
        cost = kinds[case % 4]
        pairs = cheapest_pairs(torch.from_numpy(np.asarray(cost, dtype=np.float64)))
        rows, columns = [row for row, _ in pairs], [column for _, column in pairs]
        assert rows == sorted(set(rows))
        assert len(rows) == len(set(columns)) == min(size)
        assert cost[rows, columns].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum())


def test_denoising_queries_by_hand() -> None:
    truth = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.3, 0.3, 0.1, 0.1]], [[0.9, 0.5, 0.2, 0.2], [0, 0, 0, 0]]])
    labels = torch.tensor([[0, 2], [1, -1]])
    noise = torch.full((2, 8, VALUES), 0.75)
    noise[0, 5, 4:] = torch.tensor([0.1, 0.4])  # the second of the second group, near: its class is drawn, of 3
    noisy = noisy_queries(truth, labels, noise, 3, label_noise=0.25, box_noise=1.0)
    assert noisy.labels.tolist() == [[0, 2, 0, 2, 0, 1, 0, 2], [1, -1] * 4]
    assert noisy.owner.tolist() == [0, 1] * 4
    assert noisy.positive.tolist() == [[True, True, False, False] * 2, [True, False, False, False] * 2]
    # 0.75 is half way out: near, corners move by half of half a side, far by three halves of it, to the lower right.
    near, far = [0.55, 0.6, 0.2, 0.4], [0.65, 0.8, 0.2, 0.4]
    torch.testing.assert_close(noisy.boxes[0, 0], torch.tensor(near))
    torch.testing.assert_close(noisy.boxes[0, 4], torch.tensor(near))
    torch.testing.assert_close(noisy.boxes[0, 2], torch.tensor(far))
    # 0.8 .. 1.0 moves by 0.05, and is cut where the image ends.
    torch.testing.assert_close(noisy.boxes[1, 0], torch.tensor([0.925, 0.55, 0.15, 0.2]))
    group = torch.block_diag(torch.ones(4, 4), torch.ones(4, 4)).bool()
    assert torch.equal(noisy.mask[0, 0], group)
    padded = torch.tensor([False, True] * 4)
    assert torch.equal(noisy.mask[1, 0], group & (~padded | torch.eye(8, dtype=torch.bool)))
    none = noisy_queries(truth, torch.full((2, 2), -1), noise, 3, 0.25, 1.0)
    assert none.boxes.shape == (2, 0, 4)


def test_noise_is_shared_by_the_groups_and_repeated_for_many_objects() -> None:
    noise = torch.rand(1, 6, VALUES)
    for objects, queries in ((1, 6), (2, 4), (3, 6), (5, 10)):
        labels = torch.zeros(1, objects, dtype=torch.long)
        noisy = noisy_queries(torch.rand(1, objects, 4), labels, noise, 3, 0.0, 2.0)
        assert noisy.boxes.shape == (1, queries, 4)
        assert ((noisy.boxes[..., 2:] >= 0) & (noisy.boxes[..., 2:] <= 1)).all()


@torch.no_grad()
def test_deformable_attention_is_a_loop_over_places() -> None:
    torch.manual_seed(0)
    heads, points, sizes = 2, 3, [(4, 6), (2, 3)]
    attention = DeformableAttention(8, heads, len(sizes), points)
    for layer in (attention.offsets, attention.weights):
        nn.init.normal_(layer.weight)
    tokens, queries = torch.randn(1, 30, 8), torch.randn(1, 2, 8)
    boxes = torch.tensor([[[0.5, 0.4, 0.3, 0.6], [0.95, 0.1, 0.2, 0.1]]])  # the second looks beyond the border
    offsets = attention.offsets(queries).view(2, heads, len(sizes), points, 2)
    weights = attention.weights(queries).view(2, heads, -1).softmax(2).view(2, heads, len(sizes), points)
    values = attention.value(tokens)[0].view(30, heads, 4)
    expected = torch.zeros(2, heads, 4)
    for q, h, i, p in torch.cartesian_prod(*map(torch.arange, (2, heads, 2, points))).tolist():
        first, (height, width) = (0, 24)[i], sizes[i]
        x, y = (boxes[0, q, :2] + offsets[q, h, i, p] / points * boxes[0, q, 2:] / 2).tolist()
        x, y = x * width - 0.5, y * height - 0.5
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(x - column)) * (1 - abs(y - row))
                    expected[q, h] += weights[q, h, i, p] * share * values[first + row * width + column, h]
    found = attention(queries, boxes, attention.values(tokens, sizes))
    torch.testing.assert_close(found[0], attention.out(expected.flatten(1)), rtol=1e-4, atol=1e-5)


def test_perfect_predictions_cost_nothing_and_others_what_the_papers_say() -> None:
    truth, labels = torch.tensor([[[0.5, 0.5, 0.2, 0.2]]]), torch.tensor([[1]])
    pairs = Pairs(*(torch.tensor([i]) for i in (0, 0, 0, 0)))
    boxes = torch.tensor([[[[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]]]])
    logits = torch.full((1, 1, 2, 2), -20.0)
    logits[0, 0, 0, 1] = 20.0
    for value in set_losses(logits, boxes, truth, labels, pairs).values():
        assert float(value) == pytest.approx(0, abs=1e-4)
    boxes = boxes + torch.tensor([0.1, 0, 0, 0])
    found = {k: float(v) for k, v in set_losses(torch.zeros(1, 1, 2, 2), boxes, truth, labels, pairs).items()}
    assert found["l1"] == pytest.approx(0.1)
    assert found["giou"] == pytest.approx(1 - 1 / 3, rel=1e-4)
    # All scores 0.5: the object's entropy weighs as its IoU, a third; the other three 0.75 x 0.25.
    assert found["cls"] == pytest.approx(math.log(2) * (1 / 3 + 3 * 0.75 * 0.25), rel=1e-4)
    counted = set_losses(torch.zeros(1, 1, 2, 2), boxes, truth, labels, pairs, torch.tensor([[1.0, 0.0]]))["cls"]
    assert float(counted) == pytest.approx(math.log(2) * (1 / 3 + 0.75 * 0.25), rel=1e-4)


def test_denoising_pairs_are_the_near_queries_of_every_layer() -> None:
    pairs = noisy_pairs(torch.tensor([[True, False], [True, True]]), torch.tensor([3, 4]), 2)
    assert [t.tolist() for t in pairs] == [
        [0, 1, 1, 0, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 0, 1], [3, 3, 4, 3, 3, 4]
    ]  # fmt: skip


def test_groups_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    decoder, sizes = QueryDecoder(2, 3, 16, 2, 1, 2, 16), [(4, 4)]
    values = decoder.values(torch.randn(1, 16, 16), sizes)
    mask = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()[None, None]
    queries, boxes = torch.randn(1, 4, 16), torch.randn(1, 4, 4)
    before = decoder(queries, boxes, values, mask, every=True)[0]
    queries = torch.cat((queries[:, :2], torch.randn(1, 2, 16)), 1)
    after = decoder(queries, boxes, values, mask, every=True)[0]
    torch.testing.assert_close(after[:, :, :2], before[:, :, :2])
    assert not torch.allclose(after[:, :, 2:], before[:, :, 2:])
    last = decoder(queries, boxes, values, mask, every=False)
    assert torch.equal(last[0][:, 0], after[:, -1])


def test_a_layer_learns_from_its_own_box_and_the_next() -> None:
    ours = head(layers=3)
    for part in (*ours.decoder.boxes, ours.select_box):
        nn.init.normal_(part[-1].weight, std=0.1)  # type: ignore[index]
    boxes = ours(*levels())[1]
    last = [part[-1].weight for part in (ours.select_box, *ours.decoder.boxes)]  # type: ignore[index]
    reached = torch.autograd.grad(boxes[:, 3].sum(), last, allow_unused=True)
    assert [g is not None and bool(g.any()) for g in reached] == [False, False, True, True]


def test_queries_are_the_cells_with_the_best_scores() -> None:
    """A cell's score is that of its own features; cells at the border of a large map are left out."""
    sizes = [(1, 80), (1, 2)]
    start = start_boxes(sizes, torch.device("cpu"))
    assert start.isfinite().all()
    torch.testing.assert_close(start[81].sigmoid(), torch.tensor([0.75, 0.5, 0.1, 0.1]))
    ours = head(queries=2)
    tokens = torch.randn(1, 82, 16)
    scores = ours.select_score(ours.select(tokens)).amax(2)[0]
    scores[[0, 79]] = -torch.inf  # their centres are 0.6 % of the width from the border
    best = scores.topk(2).indices.sort().values  # in the order of the cells
    _, logits, boxes = ours._chosen(tokens, start)
    torch.testing.assert_close(logits.amax(2)[0], scores[best])
    torch.testing.assert_close(boxes[0], start[best])  # nothing is changed at the start


def test_decode_is_what_eval_gives_in_pixels() -> None:
    ours = head()
    for part in ours.project:
        part.eval()  # batch norm alone differs
    raw = ours(*levels())
    decoded, found = ours.decode(raw), ours.eval()(*levels())
    torch.testing.assert_close(decoded, found)
    x, y, w, h = (raw[1][:, -1] * torch.tensor([64.0, 128, 64, 128])).unbind(2)
    torch.testing.assert_close(found.boxes, torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), 2))


@pytest.mark.parametrize("given", [
    targets([], []),
    targets([(8, 8, 40, 24, 0)], []),
    targets([(3, 3, 3, 3, 0), (-30, -30, 90, 190, 2)] * 8, [(8, 8, 40, 24, 1)]),
])  # fmt: skip
@pytest.mark.parametrize("low", [False, True])
def test_awkward_targets_give_every_parameter_a_finite_gradient(given: dict[str, Tensor], low: bool) -> None:
    ours = head()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        losses = ours.loss(ours(*levels()), given)
    assert list(losses) == ["cls", "l1", "giou", "dn_cls", "dn_l1", "dn_giou"]
    assert all(v.dtype == torch.float32 and v.dim() == 0 for v in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    # None would hold up the other processes of a training.
    assert [n for n, p in ours.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_without_denoising_and_with_a_class_too_many() -> None:
    ours = head(denoising=0)
    losses = ours.loss(ours(*levels()), targets([(8, 8, 40, 24, 0)], []))
    assert list(losses) == ["cls", "l1", "giou"]
    torch.stack(list(losses.values())).sum().backward()
    assert [n for n, p in ours.named_parameters() if p.requires_grad and p.grad is None] == []
    with pytest.raises(ValueError, match="class index 3"):
        ours.loss(ours(*levels()), targets([(8, 8, 40, 24, 3)], []))
    with pytest.raises(ValueError, match="Use 18 feat_channels"):
        head(heads=3)


def test_a_step_down_the_gradient_lowers_the_loss() -> None:
    ours, given = head(), targets([(8, 8, 40, 24, 0), (10, 60, 60, 120, 1)], [(0, 0, 64, 64, 2)])
    optimizer = torch.optim.AdamW(ours.parameters(), 3e-3)
    totals = []
    for _ in range(40):
        total = torch.stack(list(ours.loss(ours(*levels()), given).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert sum(totals[-5:]) < 0.6 * sum(totals[:5])
    assert logit(torch.tensor([0.0, 1.0])).isfinite().all()
