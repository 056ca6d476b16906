"""Single layers by hand-worked numbers, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from nodes.attention.cbam import CBAM
from nodes.attention.channel import SqueezeExcite
from nodes.backbones.resnet import BasicBlock, Bottleneck
from nodes.conv import ConvNormAct
from nodes.csp import C2f
from nodes.fusion import Add, Concat
from nodes.heads.classify import ClassificationHead
from nodes.io import ImageInput
from nodes.pooling import SPPF, AvgPool, GlobalAvgPool, MaxPool
from nodes.resize import MatchSize, Upsample
from nodes.sdk.build import TensorInfo
from nodes.sdk.discover import library
from nodes.sdk.errors import BadInput

GRID = torch.arange(16.0).view(1, 1, 4, 4)


def test_pools_and_upsample_on_a_four_by_four_grid() -> None:
    assert MaxPool()(GRID).flatten().tolist() == [5, 7, 13, 15]
    assert AvgPool()(GRID).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert GlobalAvgPool()(GRID).tolist() == [[[[7.5]]]]
    # The corner of a padded average is over the four cells that exist.
    assert AvgPool(3, 1, 1)(GRID)[0, 0, 0, 0] == (0 + 1 + 4 + 5) / 4
    assert Upsample()(GRID)[0, 0, :3, :3].tolist() == [[0, 0, 1], [0, 0, 1], [4, 4, 5]]
    assert Upsample(4, "bilinear")(GRID).shape == (1, 1, 16, 16)


def test_match_size_takes_the_other_maps_size() -> None:
    like = torch.zeros(1, 7, 8, 8)
    assert torch.equal(MatchSize()(GRID, like), Upsample()(GRID))
    assert MatchSize()(GRID, torch.zeros(1, 7, 2, 2)).flatten().tolist() == [0, 2, 8, 10]
    assert MatchSize("bilinear")(GRID, torch.zeros(1, 2, 7, 5)).shape == (1, 1, 7, 5)


def test_concat_and_add_keep_the_order_and_the_inputs() -> None:
    one, two = torch.full((1, 1, 2, 2), 1.0), torch.full((1, 2, 2, 2), 2.0)
    assert Concat()(one, two, one)[0, :, 0, 0].tolist() == [1, 2, 2, 1]
    total = Add()(one, one, one)
    assert total.unique().tolist() == [3]
    assert one.unique().tolist() == [1], "the first input must not be added into"
    assert torch.equal(Add()(one), one)


def test_sppf_sees_windows_of_5_9_and_13() -> None:
    """One bright cell spreads by 2, 4 and 6 cells in the three pooled copies."""
    sppf = SPPF(2, 4).eval()
    seen: list[Tensor] = []
    sppf.cv1 = nn.Identity()
    sppf.cv2.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    sppf.cv2.conv = nn.Conv2d(8, 4, 1)
    x = torch.zeros(1, 2, 21, 21)
    x[0, :, 10, 10] = 1
    sppf(x)
    assert seen[0].sum((2, 3))[0].tolist() == [1, 1, 25, 25, 81, 81, 169, 169]


def test_a_shortcut_adds_only_where_channels_stay() -> None:
    """With all bottleneck weights zero, a chain with shortcuts passes its input on, one without gives zero."""
    x = torch.randn(1, 8, 6, 6)
    for shortcut in (True, False):
        block = C2f(8, 8, depth=2, shortcut=shortcut).eval().m[0]
        assert isinstance(block, nn.Module)
        for p in block.parameters():
            nn.init.zeros_(p)
        half = x[:, :4]
        assert torch.equal(block(half), half if shortcut else torch.zeros_like(half))


@pytest.mark.parametrize(("block", "out"), [(BasicBlock(16, 16), 16), (Bottleneck(16, 4), 16)])
def test_residual_blocks_without_change_have_no_projection(block: nn.Module, out: int) -> None:
    assert isinstance(block.skip, nn.Identity)
    for name, p in block.named_parameters():
        if "bn" in name:
            nn.init.zeros_(p)
    x = torch.randn(2, out, 5, 5)
    assert torch.equal(block.eval()(x), x.relu())


def test_attention_weighs_between_zero_and_one() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 32, 6, 6) + 0.1
    for module in (SqueezeExcite(32), CBAM(32)):
        weight = module.eval()(x) / x
        assert 0 < weight.min() <= weight.max() < 1
    weight = SqueezeExcite(32)(x) / x
    torch.testing.assert_close(weight, weight[..., :1, :1].expand_as(x))


def test_cbam_by_its_definition() -> None:
    torch.manual_seed(0)
    cbam, x = CBAM(8, reduction=4).eval(), torch.randn(1, 8, 5, 5)
    first, last = cbam.mlp[0], cbam.mlp[2]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)

    def mlp(v: Tensor) -> Tensor:
        assert first.bias is not None
        assert last.bias is not None
        hidden = (first.weight[:, :, 0, 0] @ v + first.bias).relu()
        return last.weight[:, :, 0, 0] @ hidden + last.bias

    flat = x[0].flatten(1)
    channels = torch.sigmoid(mlp(flat.mean(1)) + mlp(flat.max(1).values))
    y = x * channels.view(1, -1, 1, 1)
    places = cbam.spatial(torch.stack((y[0].max(0).values, y[0].mean(0)))[None]) / math.sqrt(1 + cbam.bn.eps)
    torch.testing.assert_close(cbam(x), y * torch.sigmoid(places))


def test_image_input_has_the_image_shape() -> None:
    assert ImageInput(1, 48, 64)().shape == (1, 1, 48, 64)


class TestClassificationHead:
    def test_logits_in_training_probabilities_in_eval(self) -> None:
        torch.manual_seed(0)
        head, x = ClassificationHead(8, num_classes=5), torch.randn(3, 8, 4, 6)
        raw = head(x)
        torch.testing.assert_close(raw, x.mean((2, 3)) @ head.fc.weight.T + head.fc.bias)
        found = head.eval()(x)
        torch.testing.assert_close(found, raw.exp() / raw.exp().sum(1, keepdim=True))

    def test_loss_by_hand(self) -> None:
        """Two classes at equal logits cost log 2; smoothing spreads the target over all four classes."""
        head = ClassificationHead(8, num_classes=4, label_smoothing=0.2)
        raw = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
        log = raw.log_softmax(1)[0]
        wanted = -(0.85 * log[0] + 0.05 * (log[1] + log[2] + log[3]))
        assert head.loss(raw, torch.tensor([0]))["cls"].item() == pytest.approx(wanted.item(), rel=1e-6)
        assert ClassificationHead(8, 2).loss(torch.zeros(3, 2), torch.tensor([0, 1, 1]))["cls"].item() == pytest.approx(
            math.log(2)
        )

    def test_a_class_beyond_the_head_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"class index 7.*knows 4 classes.*Set num_classes to 8"):
            ClassificationHead(8, 4).loss(torch.zeros(2, 4), torch.tensor([0, 7]))

    def test_dropout_only_in_training(self) -> None:
        torch.manual_seed(0)
        head, x = ClassificationHead(64, 3, dropout=0.5), torch.randn(1, 64, 2, 2)
        assert not torch.equal(head(x), head(x))
        assert torch.equal(head.eval()(x), head(x))

    def test_learns_to_tell_two_classes(self) -> None:
        torch.manual_seed(0)
        x, targets = torch.randn(16, 8, 4, 4), torch.arange(16) % 2
        x[targets == 1, :4] += 2
        head = ClassificationHead(8, 2)
        optimizer = torch.optim.SGD(head.parameters(), 0.5)
        for _ in range(60):
            optimizer.zero_grad()
            sum(head.loss(head(x), targets).values()).backward()  # type: ignore[union-attr]
            optimizer.step()
        assert (head.eval()(x).argmax(1) == targets).all()


@pytest.mark.parametrize(
    ("component_id", "params", "words"),
    [
        ("conv.conv_norm_act", {"groups": 3}, "groups is 3, must divide in_channels 64. Use 1 or 64."),
        ("conv.conv_norm_act", {"out_channels": 48, "groups": 32}, "must divide out_channels 48. Use 1 or 16."),
        ("conv.conv_norm_act", {"kernel_size": 4}, "kernel_size is 4, must be one of 1, 3, 5, 7, 9, 11."),
        ("conv.conv_norm_act", {"activation": "swish"}, "activation is 'swish', must be one of silu, relu"),
        ("pooling.max_pool", {"kernel_size": 2, "padding": 2}, "padding is 2, must be at most half"),
        ("pooling.avg_pool", {"padding": 2}, "padding is 2, must be at most half"),
        ("pooling.sppf", {"kernel_size": 4}, "kernel_size is 4, must be odd. Use 5."),
        ("backbone.resnet", {"depth": 42}, "depth is 42, must be one of 18, 34, 50, 101, 152."),
        ("backbone.csp_darknet", {"size": "xl"}, "size is 'xl', must be one of n, s, m, l, x."),
    ],
)
def test_wrong_settings_are_refused_in_words(component_id: str, params: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        library().make(component_id, params, {"x": TensorInfo((1, 64, 32, 32))}, (32, 32))
    assert words in str(refused.value)


@pytest.mark.parametrize("activation", ["silu", "relu", "leaky_relu", "hardswish", "mish", "gelu", "none"])
def test_every_activation_trains(activation: str) -> None:
    module = ConvNormAct(4, 8, activation=activation)
    module(torch.randn(2, 4, 6, 6)).square().sum().backward()
    assert module.conv.weight.grad is not None
    assert module.conv.weight.grad.any()


def test_concat_names_both_sizes_when_they_differ() -> None:
    wires = {"xs.0": TensorInfo((1, 8, 40, 40)), "xs.1": TensorInfo((1, 8, 20, 20))}
    with pytest.raises(BadInput, match=r"xs\.1 has H=20, input xs\.0 has H=40"):
        library().make("fusion.concat", {}, wires)
