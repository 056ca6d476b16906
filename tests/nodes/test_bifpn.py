"""BiFPN and PANet: the table's figures, EfficientDet as a whole, the paths by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nodes.backbones.efficientnet import efficientnet
from nodes.heads.efficientdet import EfficientDetHead
from nodes.necks.bifpn import SeparableFusion, bifpn, bifpn_cell
from nodes.necks.panet import panet
from tests.nodes.test_reference import ROWS, Case, run

STRIDES = (8, 16, 32, 64, 128)


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_bifpn_is_as_large_as_the_table_says() -> None:
    case = Case("effdet 0.4.1", "BiFpn D0: 64ch x3 cells, in (40,112,320)", lambda *s: bifpn.build(*s), (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 64, n, n) for n in (64, 32, 16, 8, 4)]
    wide = run(case, [(2, 40, 12, 20), (2, 112, 6, 10), (2, 320, 3, 5)])[1]
    assert wide == [(2, 64, *n) for n in ((12, 20), (6, 10), (3, 5), (2, 3), (1, 2))]


def test_panet_is_as_large_as_the_table_says() -> None:
    case = Case("mmdet 3.3.0", "PAFPN([256,512,1024,2048],256,num_outs=5)", lambda *s: panet.build(*s), (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 256, n, n) for n in (160, 80, 40, 20, 10)]
    wide = [(2, 256 << i, 24 >> i, 40 >> i) for i in range(4)]
    assert run(case, wide)[1] == [(2, 256, *n) for n in ((24, 40), (12, 20), (6, 10), (3, 5), (2, 3))]


class EfficientDet(nn.Module):
    def __init__(self, size: str, channels: int, cells: int, side: int) -> None:
        super().__init__()
        self.backbone = efficientnet.build((1, 3, side, side), size=f"b{size[1]}")
        maps = self.backbone.eval()(torch.empty(1, 3, side, side))[2:]
        self.fpn = bifpn.build(*(tuple(m.shape) for m in maps), channels=channels, cells=cells)
        self.head = EfficientDetHead(channels, STRIDES, num_classes=90)

    def forward(self, x: torch.Tensor) -> object:
        return self.head(*self.fpn(*self.backbone(x)[2:]))


@pytest.mark.parametrize(("size", "channels", "cells", "side"), [("d0", 64, 3, 512), ("d1", 88, 4, 640)])
def test_efficientdet_is_as_large_as_the_table_says(size: str, channels: int, cells: int, side: int) -> None:
    case = Case("effdet 0.4.1", f"tf_efficientdet_{size}", lambda *_: EfficientDet(size, channels, cells, side), (), ())
    built, _, gmacs = run(case, [(1, 3, side, side)])
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    for name in ("backbone", "fpn"):
        assert f"{name}={params_of(built.get_submodule(name))}," in ROWS["effdet 0.4.1", case.variant]["note"]


@torch.no_grad()
def test_a_cell_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what follows the sums, and with weights alike: levels of 1, 2, 3, 4, 5, each sum the mean of its parts.

    Down: 6 gets (4 + 5) / 2 = 4.5, 5 (3 + 4.5) / 2 = 3.75, 4 2.875, 3 1.9375. Up: 4 gets (2 + 2.875 + 1.9375) / 3,
    and so on; 7 the mean of two.
    """
    monkeypatch.setattr(SeparableFusion, "forward", lambda self, x: x)
    shapes = [(1, 2, 16 >> i, 16 >> i) for i in range(5)]
    cell = bifpn_cell.build(*shapes, channels=2)
    out = cell(*(torch.full(s, float(i + 1)) for i, s in enumerate(shapes)))
    four = (2 + 2.875 + 1.9375) / 3
    five = (3 + 3.75 + four) / 3
    six = (4 + 4.5 + five) / 3
    want = [1.9375, four, five, six, (5 + six) / 2]
    for level, value in zip(out, want, strict=True):
        torch.testing.assert_close(level, torch.full_like(level, value), rtol=1e-3, atol=0)


def test_a_level_of_other_width_is_projected_wherever_it_is_used() -> None:
    """40 channels to 64 once, 112 and 320 twice each, 320 once more for level 6: 1x1 with bias, and a norm."""
    projections = sum(c * 64 + 64 + 128 for c in (40, 112, 112, 320, 320, 320))
    wide = params_of(bifpn.build((1, 40, 16, 16), (1, 112, 8, 8), (1, 320, 4, 4), cells=1))
    even = params_of(bifpn.build((1, 64, 16, 16), (1, 64, 8, 8), (1, 64, 4, 4), cells=1))
    assert wide - even == projections - (64 * 64 + 64 + 128)
