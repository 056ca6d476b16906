"""Writes docs/exports.md: every template and component as PyTorch and as ONNX, and how far the outputs are from ours.

    python docs/make_exports.py [NAME ...]

Takes about an hour and a half on two cores; with names it only does those and keeps the other rows. `changed`
stands for the components whose sources are not those of their row.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import component_exports
import torch

from designer.graph.onnx_options import OnnxOptions
from designer.graph.storage import read
from designer.graph.templates import templates

PAGE = Path(__file__).with_name("exports.md")
TORCH = torch.__version__.partition("+")[0]
SCORES, SIDE = 1e-4, 1e-3
"""The table's bar: of scores, and of boxes in parts of the image's side."""
QUIET = 0.25
"""Scale of the norms of a net that amplifies its own rounding beyond the bar."""
HEAD = f"""# Exports

Written by `python docs/make_exports.py` with torch {TORCH}, with drawn weights whose norms have seen images.

- PyTorch: the folder runs in a process where Netwright cannot be imported; the largest difference of any output from
  the document's, 0 being equal to the bit.
- ONNX: branches merged and norms folded, opset 20, free batch, checked in onnxruntime with batches of 1 and more
  against torch: the largest difference of a score or logit, and of a box's side in pixels; of mask coefficients and
  prototypes, which have no unit, in parts of their largest value where that is over 1. An export is refused at 1e-3 and
  0.001 of the image's side; of a model that rounding alone moves by more than a quarter of that (torch against itself
  in float64), at four times as much as that.
- The bar of this table is 1e-4, and 0.001 of the side. Norms with the scale of 1 that they are drawn with make every
  layer enlarge what rounding did in those before it, so that drawn nets of some depth miss the bar against themselves:
  torch's float32 is 6 pixels from its own float64 in mhaf-yolo-n, 0.24 with scales of 0.5 and 0.016 with 0.25. Rows
  with a * are of scales of {QUIET}, since they missed the bar with 1. One is still over it: yolo-ms with 1.4e-4 in one
  of the images, for which torch's float32 is 1.6e-4 from its own float64.

## Templates

Detectors end at their heads here, so that every candidate is compared and not the few that suppression leaves.

| template | input | parameters | PyTorch | ONNX scores | ONNX boxes, px | ONNX, MB |
|---|--:|--:|--:|--:|--:|--:|
"""
COMPONENTS = """
## Components

Each in the smallest document that holds it: an image, and a convolution for each input that gives it a map of the shape
it needs. The parameters are those of the whole document. The difference of a map is at most this part of its largest
value, where that is over 1. The last column tells of which sources a row is: the tests export a component anew whose
sources are others.

| component | parameters | PyTorch | ONNX | ONNX boxes, px | sources |
|---|--:|--:|--:|--:|---|
"""


def row(name: str, source: Path) -> str:
    mark = ""
    folder, onnx = component_exports.exported(read(source), OnnxOptions(post=False))
    if onnx.max_abs_diff > SCORES or onnx.boxes_max_abs_diff > SIDE * max(onnx.input_shape[2:]):
        mark = " *"
        folder, onnx = component_exports.exported(read(source), OnnxOptions(post=False), QUIET)
    size = "x".join(map(str, onnx.input_shape[2:]))
    return (
        f"| {name}{mark} | {size} | {folder.parameters:,} | {folder.max_abs_diff:.1g} | {onnx.max_abs_diff:.1g} "
        f"| {component_exports.boxes_of(onnx)} | {onnx.size_bytes / 2**20:.1f} |"
    )


def main() -> None:
    templates_by_name = {t.name: t.path for t in templates()}
    every = [*templates_by_name, *component_exports.components()]
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    kept = {m[1]: line for line in lines if (m := re.match(r"\| ([a-z0-9_.-]+)(?: \*)? \| ", line)) and m[1] in every}
    names = sys.argv[1:] or every
    if names == ["changed"]:
        names = [n for n in component_exports.components() if component_exports.digest(n) not in kept.get(n, "")]
    if unknown := set(names) - set(every):
        raise SystemExit(f"No such template or component: {', '.join(sorted(unknown))}.")
    for name in names:
        made = templates_by_name.get(name)
        kept[name] = row(name, made) if made is not None else component_exports.row(name)
        print(kept[name], flush=True)
        tables = [
            "".join(f"{kept[n]}\n" for n in sorted(kept) if (n in templates_by_name) == whole)
            for whole in (True, False)
        ]
        PAGE.with_suffix(".tmp").write_text(HEAD + tables[0] + COMPONENTS + tables[1], encoding="utf-8")
        os.replace(PAGE.with_suffix(".tmp"), PAGE)


if __name__ == "__main__":
    main()
