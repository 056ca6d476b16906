"""Attention against timm and against sums worked out by other means."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from timm.layers import EcaModule
from timm.layers import GatherExcite as TimmGatherExcite
from torch import Tensor, nn

from nodes.attention.bam import BAM
from nodes.attention.channel import ECA
from nodes.attention.drsa import DRSA
from nodes.attention.gather_excite import GatherExcite
from nodes.attention.lka import LKA, LKAttention
from nodes.attention.psa import PSA, MapAttention
from tests.nodes.test_reparam import with_statistics


def assert_close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("channels", "kernel"), [(16, 3), (64, 3), (256, 5), (512, 5), (2048, 7)])
@torch.no_grad()
def test_eca_is_timms(channels: int, kernel: int) -> None:
    theirs, ours = EcaModule(channels), ECA(channels)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert ours.conv.weight.numel() == kernel
    x = torch.randn(2, channels, 5, 4)
    assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("extent", [0, 2, 4, 8])
@pytest.mark.parametrize("size", [(16, 24), (13, 18)])
@torch.no_grad()
def test_gather_excite_without_weights_is_timms(extent: int, size: tuple[int, int]) -> None:
    theirs = TimmGatherExcite(6, extra_params=False, extent=extent, use_mlp=False)
    ours = GatherExcite(6, *size, variant="theta-minus", extent=extent)
    assert not list(ours.parameters())
    x = torch.randn(2, 6, *size)
    assert_close(ours(x), theirs(x))


@torch.no_grad()
def test_a_learned_gather_of_equal_weights_is_the_average() -> None:
    """A whole-map kernel of 1/N is an average, which batch norm leaves as it is (but for its eps)."""
    ours = GatherExcite(6, 5, 8, variant="theta").eval()
    assert isinstance(ours.gather, nn.Sequential)
    nn.init.constant_(ours.gather[0].weight, 1 / 40)
    x = torch.randn(2, 6, 5, 8)
    assert_close(ours(x), GatherExcite(6, 5, 8, variant="theta-minus")(x))


@pytest.mark.parametrize(("extent", "cells"), [(2, (7, 9)), (4, (4, 5)), (8, (2, 3))])
def test_a_gathered_value_stands_for_its_extent(extent: int, cells: tuple[int, int]) -> None:
    assert GatherExcite(6, 13, 18, variant="theta", extent=extent).gather(torch.zeros(1, 6, 13, 18)).shape[2:] == cells


@torch.no_grad()
def test_bam_by_hand() -> None:
    """Both branches give constants: channel c the bias 1 + c, every place 0.5. The gate is sigmoid(0.5 + c / 2)."""
    ours = BAM(2, reduction=1).eval()
    for last in (ours.channel[-1], ours.spatial[-1]):
        nn.init.zeros_(last.weight)
    ours.channel[-1].bias.copy_(torch.tensor([1.0, 2.0]))
    nn.init.constant_(ours.spatial[-1].bias, 0.5)
    x = torch.randn(1, 2, 3, 3)
    wanted = [x[0, c] * (1 + 1 / (1 + math.exp(-0.5 * (1 + c)))) for c in range(2)]
    assert_close(ours(x)[0], torch.stack(wanted))


@torch.no_grad()
def test_bam_branches() -> None:
    """The channel branch sees the average only, the spatial branch a place's own 17 x 17 surroundings."""
    ours = with_statistics(BAM(16, reduction=4))
    assert isinstance(ours, BAM)
    x = torch.randn(1, 16, 20, 20)
    one = x.mean((2, 3))
    hidden = F.relu(ours.channel[1](F.linear(one, ours.channel[0].weight, ours.channel[0].bias)))
    channel = F.linear(hidden, ours.channel[3].weight, ours.channel[3].bias)
    gate = torch.sigmoid(channel[:, :, None, None] * ours.spatial(x))
    assert_close(ours(x), x + x * gate)
    far = x.clone()
    far[..., 0, 0] += 10
    changed = (ours.spatial(far) != ours.spatial(x))[0, 0].nonzero()
    assert changed.amax(0).tolist() == [8, 8]


@torch.no_grad()
def test_lka_is_its_three_convolutions() -> None:
    ours = LKA(8)
    x = torch.randn(2, 8, 15, 11)
    y = F.conv2d(F.pad(x, [2] * 4), ours.near.weight, ours.near.bias, groups=8)
    y = F.conv2d(F.pad(y, [9] * 4), ours.far.weight, ours.far.bias, dilation=3, groups=8)
    y = torch.einsum("bchw,dc->bdhw", y, ours.mix.weight[:, :, 0, 0]) + ours.mix.bias[:, None, None]
    assert_close(ours(x), x * y)


@torch.no_grad()
def test_lka_with_projections_keeps_its_input() -> None:
    ours = LKAttention(8)
    x = torch.randn(1, 8, 6, 6)
    y = F.gelu(F.conv2d(x, ours.proj_in.weight, ours.proj_in.bias))
    assert_close(ours(x), x + F.conv2d(ours.lka(y), ours.proj_out.weight, ours.proj_out.bias))


@torch.no_grad()
def test_drsa_by_hand() -> None:
    """Two units whose f is 0.5 and 0.25 everywhere, coefficients 2; 3, -1; the fusion takes the last feature."""
    ours = DRSA(1, units=2)
    for parameter in ours.parameters():
        nn.init.zeros_(parameter)
    ours.coefficients.bias.copy_(torch.tensor([2.0, 3.0, -1.0]))
    for unit, f in zip(ours.units, (0.5, 0.25), strict=True):
        nn.init.constant_(unit[2].bias, f)
    ours.fuse_all.weight[0, :, 0, 0] = torch.tensor([0.0, 0.0, 1.0])
    x = torch.randn(1, 1, 3, 3)
    d1 = 2 * x
    x1 = 0.5 * torch.sigmoid(d1) + d1
    d2 = 3 * x - x1
    assert_close(ours(x), x + 0.25 * torch.sigmoid(d2) + d2)


def test_drsa_counts() -> None:
    """Four units at 32 channels: two 3x3 with bias and a PReLU each; 10 coefficients; a fusion of five features."""
    unit = 2 * (32 * 32 * 9 + 32) + 1
    assert sum(p.numel() for p in DRSA(32).parameters()) == 4 * unit + (32 * 10 + 10) + (5 * 32 * 32 + 32)


@pytest.mark.parametrize("channels", [24, 128])
@torch.no_grad()
def test_psa_attention_is_scaled_dot_product_attention(channels: int) -> None:
    ours = with_statistics(MapAttention(channels))
    assert isinstance(ours, MapAttention)
    x = torch.randn(2, channels, 3, 5)
    per_head = ours.qkv(x).unflatten(1, (ours.heads, -1)).flatten(3).transpose(2, 3)  # [B, heads, 15, 2 * key + value]
    q, k, v = per_head.split((ours.key_size, ours.key_size, ours.value_size), 3)
    seen = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(x.shape)
    values = v.transpose(2, 3).reshape(x.shape)
    assert_close(ours(x), ours.proj(seen + ours.position(values)))


def test_psa_says_which_channels_it_takes() -> None:
    with pytest.raises(ValueError, match="channels is 33, must be even"):
        PSA(33)
    with pytest.raises(ValueError, match=r"is 197, must divide by its 3 heads.*Give it 384"):
        PSA(2 * 197)
