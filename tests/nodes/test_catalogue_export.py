"""Every component leaves: as part of a compiled graph, through torch.export, as ONNX that onnxruntime agrees with.

Composites that a template has, and their stages, leave with it, in docs/make_exports.py: here they would take ten
minutes.
"""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn

from designer.graph.storage import read
from designer.graph.templates import templates
from nodes.sdk.build import call_order, join
from nodes.sdk.builder import Ref, Subgraph, SubNode
from nodes.sdk.discover import library
from tests.nodes.fixtures import CELL, FEWER, infos_of, inputs_for, least_size
from tests.nodes.test_catalogue import tensors

REGISTRY = library()
COMPONENTS = sorted(spec.id for spec in REGISTRY.catalogue.values() if spec.role in ("layer", "head"))
LEAVES = [name for name in COMPONENTS if not REGISTRY.spec(name).composite]
IN_TEMPLATES = {node.component for template in templates() for node in read(template.path).nodes}
HERE = [
    name
    for name in COMPONENTS
    if name in LEAVES or not any(name == whole or name.startswith(f"{whole}.") for whole in IN_TEMPLATES)
]
CUTS = {"head.solo_head": 1e-3}
"""Share of values that may differ where a component counts cells above a threshold: with weights as they are drawn
many lie so near it that rounding decides."""


def example(component_id: str, batch: int = 2) -> tuple[list[str], list[Any]]:
    spec = REGISTRY.spec(component_id)
    values = inputs_for(spec, least_size(spec), batch)
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


@pytest.mark.usefixtures("one_onnx_table")
@pytest.mark.parametrize("component_id", HERE)
@torch.no_grad()
def test_torch_export_and_onnxruntime_agree(component_id: str) -> None:
    module, values = _made(component_id), example(component_id)[1]
    expected = [t for t in tensors([module(*values)]) if t is not None]
    # A composite is made of components that leave the batch free; to find that again takes twice the time.
    free = _free_batch(module, values) if component_id in LEAVES else None
    exported = torch.export.export(module, tuple(values), dynamic_shapes=free)
    for ours, theirs in zip(expected, tensors([exported.module()(*values)]), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-5)
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(exported, dynamo=True, opset_version=20, verbose=False)
    finally:
        logging.disable(logging.NOTSET)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {i.name: v.numpy() for i, v in zip(session.get_inputs(), values, strict=True)}
    for ours, theirs in zip(expected, session.run(None, feed), strict=True):
        # Weights as they are drawn: dozens of sums without a trained norm take HRNet's maps to thousands.
        scale = max(1.0, float(ours.abs().max()))
        apart = ~torch.isclose(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-4 * scale)
        assert apart.float().mean() <= CUTS.get(component_id, 0.0), f"{int(apart.sum())} of {apart.numel()} values"


def _free_batch(module: nn.Module, values: list[Any]) -> list[Any]:
    """What torch.export is told of the inputs: the first size of each tensor is free. `*maps` are one of its inputs."""
    batch = torch.export.Dim("batch", min=1)
    free = [{0: batch} if isinstance(value, torch.Tensor) else None for value in values]
    kinds = [p.kind for p in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return free
    first = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return [*free[:first], tuple(free[first:])]


def _made(component_id: str) -> nn.Module:
    spec = REGISTRY.spec(component_id)
    size = least_size(spec)
    torch.manual_seed(0)
    infos = infos_of(spec, inputs_for(spec, size))
    return REGISTRY.make(component_id, FEWER.get(component_id, {}), infos, (CELL * size[0], CELL * size[1])).eval()
