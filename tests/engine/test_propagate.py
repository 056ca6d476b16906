"""Shapes, costs, the cache and cancellation, on documents as people draw them."""

import contextlib
import importlib

import pytest
import torch
from torch import nn

from designer.engine import analysis
from designer.engine.analysis import _Macs
from designer.engine.propagate import Cache, Cancelled, propagate
from designer.graph.templates import load_template
from nodes.sdk.discover import Registry, library
from tests.engine.documents import chain, new, run, shape


@pytest.fixture(scope="module")
def odd() -> Registry:
    """The library and the components of tests/engine/components.py."""
    registry = Registry(dict(library().declared))
    registry.add_module(importlib.import_module("tests.engine.components"))
    return registry


@pytest.mark.parametrize(
    ("template", "params", "gmacs"),
    [
        ("yolov8n", 3_157_200, 4.37199),
        ("yolov8n-blocks", 3_157_200, 4.37199),
        ("resnet50", 25_557_032, 4.08918),
    ],
)
def test_published_models_are_exact_to_the_unit(template, params, gmacs):
    result = run(load_template(template, library().catalogue))
    assert not result.errors
    assert result.totals["params"] == params
    assert result.totals["macs"] / 1e9 == pytest.approx(gmacs, abs=5e-6)


def test_shapes_of_yolov8n():
    document = load_template("yolov8n", library().catalogue)
    result = run(document)
    by_component = {document.node(n).component: r for n, r in result.nodes.items()}
    backbone = by_component["backbone.csp_darknet"].to_json()["outputs"]
    assert backbone["p5"] == {"kind": "map", "shape": [1, 256, 20, 20], "dtype": "float32"}
    head = by_component["head.yolov8_head"]
    assert head.derived == {"channels": (64, 128, 256), "strides": (8, 16, 32)}
    assert head.to_json()["outputs"]["out"] == {
        "kind": "predictions",
        "fields": {"boxes": [1, 8400, 4], "scores": [1, 8400, 80]},
    }


def test_an_edit_runs_only_what_it_touches():
    document, image = new(64, 64)
    first, second, third = chain(
        document, image,
        ("conv.conv_norm_act", "First", {"out_channels": 8}),
        ("conv.conv_norm_act", "Second", {"out_channels": 8}),
        ("conv.conv_norm_act", "Third", {"out_channels": 16}),
    )  # fmt: skip
    cache = Cache()
    assert run(document, cache).ran == 4
    assert run(document, cache).ran == 0
    document.set_param(third, "out_channels", 32)
    assert run(document, cache).ran == 1
    # What a node gives stays the same, so nothing behind it is run.
    document.set_param(second, "kernel_size", 5)
    assert run(document, cache).ran == 1
    document.set_param(first, "out_channels", 4)
    assert run(document, cache).ran == 2
    document.undo()
    document.move({first.id: (5, 5)})
    document.rename(second, "Other")
    document.set_note(third, "a note")
    assert run(document, cache).ran == 0


def test_a_node_that_fails_is_not_run_again_either():
    document, image = new(4, 4)
    chain(document, image, ("pooling.max_pool", "Pool", {"kernel_size": 8, "stride": 8}))
    cache = Cache()
    assert run(document, cache).ran == 2
    again = run(document, cache)
    assert again.ran == 0
    assert len(again.errors) == 1


def test_equal_blocks_run_once():
    document, image = new(64, 64)
    blocks = [("block.residual.bottleneck", f"Block {i}", {"width": 16}) for i in range(6)]
    chain(document, image, ("conv.conv", "Widen", {"out_channels": 64}), *blocks)
    assert run(document).ran == 3


def test_downstream_of_an_error_waits_in_silence():
    document, image = new(64, 64)
    stem, pool, after, _ = chain(
        document, image,
        ("stem.conv_stem", "Stem", {}),
        ("pooling.max_pool", "Pool", {"kernel_size": 40}),
        ("conv.conv", "After", {}),
        ("conv.conv", "Last", {}),
    )  # fmt: skip
    result = run(document)
    assert [r.status for r in result.nodes.values()] == ["ok", "ok", "error", "waiting", "waiting"]
    assert [p.node for p in result.errors] == [pool.id]
    document.set_param(pool, "kernel_size", 2)
    result = run(document)
    assert shape(result, after) == (1, 64, 16, 16)
    assert shape(result, stem) == (1, 64, 32, 32)


def test_an_unknown_component_and_a_loop_leave_the_rest_running():
    document, image = new(64, 64)
    (stem,) = chain(document, image, ("stem.conv_stem", "Stem", {}))
    document.catalogue = None
    lost = document.add("attention.gone", title="Lost")
    document.connect(stem, lost, "out", "x")
    document.catalogue = library().catalogue
    result = run(document)
    assert result.nodes[lost.id].status == "error"
    assert shape(result, stem) == (1, 64, 32, 32)


def test_a_disabled_node_lets_through_what_arrives():
    document, image = new(64, 64)
    first, second, third = chain(
        document, image,
        ("conv.conv", "First", {"out_channels": 8}),
        ("conv.conv", "Second", {"out_channels": 16}),
        ("conv.conv", "Third", {"out_channels": 4}),
    )  # fmt: skip
    document.set_disabled(second, True)
    result = run(document)
    assert result.nodes[second.id].status == "ok"
    assert shape(result, second) == shape(result, first) == (1, 8, 64, 64)
    assert result.nodes[third.id].derived == {"in_channels": 8}
    assert result.nodes[second.id].params == 0


def test_a_disabled_node_with_an_error_of_its_own_is_no_problem():
    document, image = new(64, 64)
    pool, after = chain(
        document, image, ("pooling.max_pool", "Pool", {"kernel_size": -3}), ("conv.conv", "After", {"out_channels": 4})
    )
    assert run(document).errors
    document.set_disabled(pool, True)
    result = run(document)
    assert not result.errors
    assert shape(result, after) == (1, 4, 64, 64)


def test_cancellation_between_nodes_keeps_what_was_done():
    document = load_template("yolov8n-blocks", library().catalogue)
    cache, asked = Cache(), 0

    def after_five() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    with pytest.raises(Cancelled):
        propagate(document.data, cache=cache, cancelled=after_five)
    rest = run(document, cache).ran
    assert rest == run(document).ran - 5


def test_a_frozen_node_trains_nothing():
    document, image = new(64, 64)
    (conv,) = chain(document, image, ("conv.conv", "Conv", {"out_channels": 8}))
    assert run(document).totals["trainable"] == 3 * 8 + 8
    document.set_frozen(conv, True)
    assert run(document).totals["trainable"] == 0
    assert run(document).totals["params"] == 32


def test_the_largest_image_costs_no_memory():
    document, image = new(16384, 16384)
    document.set_param(image, "channels", 1024)
    (stem,) = chain(document, image, ("stem.conv_stem", "Stem", {}))
    assert shape(run(document), stem) == (1, 64, 8192, 8192)


@pytest.mark.parametrize(
    ("component", "params", "expected"),
    [
        ("conv.conv", {"out_channels": 4, "kernel_size": 3}, 4 * 32 * 32 * 4),  # its input belongs to the node before
        ("pooling.max_pool", {}, 3 * 16 * 16 * (4 + 8)),  # the maxima and, in int64, where they were
        ("resize.upsample", {"scale": 2}, 3 * 64 * 64 * 4),
    ],
)
def test_activation_bytes_by_hand(component, params, expected):
    document, image = new(32, 32)
    (node,) = chain(document, image, (component, "Node", params))
    assert run(document).nodes[node.id].activation_bytes == expected


def test_activations_of_a_head_are_those_of_its_raw_output():
    document, image = new(64, 64)
    pool, head = chain(document, image, ("pooling.max_pool", "Pool", {}), ("head.classification_head", "Head", {}))
    # Pooled features, their view and the logits; no probabilities, which eval adds.
    assert run(document).nodes[head.id].activation_bytes == (3 + 1000) * 4
    assert run(document).nodes[pool.id].activation_bytes == 3 * 32 * 32 * 12


def test_operators_that_torch_does_not_count(odd):
    document, image = new(16, 16, odd)
    warp, deformable = chain(document, image, ("test.warp", "Warp", {}), ("test.deformable", "Deformable", {}))
    result = run(document, registry=odd)
    assert result.nodes[warp.id].macs == 4 * 3 * 16 * 16
    assert result.nodes[deformable.id].macs == 16 * 16 * (4 * 3 * 9 + 4 * 3 * 9)


def test_a_component_may_write_to_its_input(odd):
    document, image = new(16, 16, odd)
    chain(document, image, ("conv.conv", "Conv", {"out_channels": 4}), ("test.in_place", "ReLU", {}))
    assert not run(document, registry=odd).errors


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.BatchNorm2d(8), (2, 8, 4, 4)),
        (nn.BatchNorm1d(8), (4, 8)),
        (nn.GroupNorm(4, 8), (2, 8, 4, 4)),
        (nn.InstanceNorm2d(8, affine=True), (2, 8, 4, 4)),
        (nn.LayerNorm(6), (2, 5, 6)),
        (nn.LayerNorm((5, 6)), (2, 5, 6)),
    ],
)
def test_norms_answered_without_torch_give_what_torch_gives(layer, size, training):
    saved: list[list[tuple[int, ...]]] = []
    meta = layer.to("meta").train(training)
    x = torch.empty(size, device="meta", requires_grad=True)
    for mode in (_Macs(), None):
        kept: list[tuple[int, ...]] = []

        def keep(tensor: torch.Tensor, kept: list[tuple[int, ...]] = kept) -> torch.Tensor:
            kept.append(tuple(tensor.shape))
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t), mode or contextlib.nullcontext():
            assert meta(x).shape == x.shape
        saved.append(kept)
    assert saved[0] == saved[1]


def test_wrong_sizes_still_reach_torch_through_the_norms():
    with _Macs(), pytest.raises(RuntimeError):
        nn.LayerNorm(7).to("meta")(torch.empty(2, 5, 6, device="meta"))
    assert analysis._NORMS


def map_of(*shape, **options):
    return torch.empty(*shape, device="meta", **options)


@pytest.mark.parametrize(
    "call",
    [
        lambda: map_of(1, 8, 4, 4) + map_of(1, 8, 4, 4),
        lambda: map_of(1, 8, 4, 4) + map_of(1, 8, 1, 1),
        lambda: map_of(1, 8, 4, 4) * 2,
        lambda: torch.add(map_of(4), map_of(4, dtype=torch.float64), alpha=2),
        lambda: map_of(2, 8, 4, 4).mul(map_of(4, 4, 2, 8).permute(2, 3, 0, 1)),
        lambda: torch.cat([map_of(1, 8, 4, 4), map_of(1, 3, 4, 4)], 1),
        lambda: torch.cat([map_of(1, 8, 4, 4), map_of(1, 8, 4, 2), map_of(1, 8, 4, 1)], -1),
        lambda: torch.cat([map_of(3), map_of(4, dtype=torch.float64)]),
        lambda: torch.cat([map_of(0), map_of(2, 2)]),
        lambda: torch.cat([map_of(2, 8, 4, 4).to(memory_format=torch.channels_last)] * 2, 1),
        lambda: torch.cat([map_of(2, 8, 4, 4), map_of(2, 8, 3, 4)], 1),
        lambda: torch.cat([map_of(2, 8), map_of(2, 8)], 2),
        lambda: torch.cat([map_of()]),
    ],
)
def test_operators_answered_without_torch_give_what_torch_gives(call):
    def said():
        try:
            made = call()
        except Exception as error:
            return type(error), str(error)
        return made.shape, made.dtype, made.stride()

    want = said()
    with _Macs():
        assert said() == want


def test_what_propagates_compiles_to_the_same_shapes():
    """The composites' own path through the cache agrees with modules that are really built and run."""
    for name in ("quick-start", "shapes-classifier"):
        document = load_template(name, library().catalogue)
        image = next(n for n in document.data.nodes if n.component == "io.image_input")
        document.set_param(image, "height", 64)
        document.set_param(image, "width", 96)
        result = run(document)
        values = {}
        for node_id in document.order():
            node = document.node(node_id)
            wires = {w.target_port: w for w in document.wires_into(node_id)}
            infos = {p: result.nodes[w.source].outputs[w.source_port] for p, w in wires.items()}
            module = library().make(node.component, node.params, infos, (64, 96)).eval()
            spec = document.spec(node)
            names = [n for port in spec.inputs for n in sorted(wires) if n.split(".")[0] == port.name]
            with torch.no_grad():
                out = module(*(values[wires[n].source, wires[n].source_port] for n in names))
            outs = (out,) if len(spec.outputs) == 1 else out
            for port, value in zip(spec.outputs, outs, strict=True):
                values[node_id, port.name] = value
                info = result.nodes[node_id].outputs[port.name]
                fields = [value] if isinstance(value, torch.Tensor) else list(value)
                expected = [info] if isinstance(value, torch.Tensor) else [i for _, i in info.fields]
                assert [tuple(f.shape) for f in fields] == [e.shape for e in expected]
                assert [str(f.dtype) for f in fields] == [f"torch.{e.dtype}" for e in expected]
