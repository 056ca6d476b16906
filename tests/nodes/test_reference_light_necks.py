"""HRFPN, SlimFPN and LiteNeck: figures of the table, of their blocks, shapes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from nodes.gsconv import GSBottleneck, GSConv, VoVGSCSP
from nodes.necks.hrfpn import hrfpn
from nodes.necks.lite import lite_neck
from nodes.necks.slim import slim_fpn
from tests.nodes.test_reference import ROWS, Case, map_case, run

SLIM = "repo slim-neck-by-gsconv"


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


CASES = [
    *(
        Case(
            "mmdet 3.3.0",
            f"HRFPN([{w},{2 * w},{4 * w},{8 * w}],256)",
            lambda *s: hrfpn.build(*s),
            (*((2, w << i, 24 >> i, 40 >> i) for i in range(3)), (2, 8 * w, 3, 5)),
            ((2, 256, 24, 40), (2, 256, 12, 20), (2, 256, 6, 10), (2, 256, 3, 5), (2, 256, 1, 2)),
        )
        for w in (18, 32)
    ),
    *(
        Case(
            "repo meituan/YOLOv6",
            f"Lite_EffiNeck([256,128,64],96) k5{size}",
            lambda *s: lite_neck.build(*s),
            ((2, 64, 16, 24), (2, 128, 8, 12), (2, 256, 4, 6)),
            ((2, 96, 16, 24), (2, 96, 8, 12), (2, 96, 4, 6), (2, 96, 2, 3)),
        )
        for size in ("", " @320")
    ),
    map_case(SLIM, "GSConv(128,128,1,1)", lambda *_: GSConv(128, 128, 1), 128, (1, 128, 12, 20)),
    map_case(SLIM, "GSConv(128,128,3,1)", lambda *_: GSConv(128, 128), 128, (1, 128, 12, 20)),
    map_case(SLIM, "GSConv(128,128,3,2)", lambda *_: GSConv(128, 128, stride=2), 128, (1, 128, 6, 10)),
    map_case(SLIM, "GSBottleneck(64,64)", lambda *_: GSBottleneck(64, 64), 64, (1, 64, 12, 20)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.variant)
def test_figures_are_those_of_the_table(case: Case) -> None:
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert case.row["output_shapes"].strip("[]") == ", ".join("x".join(map(str, s)) for s in shapes)
    assert run(case, list(case.wide))[1] == list(case.wide_out)


@pytest.mark.parametrize(("channels", "variant"), [(128, "VoVGSCSP(128,128)"), (256, "VoVGSCSP(256,128)")])
def test_vov_gscsp_is_the_row_without_the_convolution_that_never_runs(channels: int, variant: str) -> None:
    """The row counts a 3x3 convolution of 64 channels with its norm that is built and never called."""
    dead = 64 * 64 * 9 + 2 * 64
    with torch.device("meta"):
        assert params_of(VoVGSCSP(channels, 128)) == int(ROWS[SLIM, variant]["params"]) - dead


def test_slim_fpn_is_the_sum_of_its_blocks() -> None:
    """For 64, 128, 256: laterals 256 -> 128 and 128 -> 64, four blocks on joined maps, two steps down."""
    with torch.device("meta"):
        neck = slim_fpn.build((1, 64, 16, 24), (1, 128, 8, 12), (1, 256, 4, 6))
        blocks: list[Callable[..., Any]] = [VoVGSCSP, VoVGSCSP, VoVGSCSP, VoVGSCSP]
        sizes = [(256, 128), (128, 64), (128, 128), (256, 256)]
        wanted = sum(params_of(b(*s)) for b, s in zip(blocks, sizes, strict=True))
        wanted += params_of(GSConv(256, 128, 1)) + params_of(GSConv(128, 64, 1))
        wanted += params_of(GSConv(64, 64, stride=2)) + params_of(GSConv(128, 128, stride=2))
        assert params_of(neck) == wanted
        found = neck(torch.empty(2, 64, 16, 24), torch.empty(2, 128, 8, 12), torch.empty(2, 256, 4, 6))
    assert [tuple(x.shape) for x in found] == [(2, 64, 16, 24), (2, 128, 8, 12), (2, 256, 4, 6)]


def test_the_shuffle_by_hand() -> None:
    """Dense channels 0, 1 and depthwise ones 2, 3: even ones first, 0, 2, then 1, 3."""
    block = GSConv(1, 4, 1, activation="none").eval()
    given = torch.ones(1, 1, 1, 1)
    dense = block.dense(given)
    whole = torch.cat((dense, block.depthwise(dense)), 1).flatten()
    assert torch.equal(block(given).flatten(), whole[[0, 2, 1, 3]])


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="Use 12"):
        GSConv(8, 10)
    with pytest.raises(ValueError, match="Use 16"):
        VoVGSCSP(8, 12)
