"""Receptive fields: by hand, by published figures, and by what a pixel really changes."""

import pytest
import torch
from torch import nn

from designer.engine.compile import compile_document
from designer.engine.reach import Axis, Reach, join
from designer.engine.receptive import reaches
from designer.graph import Document
from nodes.sdk.discover import library


def test_windows_strides_and_resizing_by_hand():
    axis = Axis().window(7, 2, 3, 1)  # a ResNet's stem
    assert (axis.field, axis.stride, axis.low) == (7, 2, (-3,))
    axis = axis.window(3, 2, 1, 1)
    assert (axis.field, axis.stride) == (11, 4)
    assert axis.window(3, 1, 2, 2).field == 11 + 4 * 4  # dilated by two
    assert axis.repeated(2).stride == 2
    assert axis.repeated(2).field == 11  # each cell is one of the smaller map
    assert axis.blended(2).field == 15  # or between two of them
    assert axis.repeated(2).window(3, 1, 1, 1).field == 15  # three fine cells lie in two coarse ones
    assert Axis().window(2, 2, 0, 1).spread(2, 2, 0, 1).field == 2
    assert Axis().window(2, 2, 0, 1).spread(3, 2, 1, 1).field == 4


def test_what_gets_two_maps_sees_both():
    straight, strided = Axis().window(3, 1, 1, 1), Axis().window(5, 1, 4, 1)
    assert straight.joined(strided) == Axis(1, (-4,), (1,))
    assert straight.joined(Axis().window(2, 2, 0, 1)) is None
    assert join([Reach(straight, straight), Reach(strided, strided, whole=True)]).whole


def only(data, title):
    node = next(n for n in data.data.nodes if n.title == title)
    return reaches(data.data)[node.id]


@pytest.fixture
def document():
    made = Document.new("Field", library().catalogue)
    made.add("io.image_input", title="Image", height=64, width=64)
    return made


def add(document, component, **params):
    before = document.data.nodes[-1]
    node = document.add(component, title="Asked", **params)
    document.connect(before, node)
    return node


def test_published_figures(document):
    add(document, "backbone.mobilenet_v1")
    c5 = only(document, "Asked")["c5"]
    # Araujo et al. 2019, doi:10.23915/distill.00021, "Computing receptive fields of convolutional neural networks".
    assert (c5.down.field, c5.down.stride, c5.exact, c5.whole) == (315, 32, True, False)


@pytest.mark.parametrize(
    ("component", "params"),
    [
        ("block.csp.c2f", {"out_channels": 16}),
        ("block.convnext.conv_ne_xt_block", {}),  # channels last and back
        ("block.mobile.shuffle_unit", {}),
        ("attention.channel.squeeze_excite", {}),
        ("attention.cbam", {}),
        ("resize.conv_transpose", {}),
        ("resize.upsample", {}),
        ("resize.upsample", {"mode": "bilinear"}),
        ("downsample.conv_down", {"out_channels": 16}),
        ("conv.conv", {"out_channels": 8, "kernel_size": 5, "stride": 2}),
    ],
)
def test_what_a_cell_sees_is_what_changes_it(document, component, params):
    add(document, "stem.focus_stem", out_channels=16)
    document.rename(document.data.nodes[1], "Stem")
    add(document, component, **params)
    check_by_pixels(document)


def test_pooling_by_hand(document):
    add(document, "stem.conv_stem", out_channels=16)
    document.rename(document.data.nodes[1], "Stem")
    add(document, "pooling.sppf", out_channels=16)
    (reach,) = only(document, "Asked").values()
    assert reach == Reach(Axis(2, (-13,), (13,)), Axis(2, (-13,), (13,)))  # 3 pixels, three pools of 5 at stride 2


def test_attention_sees_everything_and_what_cannot_be_followed_says_so(document):
    add(document, "backbone.resnet", depth=18)
    document.rename(document.data.nodes[1], "Backbone")
    assert not only(document, "Backbone")["c5"].whole
    node = document.add("attention.channel.squeeze_excite", title="Asked")
    document.connect(document.data.nodes[1], node, "c3", "x")
    (reach,) = only(document, "Asked").values()
    assert reach.whole
    assert reach.down.stride == 8
    assert reach.to_json() == {"field": [99, 99], "stride": [8.0, 8.0], "whole": True, "exact": True}


def check_by_pixels(document):
    """The gradient of one cell is not zero on just the pixels that it is said to see."""
    node = next(n for n in document.data.nodes if n.title == "Asked")
    (reach,) = reaches(document.data)[node.id].values()
    model = compile_document(document.data).model.double()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.uniform_(layer.weight, 0.1, 0.2)
        for name in ("gamma", "scale"):
            if isinstance(getattr(layer, name, None), nn.Parameter):
                nn.init.ones_(getattr(layer, name))
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    out = model(image)
    out = out[0] if isinstance(out, tuple) else out
    row = out.shape[-2] // 2
    out[0, :, row, row].sum().backward()
    seen = image.grad.abs().sum((0, 1)).sum(1).nonzero().flatten().tolist()
    if reach.whole:
        assert len(seen) == 64
        return
    assert reach.exact
    low, high = max(0, reach.down.lowest(row)), min(63, reach.down.highest(row))
    assert (seen[0], seen[-1]) == (low, high)
