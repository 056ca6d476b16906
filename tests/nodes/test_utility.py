"""Utility components: counts of the table, cases worked by hand, what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from designer.engine.analysis import run
from designer.engine.propagate import propagate
from designer.graph import Document
from nodes.basic import FUNCTIONS, Activation, BatchNorm, Constant, DropBlock, Dropout, DropPath, GroupNorm, TokenNorm
from nodes.channel_norm import ChannelNorm
from nodes.deform import DeformConv, DeformDown
from nodes.downsample import AConv, ADown, AvgPoolConv, BilinearDown, MPRep, SCDown
from nodes.fusion import Multiply, WeightedAdd
from nodes.pooling import SPP, AdaptivePool, GlobalMaxPool
from nodes.reparam import fuse
from nodes.resize import ConvTranspose, Interpolate
from nodes.sdk.build import TensorInfo
from nodes.sdk.discover import library
from nodes.shape import Flatten, MapToTokens, Reshape, Slice, Split, TokensToMap
from nodes.stems import FocusStem
from tests.nodes.test_reference import ROWS

ROW_CASES = [
    (ADown, (256, 256), "ultralytics", "ADown(256,256)"),
    (AConv, (256, 256), "ultralytics", "AConv(256,256)"),
    (SCDown, (256, 256), "ultralytics", "SCDown(256,256,3,2)"),
    (SPP, (256, 256), "ultralytics", "SPP(256,256,(5,9,13))"),
    (ConvTranspose, (256, 256), "torch", "nn.ConvTranspose2d(256,256,2,2)"),
    (BatchNorm, (256,), "torch", "nn.BatchNorm2d(256)"),
    (GroupNorm, (256,), "torch", "nn.GroupNorm(32,256)"),
    (TokenNorm, (256,), "torch", "nn.LayerNorm(256)"),
    (ChannelNorm, (256,), "timm", "LayerNorm2d(256)"),
    (Activation, ("silu",), "torch", "nn.SiLU"),
    (DropBlock, (0.1, 7), "torchvision", "DropBlock2d(0.1,7)"),
    (DropPath, (0.1,), "torchvision", "StochasticDepth(0.1,row)"),
    (
        DeformDown, (256, 256), "paper (rebuilt here from definition)",
        "recommended: DCNv2 3x3 s2 + BN + SiLU, 256->256 (offset/mask conv 3x3 s2, bias)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("component", "args", "source", "variant"), ROW_CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_counts_of_the_table(component, args, source, variant):
    row = ROWS[source, variant]
    shape = tuple(map(int, row["input"].split("x")))
    with torch.device("meta"):
        module = component(*args)
    outputs, cost = run(component.__component__, module, {"x": TensorInfo(shape)})
    assert cost.params == int(row["params"])
    # The table leaves out that a sample blends four neighbours: 9 places of each of the 256 channels.
    blending = 4 * 9 * 256 * 10 * 10 if component is DeformDown else 0
    assert (cost.macs - blending) / 1e9 == pytest.approx(float(row["gmacs"]), rel=0.005, abs=1e-7)
    assert "x".join(map(str, outputs["out"].shape)) == row["output_shapes"]


@torch.no_grad()
def test_a_deformable_convolution_begins_as_a_plain_one_at_half_strength():
    torch.manual_seed(0)
    deform = DeformConv(4, 6).eval()
    x = torch.randn(2, 4, 9, 7)
    plain = functional.conv2d(x, deform.conv.weight, padding=1) / 2
    torch.testing.assert_close(deform(x), functional.silu(deform.bn(plain)), rtol=1e-5, atol=1e-5)
    # An offset of one cell to the right samples the map shifted to the left.
    deform.where.bias.data[1:18:2] = 1.0
    deform.where.bias.data[18:] = 100.0  # full strength
    shifted = functional.conv2d(functional.pad(x, (0, 1))[..., 1:], deform.conv.weight, padding=1)
    got, wanted = deform(x), functional.silu(deform.bn(shifted))
    torch.testing.assert_close(got[..., 2:-2], wanted[..., 2:-2], rtol=1e-4, atol=1e-5)


def test_weighted_add_by_hand():
    add = WeightedAdd(3, eps=0.0)
    add.weight.data = torch.tensor([1.0, 3.0, -5.0])  # the negative one counts as nothing
    maps = [torch.full((1, 1, 1, 1), v) for v in (8.0, 4.0, 100.0)]
    assert add(*maps).item() == pytest.approx((1 * 8 + 3 * 4) / 4)
    assert Multiply()(*maps).item() == 8 * 4 * 100


def test_weighted_add_counts_its_wires():
    doc = Document.new("Mine", library().catalogue)
    image = doc.add("io.image_input", height=32, width=32)
    add = doc.add("fusion.weighted_add")
    for _ in range(3):
        conv = doc.add("conv.conv", out_channels=8)
        doc.connect(image, conv)
        doc.connect(conv, add)
    result = propagate(doc.data)
    assert not result.errors
    assert result.nodes[add.id].params == 3
    assert result.nodes[add.id].derived == {"inputs": 3}


def test_what_takes_any_kind_gives_the_kind_that_came():
    doc = Document.new("Mine", library().catalogue)
    image = doc.add("io.image_input", height=32, width=32)
    nodes = [doc.add(c) for c in ("basic.activation", "shape.map_to_tokens", "regularise.dropout", "norm.token_norm")]
    for before, after in zip([image, *nodes], nodes, strict=False):
        doc.connect(before, after)
    result = propagate(doc.data)
    assert not result.errors
    kinds = [result.nodes[n.id].outputs["out"].kind for n in nodes]
    assert kinds == ["map", "tokens", "tokens", "tokens"]


def test_split_slice_and_forms_keep_every_value():
    x = torch.arange(2 * 6 * 2 * 3.0).reshape(2, 6, 2, 3)
    first, second = Split(6, 0.34)(x)
    assert (first.shape[1], second.shape[1]) == (2, 4)
    assert torch.equal(torch.cat([first, second], 1), x)
    assert torch.equal(Slice(6, 2, 3)(x), x[:, 2:5])
    assert torch.equal(Reshape(36, 2, 3)(Flatten()(x)), x)
    tokens = MapToTokens()(x)
    assert torch.equal(tokens[0, 4], x[0, :, 1, 1])  # row by row
    assert torch.equal(TokensToMap()(tokens, x), x)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Slice(6, 4, 3), "channels 4 to 6 are asked for, the input has 6. Use a count of at most 2."),
        (lambda: Split(2, 0.1), "share is 0.1, which leaves one part of 2 channels empty. Use 0.5."),
        (lambda: Reshape(10, 2, 3), "2x3 cells must divide the 10 values. Use 1x1."),
        (lambda: GroupNorm(48, 32), "groups is 32, must divide the 48 channels. Use 24."),
        (lambda: Interpolate(size=(3,)), "size has 1 numbers, must have 2, height and width, or none."),
        (lambda: ConvTranspose(4, 4, 2, 4), "kernel_size is 2, must be at least the stride 4. Use 4."),
        (lambda: ADown(5, 8), "in_channels is 5, must be even. Use 6."),
        (lambda: TokensToMap()(torch.zeros(1, 5, 2), torch.zeros(1, 2, 2, 3)), "there are 5 tokens for 2x3 cells."),
    ],
)
def test_what_does_not_fit_is_said(make, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        make()
    assert said in str(caught.value)


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (4, 2), (5, 3), (3, 1)])
def test_a_transposed_convolution_is_stride_times_larger(kernel, stride):
    assert ConvTranspose(2, 3, kernel, stride)(torch.zeros(1, 2, 5, 7)).shape == (1, 3, 5 * stride, 7 * stride)


def test_sizes_of_interpolate_and_adaptive_pools():
    x = torch.randn(1, 2, 6, 10)
    assert Interpolate(0.5)(x).shape == (1, 2, 3, 5)
    assert Interpolate(size=(4, 4), mode="nearest")(x).shape == (1, 2, 4, 4)
    assert AdaptivePool(2, 5, "max")(x).shape == (1, 2, 2, 5)
    assert torch.equal(GlobalMaxPool()(x).flatten(), x.flatten(2).amax(2).flatten())


@pytest.mark.parametrize("down", [ADown, AConv, SCDown, MPRep, AvgPoolConv, BilinearDown])
def test_every_way_down_halves(down):
    assert down(8, 16).eval()(torch.zeros(1, 8, 12, 20)).shape == (1, 16, 6, 10)


def test_focus_moves_pixels_into_channels():
    stem = FocusStem(1, 4)
    seen = []
    stem.conv.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    stem.eval()(torch.arange(4.0).reshape(1, 1, 2, 2))
    assert seen[0].flatten().tolist() == [0.0, 2.0, 1.0, 3.0]


@torch.no_grad()
def test_mprep_deploys_as_one_convolution_a_path():
    torch.manual_seed(0)
    block, x = MPRep(8, 16).eval(), torch.randn(1, 8, 12, 12)
    fused = fuse(block)
    torch.testing.assert_close(fused(x), block(x), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())


@pytest.mark.parametrize("layer", [Dropout(0.3), DropPath(0.3), DropBlock(0.3, 3)])
def test_regularisation_keeps_its_share_in_training_and_all_in_evaluation(layer):
    torch.manual_seed(0)
    x = torch.ones(400, 4, 16, 16)
    assert torch.equal(layer.eval()(x), x)
    y = layer.train()(x)
    assert float((y != 0).float().mean()) == pytest.approx(0.7, abs=0.05)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.05)


def test_a_constant_is_as_large_as_another_map_and_learns_on_request():
    like = torch.zeros(2, 5, 3, 4)
    assert torch.equal(Constant(2, 1.5)(like), torch.full((2, 2, 3, 4), 1.5))
    assert [Constant(learned=on).numbers.requires_grad for on in (True, False)] == [True, False]


def test_every_function_runs():
    assert {"relu", "silu", "gelu", "mish", "hardswish", "sigmoid", "prelu"} <= FUNCTIONS.keys()
    for name in FUNCTIONS:
        assert Activation(name)(torch.linspace(-3, 3, 7)).isfinite().all()
