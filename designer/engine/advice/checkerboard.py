"""Transposed convolutions that paint unevenly."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem


def _find(design: Design) -> Iterator[Problem]:
    for node, spec, _ in design.nodes():
        if node.component != "resize.conv_transpose":
            continue
        kernel, stride = (node.params.get(name, spec.defaults()[name]) for name in ("kernel_size", "stride"))
        if kernel % stride == 0:
            continue
        even = kernel + stride - kernel % stride
        edit = {"op": "set_param", "node": node.id, "name": "kernel_size", "value": even}
        text = f"{node.title}: kernels of {kernel} at steps of {stride} overlap on some cells and not on others."
        yield Problem("advice", text, node.id, fixes=(Fix(f"Set kernel_size to {even}", (edit,)),))


RULE = Rule(
    "checkerboard",
    "Transposed convolutions that paint a checkerboard",
    "Cells that get more kernels are brighter, in a pattern that the layers behind have to unlearn. A kernel that the "
    "stride divides paints evenly; interpolation and a convolution is smoother still.",
    _find,
)
