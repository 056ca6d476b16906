"""DCNv3 by hand and against torchvision's deformable convolution; the blocks of InternImage and VAN."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from nodes.backbones.internimage import InternImageBlock, internimage
from nodes.backbones.van import VANBlock, van
from nodes.channel_norm import ChannelNorm
from nodes.dcnv3 import DCNv3, sample


def assert_close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def at_point(point: int, *, height: int, width: int) -> Tensor:
    """Weights [1, H, W, 1, 9] of 1 at one of the nine points."""
    return F.one_hot(torch.tensor(point), 9).float().expand(1, height, width, 1, 9)


def test_the_points_go_column_by_column() -> None:
    value = torch.arange(1.0, 10).reshape(1, 3, 3, 1)  # 1 2 3 / 4 5 6 / 7 8 9
    still = torch.zeros(1, 3, 3, 1, 9, 2)
    seen = [sample(value, still, at_point(k, height=3, width=3))[0, 1, 1, 0].item() for k in range(9)]
    assert seen == pytest.approx([1, 4, 7, 2, 5, 8, 3, 6, 9], abs=1e-5)


def test_a_moved_point_is_blended_from_its_neighbours() -> None:
    """The middle point of a row 10 20 30: half a cell right is 15, 25 and half of 30; then half a cell down as well."""
    value = torch.tensor([10.0, 20.0, 30.0]).reshape(1, 1, 3, 1)
    offsets = torch.zeros(1, 1, 3, 1, 9, 2)
    offsets[..., 4, 0] = 0.5
    middle = at_point(4, height=1, width=3)
    assert_close(sample(value, offsets, middle).flatten(), torch.tensor([15.0, 25.0, 15.0]))
    offsets[..., 4, 1] = 0.5  # half of what it sees lies below the map
    assert_close(sample(value, offsets, middle).flatten(), torch.tensor([7.5, 12.5, 7.5]))


def test_scale_stretches_the_kernel_and_the_offsets() -> None:
    value = torch.arange(1.0, 8).reshape(1, 1, 7, 1)
    offsets = torch.zeros(1, 1, 7, 1, 9, 2)
    offsets[..., 7, 0] = 0.25
    right = at_point(7, height=1, width=7)  # one cell to the right, and a quarter: 2 * 1.25 cells from the middle, 4
    assert sample(value, offsets, right, scale=2)[0, 0, 3, 0].item() == pytest.approx(6.5)


@pytest.mark.parametrize("groups", [1, 3])
def test_sampling_is_torchvisions_with_a_kernel_of_ones(groups: int) -> None:
    height, width, channels = 5, 7, 6
    value = torch.randn(2, height, width, channels)
    offsets = 2 * torch.randn(2, height, width, groups, 9, 2)
    weights = torch.rand(2, height, width, groups, 9)

    def row_by_row(points: Tensor) -> Tensor:
        """[B, H, W, G, 9, ...] with the points of a column side by side -> those of a row."""
        return points.unflatten(4, (3, 3)).transpose(4, 5).flatten(4, 5)

    theirs = deform_conv2d(
        value.permute(0, 3, 1, 2),
        row_by_row(offsets).flip(5).flatten(3).permute(0, 3, 1, 2),  # y before x
        torch.ones(channels, 1, 3, 3),
        padding=1,
        mask=row_by_row(weights).flatten(3).permute(0, 3, 1, 2),
    )
    assert_close(sample(value, offsets, weights), theirs.permute(0, 2, 3, 1))


@torch.no_grad()
def test_dcnv3_starts_as_an_average() -> None:
    """No offsets and equal weights: the mean of the nine values around, zeros outside included."""
    ours = DCNv3(8, groups=2)
    x = torch.randn(2, 8, 6, 5)
    value = F.conv2d(x, ours.value.weight[:, :, None, None], ours.value.bias)
    average = F.avg_pool2d(value, 3, 1, 1)
    assert_close(ours(x), F.conv2d(average, ours.project.weight[:, :, None, None], ours.project.bias))


@torch.no_grad()
def test_each_group_of_channels_moves_by_itself() -> None:
    """The first group looks one cell to the right, the second stays; both with all their weight on the middle."""
    ours = DCNv3(4, groups=2)
    for layer in (ours.value, ours.project):
        nn.init.eye_(layer.weight)
    ours.weight.bias.view(2, 9)[:, 4] = 50.0
    ours.offset.bias.view(2, 9, 2)[0, :, 0] = 1.0
    x = torch.randn(1, 4, 3, 4)
    found = ours(x)
    assert_close(found[:, :2], F.pad(x[:, :2, :, 1:], (0, 1)))
    assert_close(found[:, 2:], x[:, 2:])


def test_groups_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match=r"groups is 6, must divide the 64 channels. Use 2"):
        DCNv3(64, groups=6)


@torch.no_grad()
def test_channel_norm_is_timms() -> None:
    theirs, ours = LayerNorm2d(12, eps=1e-6), ChannelNorm(12)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = 3 * torch.randn(2, 12, 5, 4) + 1
    assert_close(ours(x), theirs(x))


@torch.no_grad()
def test_internimage_block_norms_before_or_behind() -> None:
    x = torch.randn(2, 32, 5, 6)
    before, behind = InternImageBlock(32), InternImageBlock(32, post_norm=True)
    nn.init.zeros_(before.feed[2].weight)
    nn.init.zeros_(before.feed[2].bias)
    assert_close(before(x), x + before.deform(before.norm1(x)))
    assert 0 < (behind(x) - x).abs().max() < 1e-4
    nn.init.ones_(behind.scale1)
    nn.init.zeros_(behind.scale2)
    assert_close(behind(x), x + behind.norm1(behind.deform(x)))


@torch.no_grad()
def test_van_block_scales_both_branches() -> None:
    x = torch.randn(2, 16, 6, 7)
    block = VANBlock(16).eval()
    nn.init.zeros_(block.scale2)
    assert_close(block(x), x + 0.01 * block.attention(block.norm1(x)))
    nn.init.zeros_(block.scale1)
    nn.init.constant_(block.scale2, 0.5)
    wide = F.conv2d(block.norm2(x), block.feed[0].weight, block.feed[0].bias)
    wide = F.gelu(F.conv2d(wide, block.feed[1].weight, block.feed[1].bias, padding=1, groups=64))
    assert_close(block(x), x + 0.5 * F.conv2d(wide, block.feed[3].weight, block.feed[3].bias))


@pytest.mark.parametrize(("composite", "blocks"), [(van, 13), (internimage, 30)])
def test_drop_path_grows_evenly(composite: nn.Module, blocks: int) -> None:
    with torch.device("meta"):
        model = composite.build((1, 3, 64, 64), drop_path=0.3)  # type: ignore[operator]
    rates = [m.drop.p for m in model.modules() if isinstance(m, (VANBlock, InternImageBlock))]
    assert rates == pytest.approx([0.3 * i / (blocks - 1) for i in range(blocks)])
