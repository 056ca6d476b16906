"""VGG: figures, torchvision's numbers with its weights carried over, weights that let signals through."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from nodes.backbones.vgg import vgg
from tests.nodes.test_reference import ROWS


@pytest.mark.parametrize(("name", "norm"), [("vgg16", False), ("vgg16_bn", True)])
def test_vgg16_without_its_linear_layers(name: str, norm: bool) -> None:
    linear = 25088 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
    with torch.device("meta"), torch.no_grad():
        backbone = vgg.build((1, 3, 224, 224), norm=norm).eval()
        levels = backbone(torch.empty(2, 3, 96, 160))
    counted = sum(p.numel() for p in backbone.parameters())
    assert counted + linear == int(ROWS["torchvision", name]["params"])
    assert [tuple(x.shape) for x in levels] == [
        (2, 64, 48, 80), (2, 128, 24, 40), (2, 256, 12, 20), (2, 512, 6, 10), (2, 512, 3, 5)
    ]  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize(("name", "depth"), [("vgg13_bn", 13), ("vgg19_bn", 19)])
def test_it_gives_what_torchvision_gives(name: str, depth: int) -> None:
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(weights=None, num_classes=1).features.eval()
    for module in theirs:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    ours = vgg.build((1, 3, 64, 96), depth=depth, norm=True).eval()
    # Both list their layers in the order in which an image passes them.
    own, other = ours.state_dict(), theirs.state_dict()
    ours.load_state_dict(dict(zip(own, other.values(), strict=True)))
    x = torch.rand(2, 3, 64, 96)
    torch.testing.assert_close(ours(x)[-1], theirs(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_new_weights_let_an_image_through_without_norms() -> None:
    """Two images must differ at the end about as much as they do at the beginning, relative to what is there."""
    torch.manual_seed(0)
    backbone = vgg.build((1, 3, 64, 64)).eval()
    a, b = backbone(torch.randn(2, 3, 64, 64))[-1]
    assert float((a - b).abs().mean()) > 0.1 * float(a.abs().mean()) > 0.01
