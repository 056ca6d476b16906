"""Every leaf component leaves: as part of a compiled graph, through torch.export, as ONNX that onnxruntime agrees with.

Composites are made of leaves and compile to the same calls, so they are not exported one by one; whole models are, in
tests/export and tests/engine.
"""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn

from nodes.sdk.build import call_order, join
from nodes.sdk.builder import Ref, Subgraph, SubNode
from nodes.sdk.discover import library
from tests.nodes.fixtures import CELL, infos_of, inputs_for
from tests.nodes.test_catalogue import tensors

REGISTRY = library()
LEAVES = sorted(
    spec.id for spec in REGISTRY.catalogue.values() if not spec.composite and spec.role in ("layer", "head")
)
SIZE = (8, 16)
"""Cells of the largest map: small, since only equality matters."""


def example(component_id: str, batch: int = 2) -> tuple[list[str], list[Any]]:
    spec = REGISTRY.spec(component_id)
    size = (32, 64) if spec.id == "backbone.timm_backbone" else SIZE
    values = inputs_for(spec, size, batch)
    names = call_order(spec, values)
    return names, [values[name] for name in names]


@pytest.mark.parametrize("component_id", LEAVES)
@torch.no_grad()
def test_runs_as_part_of_a_graph_with_one_image(component_id: str) -> None:
    module, (names, values) = _made(component_id), example(component_id, batch=1)
    inner = SubNode("it", REGISTRY[component_id], {}, {name: Ref("", name) for name in names})
    outputs = {p.name: Ref("it", p.name) for p in REGISTRY.spec(component_id).outputs}
    graph = join(Subgraph(names, [inner], outputs), {"it": module}).eval()
    for a, b in zip(tensors([graph(*values)]), tensors([module(*values)]), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("component_id", LEAVES)
@torch.no_grad()
def test_onnxruntime_agrees(component_id: str) -> None:
    module, values = _made(component_id), example(component_id)[1]
    expected = [t for t in tensors([module(*values)]) if t is not None]
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(module, tuple(values), dynamo=True, opset_version=20, verbose=False)
    finally:
        logging.disable(logging.NOTSET)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {i.name: v.numpy() for i, v in zip(session.get_inputs(), values, strict=True)}
    for ours, theirs in zip(expected, session.run(None, feed), strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-4)


def _made(component_id: str) -> nn.Module:
    spec = REGISTRY.spec(component_id)
    size = (32, 64) if spec.id == "backbone.timm_backbone" else SIZE
    torch.manual_seed(0)
    infos = infos_of(spec, inputs_for(spec, size))
    return REGISTRY.make(component_id, {}, infos, (CELL * size[0], CELL * size[1])).eval()
