"""SSD: figures, torchvision's numbers with its weights, assignment and loss by hand, awkward targets."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD, SSDFeatureExtractorVGG
from torchvision.models.vgg import vgg16
from torchvision.ops import box_iou

from nodes.assign.max_iou import assign_multibox
from nodes.backbones.vgg import L2Scale, ssd_vgg
from nodes.heads.ssd import SSDHead
from tests.nodes.test_numerics_detection import carried, randomised, same_detections, targets_of
from tests.nodes.test_reference import ROWS, Case, run
from tests.nodes.test_yolov8_head import targets

CHANNELS, CELLS, SIDES = (512, 1024, 512, 256, 256, 256), (38, 19, 10, 5, 3, 1), (300, 300)
RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
STEPS = [8, 16, 32, 64, 100, 300]


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("columns", [81, 91])
def test_counts_are_those_of_the_table(columns: int) -> None:
    """Rows count the background as a class."""
    variant = f"SSDHead([512,1024,512,256,256,256],[4,6,6,6,4,4],{columns})"
    case = Case("torchvision", variant, lambda *_: SSDHead(CHANNELS, SIDES, columns - 1), (), ())
    built, shapes, gmacs = run(case, [(1, c, n, n) for c, n in zip(CHANNELS, CELLS, strict=True)])
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 8732, 4), (1, 8732, columns - 1)]


def test_the_whole_model_is_as_large_as_the_table_says() -> None:
    row = ROWS["torchvision", "ssd300_vgg16 (raw outputs)"]
    case = Case("torchvision", row["variant"], lambda s: ssd_vgg.build(s), (), ())
    built, shapes, gmacs = run(case, [(1, 3, 300, 300)])
    with torch.device("meta"):
        assert params_of(built) + params_of(SSDHead(CHANNELS, SIDES)) == int(row["params"])
    assert gmacs + float(ROWS["torchvision", _head(81)]["gmacs"]) == pytest.approx(float(row["gmacs"]), rel=5e-3)
    assert shapes == [(1, c, n, n) for c, n in zip(CHANNELS, CELLS, strict=True)]
    assert run(case, [(2, 3, 320, 416)])[1][:2] == [(2, 512, 40, 52), (2, 1024, 20, 26)]


def _head(columns: int) -> str:
    return f"SSDHead([512,1024,512,256,256,256],[4,6,6,6,4,4],{columns})"


@torch.no_grad()
def test_backbone_is_torchvisions() -> None:
    theirs = randomised(SSDFeatureExtractorVGG(vgg16(weights=None).features, highres=False))
    ours = ssd_vgg.build((1, 3, 300, 300))
    state = {"scale.weight": theirs.scale_weight}
    convs = [m for m in theirs.features if isinstance(m, nn.Conv2d)]
    convs += [m for m in theirs.extra[0] if isinstance(m, nn.Conv2d)]
    names = [f"stage{i + 1}.conv{j + 1}.conv" for i, n in enumerate((2, 2, 3, 3, 3)) for j in range(n)]
    names += ["fc.fc6", "fc.fc7"] + [f"extra{i}.{part}" for i in (5, 6, 7, 8) for part in ("narrow", "conv")]
    convs += [m for m in theirs.extra[0][-1] if isinstance(m, nn.Conv2d)]
    convs += [m for extra in theirs.extra[1:] for m in extra if isinstance(m, nn.Conv2d)]
    for name, conv in zip(names, convs, strict=True):
        state |= {f"{name}.weight": conv.weight, f"{name}.bias": conv.bias}
    ours.load_state_dict(state)
    x = torch.rand(1, 3, 300, 300)
    for a, b in zip(ours.eval()(x), theirs(x).values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


class Shell(nn.Module):
    """What torchvision's detector needs of a backbone; it is never run."""

    out_channels = (8,) * 6


def pair(sides: tuple[int, int] = SIDES) -> tuple[SSDHead, Any, list[Tensor], list[Tensor]]:
    generator = DefaultBoxGenerator(RATIOS, scales=SCALES, steps=STEPS)
    theirs = SSD(Shell(), generator, sides, 6, score_thresh=0.3, nms_thresh=0.5, detections_per_img=300)
    randomised(theirs.head)
    names = {
        f"{n}_head.module_list.{i}.": f"{o}_outs.{i}."
        for i in range(6)
        for n, o in (("classification", "cls"), ("regression", "box"))
    }
    ours = carried(SSDHead((8,) * 6, sides, 5), theirs.head, names)
    torch.manual_seed(1)
    levels = [torch.randn(2, 8, n, n) for n in CELLS]
    anchors = generator(ImageList(torch.zeros(2, 3, *sides), [sides] * 2), levels)
    return ours, theirs, levels, anchors


@torch.no_grad()
def test_boxes_and_scores_are_torchvisions_before_and_after_suppression(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs, levels, anchors = pair()
    outputs = theirs.head(levels)
    found = ours(*levels)
    for image in range(2):
        boxes = theirs.box_coder.decode_single(outputs["bbox_regression"][image], anchors[image])
        torch.testing.assert_close(found.boxes[image], boxes, rtol=0, atol=1e-3)
        scores = outputs["cls_logits"][image].softmax(1)[:, 1:]
        torch.testing.assert_close(found.scores[image], scores, rtol=0, atol=1e-4)
    want = theirs.postprocess_detections(outputs, anchors, [SIDES, SIDES])
    for image in want:
        image["labels"] -= 1
    monkeypatch.setattr("tests.nodes.test_numerics_detection.SIDE", SIDES)
    same_detections(found, want)


def test_losses_are_torchvisions() -> None:
    """No object is so small that it lies inside several default boxes, which would then overlap it equally."""
    ours, theirs, levels, anchors = pair()
    given, mine = targets_of(
        [(10, 12, 60, 70, 1), (100, 20, 297, 200, 4), (30, 100, 76, 141, 0)], [(8, 8, 200, 250, 3)]
    )
    matched = [theirs.proposal_matcher(box_iou(t["boxes"], boxes)) for t, boxes in zip(given, anchors, strict=True)]
    for image in given:
        image["labels"] += 1  # theirs has the background at 0
    want = theirs.compute_loss(given, theirs.head(levels), anchors, matched)
    ours.train()
    got = ours.loss(ours(*levels), mine)
    torch.testing.assert_close(got["cls"], want["classification"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got["box"], want["bbox_regression"], rtol=1e-4, atol=1e-5)


def test_default_boxes_by_hand() -> None:
    """Two cells on 100 x 50 px, spread evenly: centres (25, 25) and (75, 25); scale 0.2, the next 0.45.

    Squares of 0.2 and sqrt(0.2 * 0.45) = 0.3 of the sides: 20 x 10 and 30 x 15 px; ratio 2: 0.2 * 1.414 by 0.1414.
    """
    head = SSDHead((4,), (50, 100), 1, boxes_per_cell=(4,), scales=(20, 45), steps=())
    boxes = head._defaults(0, torch.zeros(1, 1, 1, 2))
    assert boxes.shape == (8, 4)
    torch.testing.assert_close(boxes[0], torch.tensor([15.0, 20, 35, 30]))
    torch.testing.assert_close(boxes[5], torch.tensor([60.0, 17.5, 90, 32.5]))
    wide = torch.tensor([20 * math.sqrt(2), 10 / math.sqrt(2)])
    torch.testing.assert_close(boxes[2, 2:] - boxes[2, :2], wide)


def test_multibox_by_hand() -> None:
    """Two objects, neither overlapped by half; each takes the box that overlaps it most. The third is background."""
    defaults = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]])
    truth = torch.tensor([[[0.0, 0, 10, 4], [20, 0, 24, 10], [0, 0, 0, 0]]])
    owner = assign_multibox(defaults, truth, torch.tensor([[True, True, False]]))
    assert owner.tolist() == [[0, 1, -1]]


def test_l2_scale_by_hand() -> None:
    """(3, 4) has length 5, so it becomes (0.6, 0.8) times 20."""
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(L2Scale(2)(x).flatten(), torch.tensor([12.0, 16.0]))


def small(classes: int) -> tuple[SSDHead, list[Tensor]]:
    torch.manual_seed(0)
    head = SSDHead((8, 8), (64, 64), classes, boxes_per_cell=(4, 6), scales=(10, 40, 80), steps=())
    return head, [torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4)]


@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(classes: int) -> None:
    head, levels = small(classes)
    awkward = targets(
        [(0, 0, 0, 0, 0), (5, 5, 5.01, 5.01, 0), (10, 10, 20, 20, 0), (10, 10, 20, 20, 0), (20, 10, 30, 20, 0)],
        [(-50, -50, -10, -10, 0), (-1e4, -1e4, 1e4, 1e4, 0), (63, 63, 64, 64, classes - 1)],
    )
    for case in (awkward, targets([], [])):
        head.zero_grad()
        losses = head.loss(head(*levels), case)
        sum(losses.values()).backward()
        assert all(torch.isfinite(v) for v in losses.values())
        assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_no_nan_in_200_steps_of_bfloat16() -> None:
    head, levels = small(3)
    truth = targets([(8, 8, 40, 30, 1)], [(30, 30, 60, 62, 2), (2, 2, 12, 12, 0)])
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01)
    losses = []
    for _ in range(200):
        with torch.autocast("cpu", torch.bfloat16):
            loss = sum(head.loss(head(*levels), truth).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"3 level\(s\) are wired, boxes_per_cell is for 6.*Give boxes_per_cell 3"):
        SSDHead((8, 8, 8), SIDES)
    with pytest.raises(ValueError, match="boxes_per_cell has 3; a cell has 2, 4 or 6"):
        SSDHead((8,), SIDES, boxes_per_cell=(3,), scales=(10, 20), steps=())
    head, levels = small(3)
    with pytest.raises(ValueError, match=r"class index 5.*Set num_classes to 6"):
        head.loss(head(*levels), targets([(0, 0, 9, 9, 5)], []))
