"""RT-DETR's head: its row of the table."""

from __future__ import annotations

import pytest

from nodes.heads.rtdetr import RTDETRHead
from tests.nodes.test_reference import Case, run

CASE = Case("ultralytics", "RTDETRDecoder(80,ch=(256,256,256))", lambda *_: RTDETRHead((256,) * 3, (8, 16, 32)), (), ())


def test_the_head_is_as_large_as_the_table_says() -> None:
    built, shapes, gmacs = run(CASE, CASE.shapes())
    assert sum(p.numel() for p in built.parameters()) == int(CASE.row["params"])
    assert sum(b.numel() for b in built.buffers() if b.dim()) == 1536
    assert gmacs == pytest.approx(float(CASE.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 300, 4), (1, 300, 80)]
    small = [(2, 256, 8, 12), (2, 256, 4, 6), (2, 256, 2, 3)]
    assert run(CASE, small)[1] == [(2, 126, 4), (2, 126, 80)]  # no more queries than cells
