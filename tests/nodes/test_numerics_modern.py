"""Re-parameterised, large-kernel and high-resolution components against other implementations and worked cases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from timm.models.byobnet import RepVggBlock
from torch import Tensor, nn

from nodes.rep import RepConv, RepVGGBlock
from nodes.reparam import fuse
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
