"""Every component that discovery finds: it runs, learns, copies, saves and declares itself truly. No list to edit."""

from __future__ import annotations

import copy
import pickle
import re
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nodes.sdk.build import TensorInfo, call_order, output_infos
from nodes.sdk.discover import library
from nodes.sdk.errors import BadInput
from tests.nodes.fixtures import CELL, FEWER, ODD, dim_size, infos_of, inputs_for, least_size

REGISTRY = library()
# The scope has all tests of a component run after each other, so that one module at a time is kept.
every_component = pytest.mark.parametrize("component_id", sorted(REGISTRY.catalogue), scope="module")
# What a graph of components does alike whatever it is made of needs no backbone of a hundred layers to show it.
WHOLE = {s.id for s in REGISTRY.catalogue.values() if s.composite} - {"backbone.resnet", "neck.pafpn", "neck.bifpn"}
every_part = pytest.mark.parametrize("component_id", sorted(set(REGISTRY.catalogue) - WHOLE), scope="module")
# Where a processor has no instructions for bfloat16, a convolution takes a hundred times as long.
BACKBONES = {name for name in WHOLE if name.startswith("backbone.") and name.count(".") == 1}
but_backbones = pytest.mark.parametrize("component_id", sorted(set(REGISTRY.catalogue) - BACKBONES), scope="module")


def make(component_id: str, size: tuple[int, int] | None = None, seed: int = 0) -> nn.Module:
    spec = REGISTRY.spec(component_id)
    size = size or least_size(spec)
    torch.manual_seed(seed)
    image_size = (CELL * size[0], CELL * size[1])
    return REGISTRY.make(component_id, FEWER.get(component_id, {}), infos_of(spec, inputs_for(spec, size)), image_size)


@lru_cache(maxsize=1)
def _shared(component_id: str) -> nn.Module:
    return make(component_id)


def built(component_id: str) -> nn.Module:
    """A copy of its own for each test; building is the slow part."""
    return copy.deepcopy(_shared(component_id)).eval()


def run(module: nn.Module, component_id: str, size: tuple[int, int] | None = None, batch: int = 2) -> dict[str, Any]:
    """Outputs by port name."""
    spec = REGISTRY.spec(component_id)
    values = inputs_for(spec, size or least_size(spec), batch)
    returned = module(*(values[name] for name in call_order(spec, values)))
    outputs = (returned,) if len(spec.outputs) == 1 else returned
    return dict(zip((p.name for p in spec.outputs), outputs, strict=True))


def tensors(outputs: Any) -> list[Tensor]:
    """All tensors of nested dicts and tuples, in order."""
    if isinstance(outputs, Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, dict) else outputs
    return [t for part in parts for t in tensors(part)]


def assert_same(one: Any, other: Any) -> None:
    """Equal to 1e-4 of the largest value: sums over untrained branches grow without bound in eval mode."""
    for a, b in zip(tensors(one), tensors(other), strict=True):
        largest = float(b.abs().max()) if b.numel() else 0.0
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * max(1.0, largest))


def test_nothing_in_the_library_is_broken() -> None:
    assert REGISTRY.broken == []


@every_component
def test_tells_a_reader_what_it_is(component_id: str) -> None:
    spec = REGISTRY.spec(component_id)
    assert spec.summary.endswith(".")
    assert re.search(r"^Shapes: ", spec.doc, re.MULTILINE)
    assert [p.name for p in spec.settings if not p.help] == []
    assert all(p.minimum is not None for p in spec.settings if p.type == "int"), "a whole number without a Range"


@every_component
def test_shapes_on_meta_and_declared_dims_are_those_of_a_real_run(component_id: str) -> None:
    spec = REGISTRY.spec(component_id)
    size = least_size(spec)
    values = inputs_for(spec, size)
    with torch.device("meta"):
        probe = make(component_id)
    predicted = output_infos(spec, probe, infos_of(spec, values))
    outputs = run(built(component_id), component_id)
    given = {letter for p in spec.inputs for letter in p.dims.split() if letter.isidentifier()}
    for port in spec.outputs:
        info, value = predicted[port.name], outputs[port.name]
        if not isinstance(info, TensorInfo):
            assert {name: i.shape for name, i in info.fields} == {
                n: tuple(getattr(value, n).shape) for n in value._fields
            }
            continue
        assert info.shape == tuple(value.shape)
        if "..." in port.dims:
            continue
        for dim, got in zip(port.dims.split(), value.shape, strict=True):
            letter, _, divisor = dim.partition("/")
            if (letter in given and (not divisor or divisor.isdigit())) or letter.isdigit():
                assert got == dim_size(dim, size, 2), f"{port.name} declares {port.dims}, is {tuple(value.shape)}"


@every_component
def test_every_parameter_gets_a_gradient(component_id: str) -> None:
    module = built(component_id).train()
    if REGISTRY.spec(component_id).role == "post":
        assert not list(module.parameters())
        return
    torch.manual_seed(1)
    for part in module.modules():  # what starts at zero passes no gradient on in the first step
        if isinstance(part, nn.BatchNorm2d) and not part.weight.any():  # the end of a residual branch
            nn.init.ones_(part.weight)
        elif isinstance(part, (nn.Linear, nn.Conv2d)) and not part.weight.any():  # offsets of a deformable kernel
            nn.init.normal_(part.weight, std=0.01)
    # Random weights: the plain sum of a batch norm's output would have no gradient.
    total = sum((t * torch.randn_like(t)).sum() for t in tensors(run(module, component_id)))
    learned = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not learned:
        return
    total.backward()
    without = [n for n, p in learned.items() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()]
    assert without == []


@every_component
@torch.no_grad()
def test_eval_repeats_and_does_not_mix_images(component_id: str) -> None:
    module = built(component_id)
    first, again = run(module, component_id), run(module, component_id)
    for a, b in zip(tensors(first), tensors(again), strict=True):
        assert torch.equal(a, b)
    spec = REGISTRY.spec(component_id)
    if not spec.inputs:
        return
    values = inputs_for(spec, least_size(spec))
    alone = [_first_image(values[name]) for name in call_order(spec, values)]
    assert_same(module(*alone), [t[:1] for t in tensors(first)])


def _first_image(value: Any) -> Any:
    return value[:1] if isinstance(value, Tensor) else type(value)(*(t[:1] for t in value))


@every_part
@torch.no_grad()
def test_copies_and_pickles(component_id: str) -> None:
    module = built(component_id)
    expected = run(module, component_id)
    twin = copy.deepcopy(module)
    own = {t.data_ptr() for t in module.state_dict().values() if t.numel()}
    assert not own & {t.data_ptr() for t in twin.state_dict().values() if t.numel()}
    assert_same(run(twin, component_id), expected)
    assert_same(run(pickle.loads(pickle.dumps(module)), component_id), expected)


@every_part
@torch.no_grad()
def test_state_dict_restores_it(component_id: str) -> None:
    module = built(component_id).train()
    run(module, component_id)  # moves the running statistics of batch norms
    fresh = make(component_id, seed=1)
    assert fresh.load_state_dict(module.state_dict(), strict=True).missing_keys == []
    assert_same(run(fresh.eval(), component_id), run(module.eval(), component_id))


@every_component
@torch.no_grad()
def test_odd_sizes_run_or_are_refused_in_words(component_id: str) -> None:
    spec = REGISTRY.spec(component_id)
    refused = None
    try:
        module = make(component_id, ODD).eval()
    except BadInput as error:
        refused = error
    if refused is None:
        assert all(t.isfinite().all() for t in tensors(run(module, component_id, ODD)))
        return
    assert len(inputs_for(spec)) > 1, f"one map of any size must do: {refused}"
    assert re.search(r"\d+.*\d+", refused.message), f"both sizes belong in the message: {refused}"


@but_backbones
@torch.no_grad()
def test_runs_in_mixed_precision(component_id: str) -> None:
    module = built(component_id)
    expected = tensors(run(module, component_id, batch=1))
    with torch.autocast("cpu", torch.bfloat16):
        found = tensors(run(module, component_id, batch=1))
    assert [t.shape for t in found] == [t.shape for t in expected]
    assert all(t.isfinite().all() for t in found)
