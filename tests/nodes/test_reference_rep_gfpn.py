"""RepGFPN against the table: trained with all branches, deployed with its RepConvs merged; merging changes nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nodes.necks.rep_gfpn import SIZES, RepCSPStage, rep_gfpn
from nodes.rep import RepConv
from tests.nodes.test_reference import ROWS, Case, run

SOURCE = "repo tinyvision/DAMO-YOLO"
IN = {"t": (96, 192, 384), "s": (128, 256, 512), "m": (128, 256, 512), "l": (128, 256, 512)}


def variant(size: str) -> str:
    return next(v for s, v in ROWS if s == SOURCE and v.startswith(f"GiraffeNeckV2 DAMO-YOLO-{size.upper()} in="))


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def merged(module: nn.Module) -> nn.Module:
    """A copy with every RepConv as one convolution and all other norms as they were, as the rows are counted."""
    made = copy.deepcopy(module)
    for part in made.modules():
        for name, child in part.named_children():
            if isinstance(child, RepConv):
                setattr(part, name, child.fuse())
    return made


@pytest.mark.parametrize("size", SIZES)
def test_counts_are_those_of_the_table(size: str) -> None:
    case = Case(SOURCE, variant(size), lambda *s: rep_gfpn.build(*s, size=size), (), ())
    built, shapes, gmacs = run(case, [(1, c, n, n) for c, n in zip(IN[size], (80, 40, 20), strict=True)])
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, c, n, n) for c, n in zip(SIZES[size].out, (80, 40, 20), strict=True)]
    wide = [(2, c, 12 >> i, 20 >> i) for i, c in enumerate(IN[size])]
    assert run(case, wide)[1] == [(2, c, 12 >> i, 20 >> i) for i, c in enumerate(SIZES[size].out)]
    deployed = ROWS[SOURCE, f"GiraffeNeckV2 DAMO-YOLO-{size.upper()} deployed"]
    with torch.device("cpu"):
        small = rep_gfpn.build(*[(1, c, 8 >> i, 8 >> i) for i, c in enumerate(IN[size])], size=size)
    assert params_of(merged(small)) == int(deployed["params"])


@torch.no_grad()
def test_merging_keeps_the_outputs() -> None:
    torch.manual_seed(0)
    stage = RepCSPStage(16, 16, 2)
    stage(torch.randn(4, 16, 8, 8))  # norms that have seen something
    stage.eval()
    x = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(merged(stage)(x), stage(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="Use 16"):
        RepCSPStage(16, 15)
