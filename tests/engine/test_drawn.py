"""Composites that were drawn run, count, open and export as their parts do."""

import copy
import pickle

import pytest
import torch

from designer.engine.compile import compile_document
from designer.engine.expand import expand_node
from designer.engine.propagate import Cache, propagate
from designer.export import export_onnx, export_pytorch
from designer.graph import Document
from designer.graph.grouping import group_nodes
from designer.graph.unpack import unpack
from nodes.sdk.discover import library


@pytest.fixture
def document():
    """Image -> two convolutions -> their sum with the first one -> a third."""
    made = Document.new("Block", library().catalogue)
    image = made.add("io.image_input", height=64, width=96)
    first = made.add("conv.conv_norm_act", title="First", out_channels=8)
    second = made.add("conv.conv_norm_act", title="Second", out_channels=8)
    total, last = made.add("fusion.add", title="Sum"), made.add("conv.conv_norm_act", title="Last", out_channels=16)
    for one, other in ((image, first), (first, second), (first, total), (second, total), (total, last)):
        made.connect(one, other)
    return made


def grouped(document):
    """Second and Sum in a composite, that one and First in another that shows Second's width."""
    ids = {n.title: n.id for n in document.data.nodes}
    inner = group_nodes(document, [ids["Second"], ids["Sum"]], "Inner", {(ids["Second"], "out_channels"): "width"})
    return group_nodes(document, [ids["First"], inner], "Outer", {(inner.id, "width"): "width"})


def test_shapes_and_costs_are_those_of_the_parts_and_equal_ones_are_remembered(document):
    before = propagate(document.data)
    outer = grouped(document)
    cache = Cache()
    after = propagate(document.data, cache=cache)
    assert not after.errors
    assert after.totals == before.totals
    assert after.nodes[outer.id].outputs["out"].shape == (1, 8, 64, 96)
    assert propagate(document.data, cache=cache).ran == 0


def test_an_exposed_parameter_reaches_its_part_two_levels_down(document):
    outer = grouped(document)
    document.set_param(outer, "width", 4)
    errors = propagate(document.data).errors
    assert len(errors) == 1
    assert errors[0].node == outer.id
    assert "4" in errors[0].message


def test_a_composite_opens_and_unpacks_into_what_it_was_made_of(document):
    before = propagate(document.data).totals
    outer = grouped(document)
    parts = unpack(document, outer, expand_node(document.data, outer.id))
    assert [document.node(p).title for p in parts] == ["Outer first", "Outer inner"]
    unpack(document, parts[1], expand_node(document.data, parts[1]))
    assert propagate(document.data).totals == before
    assert all(not n.component.startswith("composites.") for n in document.data.nodes)


def test_it_computes_what_its_parts_compute_and_takes_gradients(document, tmp_path):
    torch.manual_seed(0)
    plain = compile_document(document.data).model
    grouped(document)
    torch.manual_seed(0)
    drawn = compile_document(document.data).model
    state = [t.clone() for t in plain.state_dict().values()]
    drawn.load_state_dict(dict(zip(drawn.state_dict(), state, strict=True)))
    image = torch.rand(2, 3, 64, 96)
    assert torch.equal(plain(image), drawn(image))
    assert torch.equal(copy.deepcopy(drawn)(image), drawn(image))
    drawn(image).sum().backward()
    assert all(p.grad is not None for p in drawn.parameters())


def test_it_is_exported(document, tmp_path):
    grouped(document)
    export_pytorch(document.data, tmp_path / "code")
    assert "class Outer(nn.Module)" in (tmp_path / "code" / "model.py").read_text()
    assert export_onnx(document.data, tmp_path / "block.onnx").max_abs_diff < 1e-4


def test_a_part_that_is_not_installed_is_named(document):
    outer = grouped(document)
    document.data.composites[0].nodes[0].component = "conv.gone"
    errors = propagate(document.data).errors
    assert [e.node for e in errors] == [outer.id]
    assert "conv.gone" in errors[0].message


def test_a_composite_goes_to_another_process(document):
    from designer.engine.drawn import with_composites

    outer = grouped(document)
    found = with_composites(document.data, library())[outer.component]
    again = pickle.loads(pickle.dumps(found))
    assert again.__component__ == found.__component__
    assert [n.name for n in again.expand(["x"], {}).nodes] == ["first", "inner"]
