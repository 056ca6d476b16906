"""Re-parameterised, large-kernel and high-resolution components against other implementations and worked cases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from timm.models.byobnet import RepVggBlock
from torch import Tensor, nn

from nodes.backbones.mhaf import mhaf
from nodes.msblock import MSBlock
from nodes.rep import RepConv, RepVGGBlock
from nodes.reparam import fuse
from nodes.rephms import RepHMS, RepLKConv
from tests.nodes.test_reparam import with_statistics


def random_norms(model: nn.Module) -> nn.Module:
    """In eval mode with statistics and scales that are not 0 and 1."""
    torch.manual_seed(0)
    return with_statistics(model)


def assert_close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


FOLDABLE: dict[str, Callable[[], nn.Module]] = {
    "RepConv": partial(RepConv, 16, 24),
    "RepConv stride 2": partial(RepConv, 16, 16, stride=2),
    "RepConv identity, groups": partial(RepConv, 16, 16, groups=4, identity=True),
    "RepVGGBlock": partial(RepVGGBlock, 16, 16),
    "RepVGGBlock groups": partial(RepVGGBlock, 16, 16, groups=2),
    "RepVGGBlock stride 2": partial(RepVGGBlock, 16, 32, stride=2),
    **{f"RepLKConv {k}": partial(RepLKConv, 16, k) for k in (3, 5, 7, 9)},
}


@pytest.mark.parametrize("name", FOLDABLE)
@torch.no_grad()
def test_the_deployed_form_gives_the_same_output(name: str) -> None:
    model = random_norms(FOLDABLE[name]())
    x = torch.randn(2, 16, 13, 10)
    deployed = fuse(model)
    assert_close(deployed(x), model(x))
    kinds = [type(m) for m in deployed.modules()]
    assert nn.BatchNorm2d not in kinds
    assert kinds.count(nn.Conv2d) == 1


@pytest.mark.parametrize(("channels", "stride"), [(16, 1), (32, 2)])
@torch.no_grad()
def test_repvgg_block_is_timms(channels: int, stride: int) -> None:
    theirs = random_norms(RepVggBlock(16, channels, stride=stride))
    ours = RepVGGBlock(16, channels, stride).eval()
    names = {"conv_kxk.conv": "conv3.0", "conv_kxk.bn": "conv3.1", "conv_1x1.conv": "conv1.0", "conv_1x1.bn": "conv1.1"}
    names["identity"] = "skip"
    carried = {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in theirs.state_dict().items()}
    ours.load_state_dict(carried, strict=True)
    x = torch.randn(2, 16, 9, 12)
    assert_close(ours(x), theirs(x))


def test_an_identity_branch_needs_equal_sides() -> None:
    with pytest.raises(ValueError, match="got 16 in, 32 out, stride 1"):
        RepConv(16, 32, identity=True)


@torch.no_grad()
def test_a_whole_backbone_deploys() -> None:
    model = random_norms(mhaf.build((1, 3, 64, 96)))
    image = torch.rand(1, 3, 64, 96)
    deployed = fuse(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in deployed.modules())
    for found, wanted in zip(deployed(image), model(image), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def without_layers(block: nn.Module, branches: nn.ModuleList) -> nn.Module:
    """The wiring alone: convolutions and bottlenecks pass on what they get."""
    block.cv1 = block.cv2 = nn.Identity()
    for chain in branches:
        for i in range(len(chain)):  # type: ignore[arg-type]
            chain[i] = nn.Identity()  # type: ignore[index, operator]
    return block


def test_rephms_cascade() -> None:
    """Pieces 1, 10, 100. One bottleneck each: 1, 10 + 1, 100 + 11. Two: 1, then 11, 11, then 111 and 111 + 11."""
    x = torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    for depth, wanted in ((1, [1, 11, 111]), (2, [1, 11, 11, 111, 122])):
        block = RepHMS(3, 2, branches=3, depth=depth)
        assert without_layers(block, block.branches)(x).flatten().tolist() == wanted


def test_msblock_cascade() -> None:
    """Pieces 1, 10, 100: the first is kept, each other one adds the result before it."""
    x = torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    block = MSBlock(3, 3)
    assert without_layers(block, block.branches)(x).flatten().tolist() == [1, 11, 111]


def test_msblock_needs_channels_to_squeeze() -> None:
    with pytest.raises(ValueError, match="squeeze is 16, must be at most the 8 channels"):
        MSBlock(8, squeeze=16)
