"""Every component leaves: as part of a compiled graph, as PyTorch code and as ONNX that onnxruntime agrees with.

docs/exports.md has what each export gave, and of which sources. Here only those are exported again whose sources have
changed since, and every tenth where torch is another: all of them take half an hour.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nodes.sdk.build import call_order, join
from nodes.sdk.builder import Ref, Subgraph, SubNode
from nodes.sdk.discover import library
from tests.nodes.fixtures import CELL, FEWER, infos_of, inputs_for, least_size
from tests.nodes.test_catalogue import tensors

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import component_exports
from make_exports import PAGE, TORCH

REGISTRY = library()
LEAVES = sorted(s.id for s in REGISTRY.catalogue.values() if s.role in ("layer", "head") and not s.composite)
COMPONENTS = component_exports.components()
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = {m[1]: m[0] for m in re.finditer(r"^\| ([a-z0-9_.-]+) \| .*$", TEXT, re.MULTILINE)}


@pytest.mark.parametrize("component_id", LEAVES)
@torch.no_grad()
def test_runs_as_part_of_a_graph_with_one_image(component_id: str) -> None:
    spec, size = REGISTRY.spec(component_id), least_size(REGISTRY.spec(component_id))
    module = _made(component_id)
    by_name = inputs_for(spec, size, batch=1)
    names = call_order(spec, by_name)
    values: list[Any] = [by_name[name] for name in names]
    inner = SubNode("it", REGISTRY[component_id], {}, {name: Ref("", name) for name in names})
    outputs = {p.name: Ref("it", p.name) for p in spec.outputs}
    graph = join(Subgraph(names, [inner], outputs), {"it": module}).eval()
    for a, b in zip(tensors([graph(*values)]), tensors([module(*values)]), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(("place", "component_id"), enumerate(COMPONENTS))
def test_leaves_as_pytorch_and_as_onnx(place: int, component_id: str) -> None:
    row = ROWS.get(component_id, "")
    if component_exports.digest(component_id) not in row or (f"torch {TORCH}," not in TEXT and place % 10 == 0):
        row = component_exports.row(component_id)
    _, pytorch, scores, boxes, _ = (cell.strip() for cell in row.split("|")[2:-1])
    assert float(pytorch) == 0.0
    assert float(scores) <= 1e-3
    assert float(boxes or 0) <= 1e-3 * max(component_exports.image_of(component_id))


def _made(component_id: str) -> nn.Module:
    spec = REGISTRY.spec(component_id)
    size = least_size(spec)
    torch.manual_seed(0)
    infos = infos_of(spec, inputs_for(spec, size))
    return REGISTRY.make(component_id, FEWER.get(component_id, {}), infos, (CELL * size[0], CELL * size[1])).eval()
