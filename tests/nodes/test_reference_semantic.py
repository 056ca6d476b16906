"""Semantic segmentation against torchvision's models: parameters to the unit, MACs, outputs with their weights."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nodes.backbones.mobilenet import mobilenet_v3
from nodes.backbones.resnet import resnet
from nodes.backbones.unet import unet
from nodes.context import ASPP
from nodes.heads.semantic import FCNHead, LRASPPHead
from nodes.sdk.builder import Builder
from nodes.sdk.declare import composite
from nodes.weights import for_component
from nodes.weights.mobile import _mobilenet_v3
from nodes.weights.resnet import RENAME as RESNET
from tests.nodes.test_reference import ROWS

Map = Float[Tensor, "B C H W"]
Classes = Float[Tensor, "B K I J"]


@composite("model", title="FCN of the reference")
def fcn(g: Builder, x: Map) -> Classes:
    """FCN on ResNet-50.

    Shapes: x [B, 3, H, W] -> [B, 21, H, W].
    """
    levels = g.add(resnet, x, name="backbone", depth=50, output_stride=8)
    return g.add(FCNHead, levels[3], name="head")


@composite("model", title="DeepLabV3 of the reference")
def deeplab(g: Builder, x: Map, backbone: str = "resnet") -> Classes:
    """DeepLabV3 on ResNet-50 or MobileNetV3.

    Args:
        backbone: resnet or mobile.

    Shapes: x [B, 3, H, W] -> [B, 21, H, W].
    """
    if backbone == "resnet":
        levels = g.add(resnet, x, name="backbone", depth=50, output_stride=8)
    else:
        levels = g.add(mobilenet_v3, x, name="backbone", output_stride=16)
    seen = g.add(ASPP, levels[-1], name="aspp")
    return g.add(FCNHead, seen, name="head", channels=256, dropout=0.0)


@composite("model", title="LR-ASPP of the reference")
def lraspp(g: Builder, x: Map) -> Classes:
    """LR-ASPP on MobileNetV3.

    Shapes: x [B, 3, H, W] -> [B, 21, H, W].
    """
    levels = g.add(mobilenet_v3, x, name="backbone", output_stride=16, levels="first")
    return g.add(LRASPPHead, levels[2], levels[4], name="head")


def fcn_keys(key: str) -> str:
    return re.sub(r"^classifier\.4\.", "head.classifier.", re.sub(r"^classifier\.([01])\.", r"head.layers.\1.", key))


def deeplab_keys(key: str) -> str:
    rules = (
        (r"^classifier\.0\.convs\.4\.", "aspp.whole."),
        (r"^classifier\.0\.convs\.", "aspp.branches."),
        (r"^classifier\.0\.project\.", "aspp.project."),
        (r"^classifier\.1\.", "head.layers.0."),
        (r"^classifier\.2\.", "head.layers.1."),
        (r"^classifier\.4\.", "head.classifier."),
    )
    for pattern, new in rules:
        key = re.sub(pattern, new, key)
    return key


def lraspp_keys(key: str) -> str:
    return key.replace("classifier.cbr.", "head.reduce.").replace("classifier.", "head.", 1)


def carried(theirs: nn.Module, backbone: Callable[[str], str | None], rest: Callable[[str], str]) -> dict[str, Tensor]:
    state = {}
    for key, value in theirs.state_dict().items():
        inner = key.removeprefix("backbone.")
        new = f"backbone.{backbone(inner)}" if inner != key else rest(key)
        state[new] = value
    return state


def mobile(key: str) -> str | None:
    return _mobilenet_v3("large")(f"features.{key}")


MODELS = {
    "fcn_resnet50": (fcn, {}, RESNET, fcn_keys),
    "deeplabv3_resnet50": (deeplab, {}, RESNET, deeplab_keys),
    "deeplabv3_mobilenet_v3_large": (deeplab, {"backbone": "mobile"}, mobile, deeplab_keys),
    "lraspp_mobilenet_v3_large": (lraspp, {}, mobile, lraspp_keys),
}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_macs_and_shapes(name: str) -> None:
    model, params, _, _ = MODELS[name]
    row = ROWS["torchvision", name]
    with torch.device("meta"), torch.no_grad():
        built = model.build((1, 3, 512, 512), **params).eval()
        with FlopCounterMode(display=False) as counter:
            out = built(torch.empty(1, 3, 512, 512))
    assert sum(p.numel() for p in built.parameters()) == int(row["params"])
    counted = sum(b.numel() for n, b in built.named_buffers() if not n.endswith("num_batches_tracked"))
    tracked = sum(n.endswith("num_batches_tracked") for n, _ in built.named_buffers())
    assert str(counted) in row["note"] or str(counted + tracked) in row["note"]
    assert counter.get_total_flops() / 2e9 == pytest.approx(float(row["gmacs"]), rel=5e-3)
    assert f"out={'x'.join(map(str, out.shape))}" == row["output_shapes"]


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_outputs_are_torchvisions(name: str) -> None:
    torch.manual_seed(0)
    model, params, backbone, rest = MODELS[name]
    theirs = getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None, num_classes=21)
    theirs.train()(torch.randn(2, 3, 64, 64))  # running statistics that are not 0 and 1
    ours = model.build((1, 3, 64, 96), **params).eval()
    ours.load_state_dict(carried(theirs, backbone, rest), strict=True)
    image = torch.randn(2, 3, 64, 96)
    wanted = theirs.eval()(image)["out"].softmax(1)
    torch.testing.assert_close(ours(image), wanted, rtol=1e-4, atol=1e-4)


def test_published_backbone_weights_fit_dilated_ones() -> None:
    for component, params in (
        ("backbone.resnet", {"depth": 50, "output_stride": 8}),
        ("backbone.mobilenet_v3", {"size": "large", "output_stride": 16, "levels": "first"}),
    ):
        assert {p.library for p in for_component(component, params)} == {"torchvision"}


def test_unet_is_as_large_as_the_usual_one() -> None:
    """Worked by hand for 64 channels and four halvings: with a 1x1 to one class 31,037,633."""
    with torch.device("meta"):
        model = unet.build((1, 3, 64, 64))
    down = sum(9 * a * b + 9 * b * b + 4 * b for a, b in ((3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)))
    up = sum(4 * 2 * b * b + b + 9 * 2 * b * b + 9 * b * b + 4 * b for b in (512, 256, 128, 64))
    assert sum(p.numel() for p in model.parameters()) == down + up == 31_037_568
    assert model(torch.empty(1, 3, 37, 53, device="meta")).shape == (1, 64, 37, 53)
