"""Components with every setting, and plain operations: against torch's own, and what they refuse."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from nodes.free_form import FreeConv, FreeConvTranspose, FreePool, LeakyRelu, Pad
from nodes.reparam import fuse
from nodes.tensor import Clip, Cut, Permute, Pick, Reduce, View, WithNumber, WithTensor

X = torch.randn(2, 6, 9, 11, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_convolution_with_uneven_padding_folds_its_norm():
    module = FreeConv(6, 4, (2, 5), (2, 1), (0, 2, 1, 2), (1, 1), 2, norm=True, activation="relu").eval()
    nn.init.uniform_(module.bn.running_var, 0.5, 2)
    nn.init.uniform_(module.bn.weight)
    padded = functional.pad(X, (2, 2, 0, 1))
    expected = module.bn(functional.conv2d(padded, module.conv.weight, None, (2, 1), groups=2)).relu()
    torch.testing.assert_close(module(X), expected)
    deployed = fuse(module)
    torch.testing.assert_close(deployed(X), expected)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in deployed.modules())
    assert FreeConv(6, 4, (1,), (1,), (0,)).conv.bias is not None


def test_transposed_convolution_is_torchs():
    module = FreeConvTranspose(6, 4, (3, 2), (2, 2), (1, 0), (1, 0), groups=2)
    assert module(X).shape == (2, 4, 18, 22)


@pytest.mark.parametrize("count", [True, False])
def test_average_pool_with_uneven_padding(count):
    ones = torch.ones(1, 1, 4, 4)
    found = FreePool("average", (2, 2), (2, 2), (1, 1, 0, 0), count_padding=count)(ones)
    assert found[0, 0, 0, 0] == (0.25 if count else 1.0)
    assert found[0, 0, 1, 1] == 1.0


def test_max_pool_with_uneven_padding_never_takes_the_padding():
    found = FreePool("max", (3, 3), (2, 2), (0, 0, 1, 1))(-X.abs() - 1)
    assert found.shape == (2, 6, 4, 5)
    assert found.isfinite().all()


def test_padding_and_leaky_relu():
    torch.testing.assert_close(Pad((1, 2), "reflect")(X), functional.pad(X, (2, 2, 1, 1), "reflect"))
    assert LeakyRelu(6, 0.5, learned=True).function.weight.tolist() == [0.5] * 6


def test_plain_operations():
    assert View((9, 66), batch_axis=1)(X.permute(2, 0, 1, 3)).shape == (9, 2, 66)
    assert View()(X).shape == (2, 594)
    assert Permute((0, 2, 3, 1))(X).shape == (2, 9, 11, 6)
    torch.testing.assert_close(Cut(-1, 1, 8, 3)(X), X[..., 1:8:3])
    torch.testing.assert_close(Pick(1, (5, 0))(X), X[:, [5, 0]])
    torch.testing.assert_close(Reduce("norm", (1, 2), False)(X), X.pow(2).sum((1, 2)).sqrt())
    torch.testing.assert_close(WithNumber("power", 2.0, number_first=True)(X), 2.0**X)
    torch.testing.assert_close(WithTensor("divide", (6, 1, 1))(X).isfinite(), torch.zeros_like(X, dtype=torch.bool))
    assert Clip(-1, 0.5)(X).max() == 0.5


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FreeConv(6, 4, (1, 2, 3)), "kernel_size has 3 numbers, must have 1, or 2"),
        (lambda: FreeConv(6, 4, groups=4), "groups is 4, must divide in_channels 6"),
        (lambda: FreePool("average", dilation=(2, 2)), "dilation is"),
        (lambda: View((2, 3), batch_axis=4), "batch_axis is 4, there are 2 sizes"),
        (lambda: Permute((0, 2)), "must name each axis from 0 once"),
        (lambda: Cut(1, 3, 3), "stop is 3, must be above start 3"),
        (lambda: Clip(2, 1), "minimum is 2, must be at most maximum 1"),
    ],
)
def test_settings_that_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
