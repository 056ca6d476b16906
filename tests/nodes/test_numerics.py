"""Our components against torchvision's with the same weights, carried over by an explicit map of keys."""

from __future__ import annotations

import re

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork, SqueezeExcitation

from nodes.attention.channel import SqueezeExcite
from nodes.heads.classify import ClassificationHead
from nodes.necks.fpn import fpn
from tests.nodes.fixtures import classifier

RESNET_KEYS = (
    (r"^conv1\.", "backbone.stem.conv."),
    (r"^bn1\.", "backbone.stem.bn."),
    (r"^layer(\d)\.(\d+)\.", r"backbone.stage\1.block\2."),
    (r"\.downsample\.", ".skip."),
    (r"^fc\.", "head.fc."),
)
FPN_KEYS = (
    (r"^inner_blocks\.(\d)\.0\.", lambda m: f"lateral{int(m[1]) + 2}.conv."),
    (r"^layer_blocks\.(\d)\.0\.", lambda m: f"output{int(m[1]) + 2}.conv."),
)


def renamed(state: dict[str, Tensor], rules: tuple[tuple[str, object], ...]) -> dict[str, Tensor]:
    out = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)  # type: ignore[call-overload]
        out[key] = value
    return out


@pytest.mark.parametrize("depth", [18, 50])
@torch.no_grad()
def test_resnet(depth: int) -> None:
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    theirs.train()(torch.randn(4, 3, 64, 64))  # running statistics that are not 0 and 1
    ours = classifier.build((1, 3, 64, 64), depth=depth).eval()
    ours.load_state_dict(renamed(theirs.state_dict(), RESNET_KEYS), strict=True)
    image = torch.randn(2, 3, 64, 64)
    wanted = theirs.eval()(image)
    torch.testing.assert_close(ours(image), wanted.softmax(1), rtol=1e-4, atol=1e-4)
    assert isinstance(ours.head, ClassificationHead)
    ours.head.train()  # raw logits
    torch.testing.assert_close(ours(image), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sides", [(32, 16, 8, 4), (25, 13, 7, 4)], ids=["halves", "odd"])
@torch.no_grad()
def test_fpn(sides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    channels = (16, 24, 32, 40)
    theirs = FeaturePyramidNetwork(list(channels), 32)
    maps = [torch.randn(2, c, s, s + 2) for c, s in zip(channels, sides, strict=True)]
    ours = fpn.build(*(tuple(m.shape) for m in maps), channels=32)
    ours.load_state_dict(renamed(theirs.state_dict(), FPN_KEYS), strict=True)
    wanted = theirs({str(i): m for i, m in enumerate(maps)})
    for found, value in zip(ours(*maps), wanted.values(), strict=True):
        torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_squeeze_excite() -> None:
    torch.manual_seed(0)
    theirs, ours = SqueezeExcitation(64, 16), SqueezeExcite(64, 4)
    keys = ((r"^fc1\.", "squeeze."), (r"^fc2\.", "excite."))
    ours.load_state_dict(renamed(theirs.state_dict(), keys), strict=True)
    x = torch.randn(2, 64, 7, 9)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def _variance(conv: nn.Module) -> float:
    assert isinstance(conv, nn.Conv2d)
    return float(conv.weight.detach().var())


def test_resnet_starts_from_kaiming_weights() -> None:
    """Fan-out and ReLU: variance 2 / (out_channels * kernel area)."""
    torch.manual_seed(0)
    backbone = classifier.build((1, 3, 64, 64), depth=18).get_submodule("backbone")
    assert _variance(backbone.get_submodule("stem.conv")) == pytest.approx(2 / (64 * 49), rel=0.05)
    assert _variance(backbone.get_submodule("stage4.block1.conv2")) == pytest.approx(2 / (512 * 9), rel=0.01)
