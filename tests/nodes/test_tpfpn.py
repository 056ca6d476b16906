"""TPFPN, which has no figure to compare with: parameters by arithmetic, attention by hand, shapes and gradients."""

from __future__ import annotations

import pytest
import torch

from nodes.attention.pyramid import GroundingTransformer, MixtureAttention, RenderingTransformer, SelfTransformer
from nodes.necks.tpfpn import tpfpn


def test_parameters_by_arithmetic() -> None:
    """For C channels and 2 parts.

    Self: three 1x1 with bias, the mixture, a 1x1 without and a norm: 4 C^2 + 3 C + 2 C + 2 + 2 C.
    Grounding, of half the channels: 3 (C^2/2 + C/2), mixture C + 2, back C^2/2 + 2 C.
    Rendering: 1x1 with bias, two 3x3 without, two norms: C^2 + C + 18 C^2 + 4 C.
    Three of each, and three 3x3 convolutions of 4 C to C with bias.
    """
    c = 16
    own = 4 * c * c + 7 * c + 2
    ground = 3 * (c * c // 2 + c // 2) + c + 2 + c * c // 2 + 2 * c
    render = 19 * c * c + 5 * c
    neck = tpfpn.build((1, c, 8, 12), (1, c, 4, 6), (1, c, 2, 3))
    total = 3 * (own + ground + render) + 3 * (4 * c * c * 9 + c)
    assert sum(p.numel() for p in neck.parameters()) == total


def test_mixture_by_hand() -> None:
    """One query of two channels, two keys. The first part favours the first key e to 1, the second does not care;
    mixed half and half: the first key has (e / (e + 1) + 1 / 2) / 2."""
    attend = MixtureAttention(2, 2, distance=False)
    torch.nn.init.zeros_(attend.mix.weight)
    torch.nn.init.zeros_(attend.mix.bias)
    q = torch.ones(1, 2, 1, 1)
    k = torch.tensor([[[[1.0, 0.0]], [[5.0, 5.0]]]])
    v = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]])
    e = torch.e
    assert float(attend(q, k, v)[0, 0]) == pytest.approx((e / (e + 1) + 0.5) / 2)


def test_grounding_favours_the_nearest_key() -> None:
    """Distance, not product: of keys 1 and 9 a query of 1 takes the first, although its product with 9 is larger."""
    attend = MixtureAttention(1, 1, distance=True)
    q, k = torch.ones(1, 1, 1, 1), torch.tensor([[[[1.0, 9.0]]]])
    v = torch.tensor([[[[3.0, 7.0]]]])
    assert attend(q, k, v).item() == pytest.approx(3.0)


def test_levels_pass_at_first_and_gradients_reach_everything() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 7)
    assert torch.equal(SelfTransformer(8)(x), x)
    assert GroundingTransformer(8)(x, torch.randn(2, 8, 3, 4)).abs().max() == 0
    assert RenderingTransformer(8)(torch.randn(2, 8, 3, 4), x).shape == (2, 8, 3, 4)
    maps = [torch.randn(2, 8, 9 >> i, 12 >> i) for i in range(3)]
    neck = tpfpn.build(*(tuple(m.shape) for m in maps))
    for norm in neck.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(norm.weight)
    out = neck(*maps)
    assert [o.shape for o in out] == [m.shape for m in maps]
    torch.stack([o.square().mean() for o in out]).sum().backward()
    blind = [n for n, p in neck.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert blind == []


def test_parts_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="8 channels cannot be split into 3 parts"):
        SelfTransformer(8, 3)
