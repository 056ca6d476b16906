"""Detectors with torchvision's own weights carried over: raw outputs, boxes, scores, losses and detections are its."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision.models.detection as detection
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork, clip_boxes_to_image
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from nodes.heads.fcos import FCOSHead
from nodes.heads.retinanet import RetinaNetHead
from nodes.necks.fpn import fpn, fpn_p3_p7
from nodes.post.nms import NMS
from nodes.types import Predictions

SIDE, CHANNELS, CLASSES = (256, 384), 32, 5
"""Sides are multiples of the largest stride: elsewhere torchvision rounds its strides to what divides."""
STRIDES = (8, 16, 32, 64, 128)
LEVELS = [(SIDE[0] // s, -(-SIDE[1] // s)) for s in STRIDES]


def pyramid(batch: int = 2) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(batch, CHANNELS, h, w) for h, w in LEVELS]


def randomised(module: nn.Module) -> nn.Module:
    """Weights large enough that outputs differ from cell to cell, norms that do something."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.normal_(0, 0.05).add_(1.0 if ".1.weight" in name and value.dim() == 1 else 0.0)
    return module.eval()


def carried(ours: nn.Module, theirs: nn.Module, names: dict[str, str]) -> nn.Module:
    """Their weights under our names; `names` maps the beginning of theirs to the beginning of ours."""
    state = {}
    for key, value in theirs.state_dict().items():
        start = next(n for n in names if key.startswith(n))
        state[names[start] + key[len(start) :]] = value
    ours.load_state_dict(state)
    return ours.eval()


def images() -> tuple[ImageList, Tensor]:
    batch = torch.zeros(2, 3, *SIDE)
    return ImageList(batch, [SIDE, SIDE]), batch


@pytest.mark.parametrize("extra", ["c5", "p5"])
def test_fpn_with_two_more_levels(extra: str) -> None:
    widths = (24, 40, 56)
    block = LastLevelP6P7(widths[2] if extra == "c5" else CHANNELS, CHANNELS)
    theirs = FeaturePyramidNetwork(list(widths), CHANNELS, block).eval()
    # A map of one cell more than half: levels need not be exact halves.
    maps = [torch.randn(1, c, *s) for c, s in zip(widths, ((20, 26), (10, 13), (5, 7)), strict=True)]
    ours = fpn_p3_p7.build(*(tuple(m.shape) for m in maps), channels=CHANNELS, extra_from=extra)
    names = {
        **{f"inner_blocks.{i}.0.": f"lateral{i + 3}.conv." for i in range(3)},
        **{f"layer_blocks.{i}.0.": f"output{i + 3}.conv." for i in range(3)},
        "extra_blocks.p6.": "output6.conv.", "extra_blocks.p7.": "output7.conv.",
    }  # fmt: skip
    carried(ours, theirs, names)
    want = list(theirs(dict(enumerate(maps))).values())
    for a, b in zip(ours(*maps), want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_fpn_of_four_levels() -> None:
    widths = (16, 24, 40, 56)
    theirs = FeaturePyramidNetwork(list(widths), CHANNELS).eval()
    maps = [torch.randn(1, c, 32 >> i, 40 >> i) for i, c in enumerate(widths)]
    ours = fpn.build(*(tuple(m.shape) for m in maps), channels=CHANNELS)
    names = {f"inner_blocks.{i}.0.": f"lateral{i + 2}.conv." for i in range(4)}
    names |= {f"layer_blocks.{i}.0.": f"output{i + 2}.conv." for i in range(4)}
    carried(ours, theirs, names)
    for a, b in zip(ours(*maps), theirs(dict(enumerate(maps))).values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


class Shell(nn.Module):
    """What torchvision's detector needs of a backbone; it is never run."""

    out_channels = CHANNELS


def retinanets() -> tuple[RetinaNetHead, Any]:
    theirs = detection.RetinaNet(
        Shell(), CLASSES, score_thresh=0.3, topk_candidates=10_000, nms_thresh=0.5, detections_per_img=300
    )
    randomised(theirs.head)
    ours = carried(
        RetinaNetHead(CHANNELS, STRIDES, CLASSES), theirs.head,
        {
            **{f"{n}_head.conv.{i}.0.": f"{o}_tower.{2 * i}." for i in range(4) for n, o in NAMES},
            "classification_head.cls_logits.": "cls_out.", "regression_head.bbox_reg.": "box_out.",
        },
    )  # fmt: skip
    return ours, theirs


NAMES = (("classification", "cls"), ("regression", "box"))


@torch.no_grad()
def test_retinanet_before_and_after_suppression() -> None:
    ours, theirs = retinanets()
    levels = pyramid()
    outputs = theirs.head(levels)
    anchors = theirs.anchor_generator(images()[0], levels)
    found = ours(*levels)
    for image in range(2):
        boxes = theirs.box_coder.decode_single(outputs["bbox_regression"][image], anchors[image])
        torch.testing.assert_close(found.boxes[image], boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(found.scores[image], outputs["cls_logits"][image].sigmoid(), rtol=0, atol=1e-4)
    cells = [h * w * 9 for h, w in LEVELS]
    split = {k: list(v.split(cells, dim=1)) for k, v in outputs.items()}
    want = theirs.postprocess_detections(split, [list(a.split(cells)) for a in anchors], [SIDE, SIDE])
    same_detections(found, want)


def same_detections(found: Predictions, want: list[dict[str, Tensor]]) -> None:
    """The same boxes after suppression. torchvision clips before it suppresses, so this does."""
    clipped = found._replace(boxes=torch.stack([clip_boxes_to_image(b, SIDE) for b in found.boxes]))
    got = NMS(0.5, 0.3, max_detections=300, pre_top_k=5000)(clipped)
    for image, theirs in enumerate(want):
        used = got.labels[image] >= 0
        assert int(used.sum()) == len(theirs["labels"]) > 20
        rows = torch.cat((got.boxes[image], got.scores[image][:, None], got.labels[image][:, None]), 1)[used]
        wanted = torch.cat((theirs["boxes"], theirs["scores"][:, None], theirs["labels"][:, None]), 1)
        # Scores that are equal but for the last bit may change places.
        apart = (rows[:, None] - wanted).abs()
        assert ((apart[..., :4].amax(-1) < 1e-3) & (apart[..., 4] < 1e-4) & (apart[..., 5] == 0)).any(1).all()


def targets_of(*lists: list[tuple[float, ...]]) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """The same truth in torchvision's form and in ours."""
    theirs = [
        {
            "boxes": torch.tensor([r[:4] for r in rows]).reshape(-1, 4),
            "labels": torch.tensor([int(r[4]) for r in rows], dtype=torch.int64),
        }
        for rows in lists
    ]
    most = max(len(rows) for rows in lists)
    ours = {
        "boxes": torch.stack([torch.cat((t["boxes"], torch.zeros(most - len(t["boxes"]), 4))) for t in theirs]),
        "labels": torch.stack([torch.cat((t["labels"], torch.full((most - len(t["labels"]),), -1))) for t in theirs]),
    }
    return theirs, ours


TRUTH = [(10, 12, 60, 70, 1), (100, 20, 300, 200, 4), (30, 100, 42, 111, 0), (35, 104, 52, 120, 2)]


def test_retinanet_losses() -> None:
    """Of one image: with more, torchvision averages over images and we over objects."""
    ours, theirs = retinanets()
    levels = [x[:1] for x in pyramid()]
    given, mine = targets_of(TRUTH)
    anchors = theirs.anchor_generator(ImageList(torch.zeros(1, 3, *SIDE), [SIDE]), levels)
    want = theirs.compute_loss(given, theirs.head(levels), anchors)
    ours.train()
    got = ours.loss(ours(*levels), mine)
    torch.testing.assert_close(got["cls"], want["classification"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got["box"], want["bbox_regression"], rtol=1e-4, atol=1e-5)


def fcos_pair() -> tuple[FCOSHead, Any]:
    theirs = detection.FCOS(
        Shell(), CLASSES, score_thresh=0.3, topk_candidates=10_000, nms_thresh=0.5, detections_per_img=300
    )
    randomised(theirs.head)
    ours = carried(
        FCOSHead(CHANNELS, STRIDES, CLASSES, point=0.0), theirs.head,
        {
            **{f"{n}_head.conv.{i}.": f"{o}_tower.{i}." for i in range(12) for n, o in NAMES},
            "classification_head.cls_logits.": "cls_out.", "regression_head.bbox_reg.": "box_out.",
            "regression_head.bbox_ctrness.": "centerness_out.",
        },
    )  # fmt: skip
    return ours, theirs


@torch.no_grad()
def test_fcos_before_and_after_suppression() -> None:
    ours, theirs = fcos_pair()
    levels = pyramid()
    outputs = theirs.head(levels)
    anchors = theirs.anchor_generator(images()[0], levels)
    found = ours(*levels)
    for image in range(2):
        boxes = theirs.box_coder.decode(outputs["bbox_regression"][image], anchors[image])
        scores = (outputs["cls_logits"][image].sigmoid() * outputs["bbox_ctrness"][image].sigmoid()).sqrt()
        torch.testing.assert_close(found.boxes[image], boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(found.scores[image], scores, rtol=0, atol=1e-4)
    cells = [h * w for h, w in LEVELS]
    split = {k: list(v.split(cells, dim=1)) for k, v in outputs.items()}
    want = theirs.postprocess_detections(split, [list(a.split(cells)) for a in anchors], [SIDE, SIDE])
    same_detections(found, want)


def test_fcos_losses() -> None:
    ours, theirs = fcos_pair()
    levels = pyramid()
    given, mine = targets_of(TRUTH, [(8, 8, 200, 250, 3)])
    anchors = theirs.anchor_generator(images()[0], levels)
    want = theirs.compute_loss(given, theirs.head(levels), anchors, [h * w for h, w in LEVELS])
    ours.train()
    got = ours.loss(ours(*levels), mine)
    for name, other in (("cls", "classification"), ("box", "bbox_regression"), ("centerness", "bbox_ctrness")):
        torch.testing.assert_close(got[name], want[other], rtol=1e-4, atol=1e-5)
