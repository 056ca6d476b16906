"""Writes docs/figures.md: the measured rows that the tests hold the library to, and what papers round them to.

    python docs/make_figures.py

Runs the tests that read the table of reference figures (two minutes) and lists the rows that they read, so that a row
is on the page only when a test that passed asked for it.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "figures.md"
TABLE = ROOT / "tests" / "data" / "reference.tsv"
HEAD = """# Figures

Written by `python docs/make_figures.py` from the tests. Each row was measured on the implementation named; parameters
of ours are equal to the unit, multiply-accumulates within 0.5 % where the row has them (tests/nodes, tests/engine,
tests/importing); those of yolov10n.yaml are of both its heads, of which one runs here.

| family | variant | measured on | parameters | GMACs |
|---|---|---|--:|--:|
"""
ROUNDED = """
## As the papers print them

FLOPs of detectors are twice the multiply-accumulates; detectors are counted as deployed.

| model | printed | parameters here | GMACs here |
|---|---|--:|--:|
"""
PAPERS = {
    "HRNet-W18-C": ("timm", "hrnet_w18"),
    **{f"VAN-B{i}": ("repo VAN-Classification", f"van_b{i}") for i in range(4)},
    **{f"InternImage-{s}": ("repo OpenGVLab/InternImage", f"internimage_{s.lower()}") for s in "TSB"},
    "YOLO-MS-base": ("repo YOLO-MS", "yoloms/yoloms_syncbn_fast_8xb8-300e_coco.py"),
}
"""Rows of papers beside the measured row of the same model."""


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from tests.nodes import test_reference

    read: set[tuple[str, str]] = set()

    class Recorded(dict[tuple[str, str], Any]):
        def __getitem__(self, key: tuple[str, str]) -> Any:
            read.add(key)
            return super().__getitem__(key)

    test_reference.ROWS = Recorded(test_reference.ROWS)
    files = [
        f
        for f in sorted((ROOT / "tests").rglob("test_*.py"))
        if any(word in f.read_text(encoding="utf-8") for word in ("ROWS", "test_reference import"))
        and f.name != "test_reference_rows.py"  # that one reads this page
    ]
    if pytest.main(["-q", "-x", "-k", "not steps", *map(str, files)]) != 0:
        raise SystemExit("A test failed, so the page stays as it is.")
    rows = list(csv.DictReader(TABLE.open(encoding="utf-8"), delimiter="\t"))
    held = [row for row in rows if row["measured"] == "yes" and (row["source"], row["variant"]) in read]
    PAGE.write_text(page(rows, held), encoding="utf-8")
    print(f"{len(held)} rows")


def page(rows: list[dict[str, str]], held: list[dict[str, str]]) -> str:
    """The text, from all rows and those that tests hold."""
    lines = [
        f"| {r['family']} | {cell(r['variant'])} | {r['source']} | {int(r['params']):,} | {r['gmacs']} |" for r in held
    ]
    measured = {(r["source"], r["variant"]): r for r in held}
    papers = {r["variant"]: r for r in rows if r["measured"] == "no"}
    rounded = []
    for name, key in PAPERS.items():
        ours, printed = measured[key], papers[name]
        rounded.append(
            f"| {name} | {printed['params']}, {printed['gmacs']} | {int(ours['params']):,} | {ours['gmacs']} |"
        )
    return HEAD + "\n".join(lines) + "\n" + ROUNDED + "\n".join(rounded) + "\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
