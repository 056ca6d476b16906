"""Gold-YOLO's neck: the table's figures trained and deployed, each of its nodes by hand, odd sizes."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from nodes.backbones.efficient_rep import efficient_rep
from nodes.fitting import fitted
from nodes.gather_distribute import AttentionFusion, ConvAttention, ConvFusion, Gather, Inject, LocalFusion
from nodes.heads.yolov6 import YOLOv6Head
from nodes.necks.gdfpn import gdfpn
from nodes.reparam import fuse
from tests.nodes.test_reference import ROWS, Case, run

REPO = "repo Gold-YOLO"
WIDTH = {"n": 0.25, "s": 0.5, "m": 0.75, "l": 1.0}


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def shapes_of(size: str, height: int = 160, width: int = 160) -> list[tuple[int, ...]]:
    return [(1, int(128 * 2**i * WIDTH[size]), -(-height // 2**i), -(-width // 2**i)) for i in range(4)]


@pytest.mark.parametrize("size", ["n", "s", "m"])
def test_trained_and_deployed_counts_are_those_of_the_table(size: str) -> None:
    """Deployed, the original keeps the norms of its fusions: two weights a channel, as many as its buffers, for our
    one bias."""
    trained = ROWS[REPO, f"gold_yolo-{size} training graph"]
    deployed = ROWS[REPO, f"gold_yolo-{size} deployed (rep merged + BN fused)"]
    kept = int(deployed["note"].partition("buffers=")[2].partition(";")[0]) // 2
    with torch.device("meta"):
        neck = gdfpn.build(*shapes_of(size), size=size)
        assert params_of(neck) == int(re.findall(r"neck=(\d+)", trained["note"])[0])
        assert params_of(fuse(neck)) + kept == int(re.findall(r"neck=(\d+)", deployed["note"])[0])


def test_the_largest_lacks_biases_that_do_nothing() -> None:
    """Its plain 3x3 convolutions have a bias in front of a norm: twelve in each of the four chains, half as wide as
    what they give, and three of 192 channels in the first mixing."""
    biases = 12 * (128 + 64 + 128 + 256) + 3 * 192
    with torch.device("meta"):
        neck = gdfpn.build(*shapes_of("l"), size="l")
    assert f"neck={params_of(neck) + biases}," in ROWS[REPO, "gold_yolo-l training graph"]["note"]


class GoldYOLO(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = efficient_rep.build((1, 3, 640, 640))
        self.neck, self.head = gdfpn.build(*shapes_of("n")), YOLOv6Head((32, 64, 128), (8, 16, 32))

    def forward(self, x: torch.Tensor) -> object:
        return self.head(*self.neck(*self.backbone(x)))


def test_multiply_accumulates_of_the_whole() -> None:
    case = Case(REPO, "gold_yolo-n training graph", lambda *_: GoldYOLO(), (), ())
    built, shapes, gmacs = run(case, [(1, 3, 640, 640)])
    assert params_of(built) == int(case.row["params"]) - 34  # numbers that never change
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 8400, 4), (1, 8400, 80)]
    assert run(case, [(2, 3, 96, 160)])[1] == [(2, 315, 4), (2, 315, 80)]


def test_maps_are_fitted_by_hand() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert fitted(x, 2, 2)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert fitted(x[..., :1, :1] + 7, 2, 3).tolist() == [[[[7.0] * 3] * 2]]
    assert fitted(torch.ones(1, 1, 25, 25), 13, 13).shape == (1, 1, 13, 13)
    assert fitted(x, 4, 4) is x
    gathered = Gather(stride=2)(torch.zeros(1, 1, 5, 7), x[..., :3, :4])
    assert gathered.shape == (1, 2, 3, 4)


def test_attention_by_hand() -> None:
    """One head, q = k = v = x: two cells of 0 and ln 3. The first finds both alike; the second itself with 3^(ln 3)
    to 1."""
    attend = ConvAttention(1, 1, 1, 1).eval()
    for part in (attend.q, attend.k, attend.v, attend.out):
        nn.init.ones_(part.conv.weight)
        part.bn.eps = 0.0
    log3 = torch.log(torch.tensor(3.0))
    x = torch.tensor([[[[0.0, float(log3)]]]])
    share = float(torch.exp(log3 * log3))
    want = [float(log3) / 2, float(log3) * share / (share + 1)]
    assert attend(x).flatten().tolist() == pytest.approx(want, abs=1e-5)


def test_inject_by_hand() -> None:
    """All norms pass: the level times hardsigmoid(6) = 1 ... of the global map, plus the global map."""
    inject = Inject(1, 1, 1).eval()
    for part in (inject.local, inject.embed, inject.gate):
        nn.init.ones_(part.conv.weight)
        part.bn.eps = 0.0
    local = torch.full((1, 1, 4, 4), 2.0)
    assert inject(local, torch.full((1, 1, 2, 2), 6.0)).unique().tolist() == [8.0]
    assert inject(local, torch.full((1, 1, 2, 2), -6.0)).unique().tolist() == [-6.0]
    assert inject(local, torch.zeros(1, 1, 1, 1)).unique().tolist() == [1.0]  # hardsigmoid(0) = 1/2


def test_shapes_of_the_fusions() -> None:
    x = torch.randn(2, 16, 5, 7)
    first, second = ConvFusion(16, 8, 1, first_channels=24, second_channels=4)(x)
    assert (first.shape, second.shape) == ((2, 24, 5, 7), (2, 4, 5, 7))
    first, second = AttentionFusion(16, 1, first_channels=3, second_channels=5)(x)
    assert (first.shape, second.shape) == ((2, 3, 5, 7), (2, 5, 5, 7))
    local = LocalFusion(4, 16, 8, 6)(torch.randn(2, 4, 10, 14), x, torch.randn(2, 8, 3, 4))
    assert local.shape == (2, 6, 5, 7)
