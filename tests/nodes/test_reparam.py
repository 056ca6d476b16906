"""Folding for deployment: the same output, fewer parameters, the model itself untouched."""

import pytest
import torch
from torch import nn

from nodes.backbones.csp_darknet import csp_darknet
from nodes.conv import ConvNormAct
from nodes.reparam import convolution, fold_norm, fuse
from tests.nodes.fixtures import yolov8


def with_statistics(model: nn.Module) -> nn.Module:
    """Norms as after training: no mean of zero, no scale of one."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low, high in (
                (module.weight.data, 0.5, 1.5), (module.bias.data, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 1.5),
            ):  # fmt: skip
                value.uniform_(low, high)
    return model.eval()


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_a_norm_folds_into_its_convolution(bias: bool) -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, 3, 2, 1, groups=2, bias=bias), nn.BatchNorm2d(6)
    with_statistics(norm)
    x = torch.randn(2, 4, 9, 8)
    torch.testing.assert_close(fold_norm(conv, norm)(x), norm(conv(x)), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_padded_kernel_gives_the_same_output() -> None:
    conv = nn.Conv2d(3, 5, 1, 2, bias=False)
    grown = convolution(conv, nn.functional.pad(conv.weight, [1, 1, 1, 1]), torch.zeros(5))
    x = torch.randn(1, 3, 8, 7)
    assert grown.kernel_size == (3, 3)
    torch.testing.assert_close(grown(x), conv(x), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_composite_fuses_as_a_whole_and_stays_as_it_is() -> None:
    torch.manual_seed(0)
    model = with_statistics(csp_darknet.build((1, 3, 64, 64), size="n"))
    keys, x = set(model.state_dict()), torch.rand(1, 3, 64, 64)
    fused = fuse(model)
    assert not any(isinstance(m, (nn.BatchNorm2d, ConvNormAct)) for m in fused.modules())
    for a, b in zip(fused(x), model(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert set(model.state_dict()) == keys


def test_yolov8n_has_its_deployed_count() -> None:
    with torch.device("meta"):
        model = yolov8.build((1, 3, 640, 640))
        # Training: 3,157,200, with a scale and a shift for each of its norms' 5,296 channels. Folded: one bias each.
        assert sum(p.numel() for p in fuse(model).parameters()) == 3_151_904


def test_a_part_that_is_named_fuse_is_no_way_to_fuse() -> None:
    model = nn.ModuleDict({"fuse": ConvNormAct(3, 8, 3), "last": nn.Conv2d(8, 4, 1)}).eval()
    fused = fuse(model)
    assert isinstance(fused, nn.ModuleDict)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
