"""YOLOv6: parts and whole against the table, trained and deployed; losses and decoding by hand, awkward targets."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn

from nodes.backbones.efficient_rep import efficient_rep
from nodes.bifusion import BiFusion
from nodes.heads.yolov6 import YOLOv6Head
from nodes.losses.varifocal import varifocal_hit, varifocal_miss
from nodes.necks.rep_bifpan import rep_bifpan
from nodes.reparam import fuse
from tests.nodes.test_reference import ROWS, Case, run
from tests.nodes.test_yolov8_head import targets

REPO = "repo meituan/YOLOv6"
WIDTH = {"n": 0.25, "s": 0.5, "m": 0.75}
FIXED = 34
"""Numbers 0 to 16, which the original keeps twice as weights that never change; here they are made when needed."""


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def head_of(size: str, classes: int = 80) -> YOLOv6Head:
    channels = tuple(int(c * WIDTH[size]) for c in (128, 256, 512))
    return YOLOv6Head(channels, (8, 16, 32), classes, reg_max=16 if size == "m" else 0)


class Whole(nn.Module):
    def __init__(self, size: str) -> None:
        super().__init__()
        self.backbone = efficient_rep.build((1, 3, 640, 640), size=size)
        shapes = [(1, int(128 * 2**i * WIDTH[size]), 160 >> i, 160 >> i) for i in range(4)]
        self.neck, self.detect = rep_bifpan.build(*shapes, size=size), head_of(size)

    def forward(self, x: torch.Tensor) -> object:
        return self.detect(*self.neck(*self.backbone(x)))


@pytest.mark.parametrize("size", WIDTH)
def test_trained_and_deployed_counts_are_those_of_the_table(size: str) -> None:
    for kind, change in (("training graph", lambda m: m), ("deployed (rep merged + BN fused)", fuse)):
        case = Case(REPO, f"yolov6{size} {kind}", lambda *_, f=change: f(Whole(size)), (), ())
        built, shapes, gmacs = run(case, [(1, 3, 640, 640)])
        parts = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", case.row["note"])}
        for name in ("backbone", "neck"):
            assert params_of(built.get_submodule(name)) == parts[name]
        assert params_of(built.get_submodule("detect")) == parts["detect"] - FIXED
        assert params_of(built) == int(case.row["params"]) - FIXED
        assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
        assert shapes == [(1, 8400, 4), (1, 8400, 80)]


def test_the_neck_alone_and_a_second_size() -> None:
    case = Case(REPO, "RepBiFPANNeck yolov6n widths", lambda *s: rep_bifpan.build(*s), (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 32, 80, 80), (1, 64, 40, 40), (1, 128, 20, 20)]
    with torch.device("meta"), torch.no_grad():
        maps = efficient_rep.build((2, 3, 96, 160)).eval()(torch.empty(2, 3, 96, 160))
        assert [tuple(m.shape) for m in built(*maps)] == [(2, 32, 12, 20), (2, 64, 6, 10), (2, 128, 3, 5)]


def test_the_backbone_of_l_lacks_biases_that_do_nothing() -> None:
    """Gold-YOLO-L's row, whose plain 3x3 convolutions have a bias in front of a norm: a number for each channel of the
    stem, the four steps down, and 6, 12, 18 and 6 convolutions of half the stages' width."""
    note = ROWS["repo Gold-YOLO", "gold_yolo-l training graph"]["note"]
    biases = 64 + sum((128, 256, 512, 1024)) + 6 * 64 + 12 * 128 + 18 * 256 + 6 * 512
    with torch.device("meta"):
        assert f"backbone={params_of(efficient_rep.build((1, 3, 64, 64), size='l')) + biases}," in note


@pytest.mark.parametrize(
    ("channels", "out", "variant"),
    [
        ((64, 128, 64), 64, "BiFusion([128,64],64) x=[64@20,128@40,64@80] (yolov6n Bifusion0 widths)"),
        ((256, 512, 256), 256, "BiFusion([512,256],256)"),
    ],
)
def test_bifusion(channels: tuple[int, ...], out: int, variant: str) -> None:
    case = Case(REPO, variant, lambda *_: BiFusion(*channels, out), (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, out, 40, 40)]
    wide = [(2, channels[0], 3, 5), (2, channels[1], 6, 10), (2, channels[2], 12, 20)]
    assert run(case, wide)[1] == [(2, out, 6, 10)]


@torch.no_grad()
def test_deployed_gives_the_same() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(efficient_rep.build((1, 3, 64, 64)))
    image = torch.rand(4, 3, 64, 64)
    for _ in range(3):
        model(image)
    model.eval()
    for a, b in zip(fuse(model)(image), model(image), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


def test_varifocal_by_hand() -> None:
    """p = 1/2: an object of quality 0.8 costs 0.8 ln 2, background 0.75 / 4 ln 2, whose weight takes no gradient."""
    logit = torch.zeros(1, requires_grad=True)
    assert varifocal_hit(logit, torch.tensor([0.8])).item() == pytest.approx(0.8 * math.log(2))
    loss = varifocal_miss(logit)
    assert loss.item() == pytest.approx(0.1875 * math.log(2))
    loss.backward()
    assert logit.grad is not None
    assert logit.grad.item() == pytest.approx(0.1875 * 0.5)


@pytest.mark.parametrize("reg_max", [0, 4])
def test_decoding_and_loss_by_hand(reg_max: int) -> None:
    """One cell of 8 px around (4, 4), a cell and a half to each side: -8..16, which is the object."""
    head = YOLOv6Head((8,), (8,), 1, reg_max)
    sides = torch.zeros(4, reg_max + 1)
    if reg_max:
        sides[:, 1:3] = 40.0  # half in bin 1, half in bin 2
    else:
        sides[:] = 1.5
    raw = [torch.cat((sides.flatten(), torch.zeros(1)))[None, :, None, None]]
    found = head.decode(raw)
    assert found.boxes[0, 0].tolist() == pytest.approx([-8, -8, 16, 16])
    assert found.scores[0, 0, 0] == 0.5
    losses = head.loss(raw, targets([(-8, -8, 16, 16, 0)]))
    assert float(losses["box"]) == pytest.approx(0, abs=1e-5)
    assert float(losses["cls"]) == pytest.approx(math.log(2), abs=1e-5)
    if reg_max:
        assert float(losses["dfl"]) == pytest.approx(0.5 * math.log(2), abs=1e-4)


@pytest.mark.parametrize("reg_max", [0, 4])
@pytest.mark.parametrize("classes", [1, 1000])
def test_awkward_targets_stay_finite(reg_max: int, classes: int) -> None:
    torch.manual_seed(0)
    head = YOLOv6Head((8, 8), (8, 16), classes, reg_max)
    for given in (
        targets([], []),
        targets([(3, 3, 3.5, 3.5, 0), (0, 0, 32, 64, 0), (32, 0, 64, 64, 0)], []),
        targets([(8, 8, 40, 40, 0)] * 3 + [(-30, -30, 90, 90, 0), (100, 100, 120, 140, 0)], []),
    ):
        raw = head(torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4))
        total = torch.stack(list(head.loss(raw, given).values())).sum()
        assert total.isfinite()
        total.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())
    with pytest.raises(ValueError, match=str(classes)):
        head.loss(raw, targets([(8, 8, 40, 40, classes)], []))


@pytest.mark.parametrize("reg_max", [0, 4])
def test_no_nan_in_200_steps_of_bfloat16(reg_max: int) -> None:
    torch.manual_seed(0)
    head, levels = YOLOv6Head((8, 8), (8, 16), 2, reg_max), (torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4))
    given = targets([(8, 8, 40, 24, 0), (30, 30, 60, 60, 1)], [(0, 0, 64, 64, 1)])
    optimizer = torch.optim.AdamW(head.parameters(), lr=5e-3)
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
