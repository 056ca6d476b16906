"""Backbones with published weights carried over by the maps of nodes/weights: the same maps as the originals."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from nodes.sdk.discover import library
from nodes.weights import Pretrained, carry_over, published

SIDE = 64
CHOSEN = {
    "mobilenetv1_100", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "ghostnet_100",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "efficientnet_b0", "efficientnet_b2", "convnext_tiny",
    "convnextv2_tiny", "darknet53", "cspdarknet53", "cspresnet50", "cspresnext50", "hgnetv2_b0", "hgnetv2_b4",
}  # fmt: skip
"""One of each family and each kind of map; the others differ in their numbers only."""
CASES = [p for p in published() if p.model in CHOSEN]


def original(entry: Pretrained) -> nn.Module:
    if entry.library == "timm":
        return timm.create_model(entry.model)
    return torchvision.models.get_model(entry.model, weights=None)


def spread(model: nn.Module) -> None:
    """Values of a trained model: no norm with mean 0 and variance 1, no branch scaled to nothing."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    for name, value in model.named_parameters():
        if "layer_scale" in name or "grn" in name:
            value.data.uniform_(-0.5, 0.5)


def maps_of(model: nn.Module, image: Tensor) -> list[Tensor]:
    """Every output of every part of the original: a level of ours is one of them."""
    seen: list[Tensor] = []
    hooks = [
        m.register_forward_hook(lambda _m, _i, out: seen.append(out.clone()) if isinstance(out, Tensor) else None)
        for m in model.modules()
    ]
    model(image)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("entry", CASES, ids=lambda e: e.model)
@torch.no_grad()
def test_levels_are_those_of_the_original(entry: Pretrained) -> None:
    torch.manual_seed(0)
    theirs = original(entry).eval()
    spread(theirs)
    ours = library()[entry.component].build((1, 3, SIDE, SIDE), **entry.params).eval()
    report = carry_over(ours, theirs.state_dict(), entry.rename)
    assert report.missing == ()
    assert report.wrong == ()
    image = torch.rand(1, 3, SIDE, SIDE)
    seen = maps_of(theirs, image)
    levels = ours(image)
    assert len(levels) in (4, 5)
    for level in levels:
        same = [m for m in seen if m.shape == level.shape]
        assert same
        apart = min(float((m - level).abs().max()) for m in same)
        assert apart < 1e-4


def test_each_family_is_compared() -> None:
    assert {e.model for e in CASES} == CHOSEN
