"""Windows that are smaller than their step."""

from __future__ import annotations

from collections.abc import Iterator

from designer.engine.advice import Design, Rule
from designer.graph.problems import Fix, Problem

WINDOWED = ("conv.conv", "conv.depthwise_conv", "conv.conv_norm_act", "pooling.max_pool", "pooling.avg_pool")


def _find(design: Design) -> Iterator[Problem]:
    for node, spec, _ in design.nodes():
        sizes = spec.param("kernel_size"), spec.param("stride")
        if node.component not in WINDOWED or sizes[0] is None or sizes[1] is None:
            continue
        kernel, stride = (node.params.get(p.name, p.default) for p in sizes if p is not None)
        if kernel >= stride:
            continue
        share = 1 - kernel * kernel / (stride * stride)
        better = stride if node.component.startswith("pooling") else stride + 1 - stride % 2
        edit = {"op": "set_param", "node": node.id, "name": "kernel_size", "value": better}
        text = f"{node.title}: a window of {kernel} with a stride of {stride} never looks at {share:.0%} of the cells."
        yield Problem("advice", text, node.id, fixes=(Fix(f"Set kernel_size to {better}", (edit,)),))


RULE = Rule(
    "skipped_cells",
    "Cells that no window looks at",
    "What is skipped was computed for nothing, and small objects are lost with it. Max pooling keeps the strongest "
    "cell, average pooling keeps all of them a little, a larger kernel learns which.",
    _find,
)
