"""Writes docs/exports.md: every template exported to PyTorch and to ONNX, and how far the outputs are from ours.

    python docs/make_exports.py [NAME ...]

Takes about half an hour on two cores; with names it only does those and keeps the other rows.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from designer.engine.compile import compile_document
from designer.export import export_onnx, export_pytorch
from designer.export.weights import sample_image
from designer.graph.model import GraphData
from designer.graph.onnx_options import OnnxOptions
from designer.graph.storage import read
from designer.graph.templates import templates

PAGE = Path(__file__).with_name("exports.md")
HEAD = """# Exports

Written by `python docs/make_exports.py`, with drawn weights whose norms have seen images. Detectors end at their heads
here, so that every candidate is compared and not the few that suppression leaves.

- PyTorch: the folder runs in a process where Netwright cannot be imported; the largest difference of any output from
  the document's, 0 being equal to the bit.
- ONNX: branches merged and norms folded, opset 20, free batch, checked in onnxruntime with batches of 1 and more
  against torch: the largest difference of a score or logit, and of a box's side in pixels. The bars: 1e-3, and 0.001
  of the image's side.

| template | input | parameters | PyTorch | ONNX scores | ONNX boxes, px | ONNX, MB |
|---|--:|--:|--:|--:|--:|--:|
"""


def draw_weights(data: GraphData, path: Path) -> None:
    """Saves drawn weights after the norms have seen images."""
    torch.manual_seed(1)
    compiled = compile_document(data)
    compiled.train()
    for module in compiled.model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    with torch.no_grad():
        compiled.train_model(sample_image(compiled.input_shape, 4))
    save_file({k: v.contiguous().clone() for k, v in compiled.model.state_dict().items()}, path)


def row(name: str, source: Path) -> str:
    data = read(source)
    with tempfile.TemporaryDirectory() as place:
        weights = Path(place) / "w.safetensors"
        draw_weights(data, weights)
        folder = export_pytorch(data, Path(place) / "code", weights)
        onnx = export_onnx(data, Path(place) / "m.onnx", weights, options=OnnxOptions(post=False))
    size = "x".join(map(str, onnx.input_shape[2:]))
    boxes = f"{onnx.boxes_max_abs_diff:.1g}" if any(o.endswith("boxes") for o in onnx.outputs) else ""
    return (
        f"| {name} | {size} | {folder.parameters:,} | {folder.max_abs_diff:.1g} | {onnx.max_abs_diff:.1g} "
        f"| {boxes} | {onnx.size_bytes / 2**20:.1f} |"
    )


def main() -> None:
    found = {t.name: t.path for t in templates()}
    if unknown := set(sys.argv[1:]) - set(found):
        raise SystemExit(f"No such template: {', '.join(sorted(unknown))}.")
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    kept = {m[1]: line for line in lines if (m := re.match(r"\| ([a-z0-9-]+) \| ", line)) and m[1] in found}
    for name in sys.argv[1:] or found:
        kept[name] = row(name, found[name])
        print(kept[name], flush=True)
        partial = "\n".join(kept[n] for n in sorted(kept))
        PAGE.with_suffix(".tmp").write_text(HEAD + partial + "\n", encoding="utf-8")
        os.replace(PAGE.with_suffix(".tmp"), PAGE)


if __name__ == "__main__":
    main()
