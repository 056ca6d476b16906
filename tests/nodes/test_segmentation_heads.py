"""YOLO's segmentation head and SOLO: figures, losses, assignment, decoding and suppression by hand, awkward targets."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from nodes.assign.grid_centres import assign_grid_centres
from nodes.heads.solo import SOLOHead
from nodes.heads.yolo_seg import Prototypes, YOLOSegHead
from nodes.losses.dice import dice_loss
from nodes.masks import resized, touched
from nodes.post.mask_nms import MaskNMS, MaskThreshold
from nodes.post.matrix_nms import matrix_decay
from nodes.types import MaskDetections, MaskPredictions
from tests.nodes.test_reference import ROWS, Case, run
from tests.nodes.test_yolov8_head import targets as boxes_of

LEVELS = [(1, 256, n, n) for n in (160, 80, 40, 20, 10)]
STRIDES = (4, 8, 16, 32, 64)


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def targets(size: int, *images: list[tuple[float, ...]]) -> dict[str, Tensor]:
    """Boxes (x1, y1, x2, y2, label), each filled by its mask at a quarter of `size` pixels."""
    found = boxes_of(*images)
    cells = size // 4
    masks = torch.zeros(*found["labels"].shape, cells, cells, dtype=torch.uint8)
    for i, rows in enumerate(images):
        for j, row in enumerate(rows):
            x1, y1, x2, y2 = (int(max(0, v) / 4) for v in row[:4])
            masks[i, j, y1:y2, x1:x2] = 1
    return {**found, "masks": masks}


# -- figures -----------------------------------------------------------------------------------------------------


def test_yolo_seg_counts_are_those_of_the_table() -> None:
    variant = "Segment legacy=True (80,32,64,ch=(64,128,256)) yolov8n-seg"
    channels, strides = (64, 128, 256), (8, 16, 32)
    case = Case("ultralytics", variant, lambda *_: YOLOSegHead(channels, strides), (), ())
    built, shapes, gmacs = run(case, [(1, c, n, n) for c, n in zip(channels, (80, 40, 20), strict=True)])
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 8400, 4), (1, 8400, 80), (1, 8400, 32), (1, 32, 160, 160)]
    assert run(case, [(2, c, 96 // s, 64 // s) for c, s in zip(channels, strides, strict=True)])[1] == [
        (2, 126, 4), (2, 126, 80), (2, 126, 32), (2, 32, 24, 16),
    ]  # fmt: skip
    with torch.device("meta"):
        assert params_of(Prototypes(64, 32)) == int(ROWS["ultralytics", "Proto(64,64,32)"]["params"])


@pytest.mark.parametrize(
    ("width", "decoupled", "variant"),
    [
        (256, False, "SOLOHead(80,256,feat=256,grids 40/36/24/16/12) canonical"),
        (512, False, "SOLOHead(80,256,feat=512,grids 40/36/24/16/12)"),
        (256, True, "DecoupledSOLOHead(80,256,feat=256) canonical"),
        (512, True, "DecoupledSOLOHead(80,256,feat=512)"),
    ],
)
def test_solo_counts_are_those_of_the_table(width: int, decoupled: bool, variant: str) -> None:
    def build(*_: object) -> nn.Module:
        return SOLOHead(256, STRIDES, feat_channels=width, decoupled=decoupled)

    case = Case("mmdet 3.3.0", variant, build, (), ())
    built, shapes, gmacs = run(case, LEVELS)
    assert params_of(built) == int(case.row["params"])
    # In eval the best masks alone are gathered; what the table counts are the convolutions, as here.
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 100, 4), (1, 100, 80), (1, 100, 100), (1, 100, 160, 160)]
    with torch.device("meta"):
        raw = build().train()(*(torch.empty(2, 256, 96 // s * 4, 64 // s * 4) for s in STRIDES))
    count = 3 if decoupled else 2
    assert len(raw) == 5 * count
    assert tuple(raw[0].shape) == (2, 80, 40, 40)
    assert tuple(raw[5].shape) == (2, 40 if decoupled else 1600, 96, 64)


@pytest.mark.parametrize(
    ("variant", "head"),
    [
        ("solo/solo_r50_fpn_1x_coco.py", "SOLOHead(80,256,feat=256,grids 40/36/24/16/12) canonical"),
        ("solo/decoupled-solo_r50_fpn_1x_coco.py", "DecoupledSOLOHead(80,256,feat=256) canonical"),
    ],
)
def test_the_whole_is_the_sum_of_its_parts(variant: str, head: str) -> None:
    """ResNet-50 without its classifier 23,508,032, FPN 3,344,384: the templates hold the total."""
    total, own = int(ROWS["mmdet 3.3.0", variant]["params"]), int(ROWS["mmdet 3.3.0", head]["params"])
    assert total == 23_508_032 + 3_344_384 + own


# -- parts by hand -----------------------------------------------------------------------------------------------


def test_dice_by_hand() -> None:
    """sum(pt) = 1.5, sum(p^2) = 1.5, sum(t^2) = 2: 1 - 3 / 3.501; equal masks 0; none in common 1; both empty 1."""
    p = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[1, 1], [0, 0]], [[1, 0], [0, 0]], [[0, 0], [0, 0]]])
    t = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1, 1], [0, 0]], [[0, 0], [0, 1]], [[0, 0], [0, 0]]])
    assert dice_loss(p, t).tolist() == pytest.approx([1 - 3 / 3.501, 2.5e-4, 1, 1], abs=1e-5)


def test_which_cells_a_box_touches_by_hand() -> None:
    """Cells of 4 px: 3..9 lies in columns 0, 1 and 2; 2..4 in row 0 alone, for 4 is where row 1 begins."""
    found = touched(torch.tensor([[3.0, 2, 9, 4], [5, 5, 5, 5]]), 2, 4, (4, 4))
    assert found[0].tolist() == [[True, True, True, False], [False] * 4]
    assert found[1].sum() <= 1


def test_masks_of_another_size_keep_what_is_half_covered() -> None:
    masks = torch.tensor([[[[1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]]], dtype=torch.uint8)
    assert resized(masks, 2, 2).tolist() == [[[[1, 0], [1, 0]]]]
    assert resized(masks, 8, 8)[0, 0, :2, :4].sum() == 8
    assert resized(torch.zeros(2, 0, 4, 4), 2, 2).shape == (2, 0, 2, 2)


def test_which_grid_cells_by_hand() -> None:
    """A mask of columns 2 to 9 and rows 2 to 5 of 16 x 16 cells: its centre is at 6 and 4 of them, 24 and 16 px.

    On a grid of 4 that is 1.5 and 1.0. The middle fifth of the box, 32 x 16 px, reaches from 20.8 to 27.2 px, column
    1, and from 14.4 to 17.6 px, rows 0 and 1. A smaller object takes the cell that both want.
    """
    given = targets(64, [(8, 8, 40, 24, 0)])
    args = given["boxes"], given["masks"], given["labels"] >= 0
    owner = assign_grid_centres(*args, 4, (1, 100))
    assert (owner >= 0).nonzero().tolist() == [[0, 0, 1], [0, 1, 1]]
    assert (assign_grid_centres(*args, 4, (30, 100)) == -1).all()  # sqrt(32 * 16) = 22.6 is too small
    both = targets(64, [(8, 8, 40, 24, 0), (20, 12, 28, 20, 0)])
    owner = assign_grid_centres(both["boxes"], both["masks"], both["labels"] >= 0, 4, (1, 100))
    assert owner[0, :2, 1].tolist() == [1, 1]
    nothing = assign_grid_centres(torch.zeros(2, 0, 4), torch.zeros(2, 0, 16, 16), torch.zeros(2, 0).bool(), 4, (1, 9))
    assert (nothing == -1).all()


def test_matrix_nms_by_hand() -> None:
    """Second overlaps the first by 1/2: exp(-2/4). Third overlaps the second alone, by 1/3, and that one was itself
    overlapped by 1/2: exp(-2 (1/9 - 1/4)) is above 1, so it keeps its score. Another class is left alone."""
    masks = torch.zeros(1, 4, 1, 8, dtype=torch.bool)
    masks[0, 0, 0, 0:3] = True
    masks[0, 1, 0, 1:4] = True
    masks[0, 2, 0, 3:4] = True
    masks[0, 3, 0, 0:3] = True
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6]])
    decay = matrix_decay(masks, scores, torch.tensor([[0, 0, 0, 1]]))
    assert decay[0].tolist() == pytest.approx([1, math.exp(-0.5), 1, 1])
    shuffled = [2, 0, 3, 1]
    again = matrix_decay(masks[:, shuffled], scores[:, shuffled], torch.tensor([[0, 0, 1, 0]]))
    assert again[0].tolist() == pytest.approx([1, 1, 1, math.exp(-0.5)])


def test_mask_nms_by_hand() -> None:
    """Two boxes of one object: the better stays, with the mask of its own coefficients, cut off at its box."""
    prototypes = torch.full((1, 2, 4, 4), 10.0)
    prototypes[0, 1] = -10.0
    boxes = torch.tensor([[[0.0, 0, 8, 8], [0, 0, 8, 7], [8, 8, 16, 16]]])
    scores = torch.tensor([[[0.6], [0.9], [0.3]]])
    coefficients = torch.tensor([[[0.0, 0.0], [1, 0], [0, 1]]])
    found = MaskNMS((16, 16), max_detections=3)(MaskPredictions(boxes, scores, coefficients, prototypes))
    assert found.labels.tolist() == [[0, 0, -1]]
    assert found.scores[0].tolist() == pytest.approx([0.9, 0.3, 0])
    assert (found.masks[0, 0, :2, :2] > 0.99).all()
    assert found.masks[0, 0, 2:].sum() == found.masks[0, 0, :, 2:].sum() == 0
    assert (found.masks[0, 1] < 0.01).all()
    assert found.masks[0, 2].sum() == 0


def test_mask_threshold_by_hand() -> None:
    """Cells of 0.2 and 0.8 side by side; enlarged fourfold the border lies in the middle."""
    masks = torch.tensor([[[[0.2, 0.8], [0.2, 0.8]]]])
    found = MaskDetections(torch.zeros(1, 1, 4), torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.long), masks)
    assert MaskThreshold((8, 8))(found).masks.tolist() == [[[[0, 1], [0, 1]]]]
    assert MaskThreshold((8, 8), 0.9)(found).masks.sum() == 0
    large = MaskThreshold((8, 8), enlarge=True)(found).masks
    assert large.shape == (1, 1, 8, 8)
    assert large[0, 0, 3].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


# -- losses and decoding -----------------------------------------------------------------------------------------


def test_yolo_seg_mask_loss_by_hand() -> None:
    """Coefficients of zero say one half everywhere: ln 2 for every cell, whatever the mask. Prototypes that are sure
    and right cost nothing; the other three losses are the detection head's."""
    torch.manual_seed(0)
    head = YOLOSegHead((8, 8, 8), (8, 16, 32), num_classes=2, prototypes=1, mask_gain=2.0)
    given = targets(64, [(8, 8, 40, 24, 0), (0, 32, 64, 64, 1)], [(16, 16, 48, 48, 1)])
    raw = [m.detach() for m in head(*(torch.randn(2, 8, 64 // s, 64 // s) for s in (8, 16, 32)))]
    for level in raw[:-1]:
        level[:, -1] = 0.0
    losses = head.loss(raw, given)
    assert float(losses["mask"]) == pytest.approx(2 * math.log(2), abs=1e-5)
    plain = super(YOLOSegHead, head).loss([m[:, :-1] for m in raw[:-1]], given)
    assert {k: float(v) for k, v in plain.items()} == {k: float(losses[k]) for k in plain}
    for level in raw[:-1]:
        level[:, -1] = 1.0
    one = {k: v[1:, :1] for k, v in given.items()}
    raw[-1][1] = resized(one["masks"], 16, 16)[0] * 40 - 20
    assert float(head.loss([m[1:] for m in raw], one)["mask"]) == pytest.approx(0, abs=1e-6)


def test_solo_loss_by_hand() -> None:
    """One class, one grid of 2 x 2 on one object: focal loss over one positive cell, dice of its mask."""
    head = SOLOHead(4, (4,), 1, 4, 1, grids=(2,), smallest=(1,), largest=(100,), mask_gain=3.0)
    given = targets(32, [(0, 0, 16, 16, 0)])
    raw = [torch.zeros(1, 1, 2, 2), torch.full((1, 4, 8, 8), -20.0)]
    raw[1][0, 0, :4, :4] = 20.0
    losses = head.loss(raw, given)
    # p = 1/2: the object's cell 0.25 * 0.25 ln 2, each of the three others 0.75 * 0.25 ln 2.
    assert float(losses["cls"]) == pytest.approx((0.0625 + 3 * 0.1875) * math.log(2), rel=1e-5)
    assert float(losses["mask"]) == pytest.approx(0, abs=1e-3)
    raw[1].fill_(20.0)  # everything: 2 * 16 in common, 64 + 16 in all
    assert float(head.loss(raw, given)["mask"]) == pytest.approx(3 * (1 - 32 / 80), rel=1e-4)


@pytest.mark.parametrize("decoupled", [False, True])
def test_solo_decoding_by_hand(decoupled: bool) -> None:
    """Cell (0, 1) of a 2 x 2 grid has an object, whose mask fills columns 4 to 7 and rows 0 to 3 of 8 x 8 cells."""
    head = SOLOHead(4, (4,), 1, 4, 1, (2,), (1,), (100,), decoupled, pre_top_k=6).eval()
    classes = torch.full((1, 1, 2, 2), -9.0)
    classes[0, 0, 0, 1] = 3.0
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[:4, 4:] = True
    if decoupled:
        columns, rows = torch.full((1, 2, 8, 8), -20.0), torch.full((1, 2, 8, 8), -20.0)
        columns[0, 1, :, 4:], rows[0, 0, :4] = 20.0, 20.0
        found = head.decode((classes, columns, rows))
    else:
        masks = torch.full((1, 4, 8, 8), -20.0)
        masks[0, 1, inside] = 20.0
        found = head.decode((classes, masks))
    assert found.boxes[0, 0].tolist() == [16, 0, 32, 16]
    assert float(found.scores[0, 0, 0]) == pytest.approx(1 / (1 + math.exp(-3)), abs=1e-4)
    assert (found.scores[0, 1:] < 1e-3).all()
    made = (found.coefficients @ found.prototypes.flatten(2)).unflatten(2, (8, 8))
    assert ((made[0, 0] > 0) == inside).all()


# -- robustness --------------------------------------------------------------------------------------------------


def heads(classes: int) -> list[nn.Module]:
    small = {"grids": (4, 3), "smallest": (1, 24), "largest": (32, 999), "feat_channels": 8, "tower_depth": 2}
    return [
        YOLOSegHead((8, 8), (8, 16), classes, prototypes=4),
        SOLOHead(8, (8, 16), classes, **small),  # type: ignore[arg-type]
        SOLOHead(8, (8, 16), classes, decoupled=True, **small),  # type: ignore[arg-type]
    ]


AWKWARD = {
    "nothing": [[], []],
    "tiny, touching, repeated, outside": [
        [(3, 3, 3.5, 3.5, 0), (0, 0, 32, 64, 0), (32, 0, 64, 64, 0)],
        [(8, 8, 40, 40, 0), (8, 8, 40, 40, 0), (-30, -30, 90, 90, 0), (100, 100, 120, 140, 0), (5, 5, 5, 5, 0)],
    ],
}


@pytest.mark.parametrize("classes", [1, 1000])
@pytest.mark.parametrize("kind", AWKWARD)
def test_awkward_targets_stay_finite(classes: int, kind: str) -> None:
    torch.manual_seed(0)
    for head in heads(classes):
        raw = head(torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4))
        losses = head.loss(raw, targets(64, *AWKWARD[kind]))
        total = torch.stack(list(losses.values())).sum()
        assert total.isfinite()
        total.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


def test_no_nan_in_200_steps_of_bfloat16() -> None:
    torch.manual_seed(0)
    levels = torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4)
    given = targets(64, [(8, 8, 40, 24, 0), (30, 30, 60, 60, 1)], [(0, 0, 64, 64, 1)])
    for head in heads(2):
        optimizer = torch.optim.AdamW(head.parameters(), lr=2e-3)
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


def test_a_copy_in_eval_is_equal_and_unknown_classes_are_refused() -> None:
    levels = torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4)
    for head in heads(2):
        with pytest.raises(ValueError, match="2"):
            head.loss(head(*levels), targets(64, [(8, 8, 40, 24, 2)], []))
        head.eval()
        for a, b in zip(head(*levels), copy.deepcopy(head)(*levels), strict=True):
            assert torch.equal(a, b)
    with pytest.raises(ValueError, match="2 levels"):
        SOLOHead(8, (8, 16))
