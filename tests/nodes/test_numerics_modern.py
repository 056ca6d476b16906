"""Re-parameterised, large-kernel and high-resolution components against other implementations and worked cases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import timm
import torch
from timm.models.byobnet import RepVggBlock
from torch import Tensor, nn

from nodes.backbones.hrnet import HRNetExchange, hrnet
from nodes.backbones.mhaf import mhaf
from nodes.msblock import MSBlock
from nodes.rep import RepConv, RepVGGBlock
from nodes.reparam import fuse
from nodes.rephms import RepHMS, RepLKConv
from nodes.weights import Pretrained, carry_over
from nodes.weights.hrnet import PRETRAINED, RENAME
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


@torch.no_grad()
def test_hrnet_is_timms() -> None:
    """All branches of timm's model, taken before the layers that widen them for its classifier."""
    theirs = random_norms(timm.create_model("hrnet_w18"))
    ours = hrnet.build((1, 3, 64, 96)).eval()
    carried = carry_over(ours, theirs.state_dict(), RENAME)
    assert carried.missing == carried.wrong == ()
    assert {key.partition(".")[0] for key in carried.left} == {
        "incre_modules", "downsamp_modules", "final_layer", "classifier"
    }  # fmt: skip
    image = torch.rand(2, 3, 64, 96)
    x = theirs.act2(theirs.bn2(theirs.conv2(theirs.act1(theirs.bn1(theirs.conv1(image))))))
    for found, wanted in zip(ours(image), theirs.stages(x), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("entry", PRETRAINED[-1:], ids=lambda e: e.model)  # others are rows of the table
def test_the_widest_hrnet_has_the_published_parameters(entry: Pretrained) -> None:
    with torch.device("meta"):
        theirs = timm.create_model(entry.model).state_dict()
        ours = hrnet.build((1, 3, 64, 64), **entry.params).state_dict()
    renamed = {new: value.shape for key, value in theirs.items() if (new := entry.rename(key)) is not None}
    assert renamed == {key: value.shape for key, value in ours.items()}


def test_exchange_by_hand() -> None:
    """Maps of 1, 10 and 100 and convolutions that average: each branch gets their sum, 111, at its own size."""
    sizes = ((8, 12), (4, 6), (2, 3))
    maps = [torch.full((1, 1, *s), 10.0**i) for i, s in enumerate(sizes)]
    for target, size in enumerate(sizes):
        exchange = HRNetExchange((1, 1, 1), target).eval()
        for conv in (m for m in exchange.modules() if isinstance(m, nn.Conv2d)):
            nn.init.zeros_(conv.weight)
            nn.init.ones_(conv.weight[..., conv.kernel_size[0] // 2, conv.kernel_size[1] // 2])
        assert_close(exchange(*maps), torch.full((1, 1, *size), 111.0))


def test_exchange_needs_its_target() -> None:
    with pytest.raises(ValueError, match=r"target is 2, there are 2 maps. Choose 0 to 1"):
        HRNetExchange((8, 16), 2)
