"""Parameters to the unit and MACs of classic backbones and of CSP and ELAN blocks against the measured rows."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from designer.engine.analysis import run
from nodes.backbones.convnext import ConvNeXtBlock
from nodes.cib import CIB, LargeDepthwise
from nodes.csp import C3, BottleneckCSP, C3k2
from nodes.elan import ELAN, GELAN
from nodes.mobile import GhostModule, InvertedResidual
from nodes.pooling import SPPF
from nodes.sdk.build import TensorInfo
from nodes.sdk.discover import library
from tests.nodes.test_reference import ROWS

HEADS = {
    # What follows the last level in the original: channels of a 1x1 with norm, of a hidden layer with bias, classes.
    "mobilenet_v1": (None, None), "mobilenet_v2": (1280, None), "mobilenet_v3": (None, 1280),
    "efficientnet": (1280, None), "ghostnet": (960, 1280), "shufflenet_v2": (1024, None),
    "convnext": (None, None), "darknet": (None, None), "csp_darknet53": (None, None),
    "csp_resnet": (None, None),
}  # fmt: skip
CASES = [
    ("mobilenet_v1", {}, "timm", "mobilenetv1_100"),
    ("mobilenet_v2", {}, "torchvision", "mobilenet_v2"),
    ("mobilenet_v2", {}, "timm", "mobilenetv2_100"),
    ("mobilenet_v2", {"width": 0.5}, "timm", "mobilenetv2_050"),
    ("mobilenet_v3", {"size": "small"}, "torchvision", "mobilenet_v3_small"),
    ("mobilenet_v3", {"size": "large"}, "torchvision", "mobilenet_v3_large"),
    ("mobilenet_v3", {"size": "small"}, "timm", "mobilenetv3_small_100"),
    ("mobilenet_v3", {"size": "large"}, "timm", "mobilenetv3_large_100"),
    *(("efficientnet", {"size": f"b{i}"}, "torchvision", f"efficientnet_b{i}") for i in range(5)),
    *(("efficientnet", {"size": f"b{i}"}, "timm", f"efficientnet_b{i}") for i in range(5)),
    ("ghostnet", {"width": 0.5}, "timm", "ghostnet_050"),
    ("ghostnet", {}, "timm", "ghostnet_100"),
    ("ghostnet", {"width": 1.3}, "timm", "ghostnet_130"),
    *(("shufflenet_v2", {"width": w}, "torchvision", f"shufflenet_v2_x{w.replace('.', '_')}")
      for w in ("0.5", "1.0", "1.5", "2.0")),
    *(("convnext", {"size": s}, "timm", f"convnext_{s}")
      for s in ("atto", "femto", "pico", "nano", "tiny", "small", "base")),
    *(("convnext", {"size": s}, "torchvision", f"convnext_{s}") for s in ("tiny", "small", "base")),
    ("convnext", {"size": "tiny", "version": 2}, "timm", "convnextv2_tiny"),
    *(("darknet", {"depth": d}, "timm", f"darknet{d}") for d in (17, 21, 53)),
    ("csp_darknet53", {}, "timm", "cspdarknet53"),
    ("csp_resnet", {}, "timm", "cspresnet50"),
    ("csp_resnet", {"variant": "resnext50"}, "timm", "cspresnext50"),
]  # fmt: skip


def head(name: str, params: dict, channels: int) -> tuple[int, int]:
    """Parameters and MACs (7 x 7 cells) of what the original has behind the last level."""
    conv, hidden = HEADS[name]
    if conv and name in ("mobilenet_v2", "efficientnet", "ghostnet", "shufflenet_v2"):
        width = {"b2": 1.1, "b3": 1.2, "b4": 1.4}.get(params.get("size"), params.get("width", 1.0))
        if name == "efficientnet":
            conv = 4 * channels
        elif name == "ghostnet":
            conv = round(conv * width / 4) * 4
        elif name == "shufflenet_v2":
            conv = 2048 if width == "2.0" else 1024
    if name == "mobilenet_v3":
        hidden = 1024 if params["size"] == "small" else 1280
    count = macs = 0
    if conv:
        count, macs, channels = channels * conv + 2 * conv, 49 * channels * conv, conv
    if hidden:
        count, macs, channels = count + channels * hidden + hidden, macs + channels * hidden, hidden
    if name == "convnext":
        count += 2 * channels  # layer norm before the classifier
    return count + channels * 1000 + 1000, macs + channels * 1000


@pytest.mark.parametrize(("name", "params", "source", "variant"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_counts_are_exact(name, params, source, variant):
    row = ROWS[source, variant]
    component = library()[f"backbone.{name}"]
    with torch.device("meta"):
        model = component.build((1, 3, 224, 224), **params)
    outputs, cost = run(component.__component__, model, {"x": TensorInfo((1, 3, 224, 224))})
    last = list(outputs.values())[-1].shape
    count, macs = head(name, params, last[1])
    assert cost.params + count == int(row["params"])
    assert (cost.macs + macs) / 1e9 == pytest.approx(float(row["gmacs"]), rel=0.005)
    if told := re.search(r"features=(\S+)", row["note"]):
        shapes = ["x".join(map(str, i.shape[1:])) for i in outputs.values()]
        wanted = told[1].split(",")[-len(shapes) :]  # Darknet's map at stride 1 is no level here
        # timm takes GhostNet's fourth level before its last blocks of 112 channels.
        assert [w for w in wanted if name != "ghostnet" or not w.endswith("14x14")] == [
            s for s in shapes if name != "ghostnet" or not s.endswith("14x14")
        ]


@pytest.mark.parametrize("name", sorted(HEADS))
def test_another_size_gives_its_pyramid(name):
    component = library()[f"backbone.{name}"]
    with torch.device("meta"):
        model: nn.Module = component.build((1, 3, 224, 224)).eval()
        levels = model(torch.empty(2, 3, 128, 192))
    strides = [128 // level.shape[-2] for level in levels]
    assert strides == [2, 4, 8, 16, 32][-len(levels) :]
    assert all(level.shape[-1] == 192 // s for level, s in zip(levels, strides, strict=True))


BLOCKS = [
    (GhostModule, (64, 128), "repo Efficient-AI-Backbones", "GhostModule(64,128)"),
    (C3, (256, 256, 1), "ultralytics", "C3(256,256,n=1)"),
    (C3, (256, 256, 3), "ultralytics", "C3(256,256,n=3)"),
    (BottleneckCSP, (256, 256, 1), "ultralytics", "BottleneckCSP(256,256,n=1)"),
    (BottleneckCSP, (256, 256, 3), "ultralytics", "BottleneckCSP(256,256,n=3)"),
    (C3k2, (256, 256, 1), "ultralytics", "C3k2(256,256,n=1)"),
    (C3k2, (256, 256, 2, True), "ultralytics", "C3k2(256,256,n=2,c3k=True)"),
    (GELAN, (256, 256, 128, 64, 0), "ultralytics", "ELAN1(256,256,128,64)"),
    (GELAN, (256, 256, 128, 64, 1), "ultralytics", "RepNCSPELAN4(256,256,128,64,n=1)"),
    (GELAN, (256, 256, 128, 64, 3), "ultralytics", "RepNCSPELAN4(256,256,128,64,n=3)"),
    (SPPF, (256, 256, 5, 128), "ultralytics", "SPPELAN(256,256,128)"),
    (CIB, (256, 256), "ultralytics", "CIB(256,256)"),
]


@pytest.mark.parametrize(("block", "args", "source", "variant"), BLOCKS, ids=lambda v: v if isinstance(v, str) else "")
def test_blocks_are_exact(block, args, source, variant):
    row = ROWS[source, variant]
    shape = tuple(map(int, row["input"].split("x")))
    with torch.device("meta"):
        module = block(*args)
    outputs, cost = run(block.__component__, module, {"x": TensorInfo(shape)})
    assert cost.params == int(row["params"])
    assert cost.macs / 1e9 == pytest.approx(float(row["gmacs"]), rel=0.005)
    assert "x".join(map(str, outputs["out"].shape)) == row["output_shapes"]


def test_the_large_depthwise_kernel_is_exact_and_deploys_as_one():
    row = ROWS["ultralytics", "RepVGGDW(256)"]
    block = LargeDepthwise(256).eval()
    assert sum(p.numel() for p in block.parameters()) == int(row["params"])
    x = torch.randn(1, 256, 9, 11)
    deployed = block.fuse()
    assert sum(p.numel() for p in deployed.parameters()) == 256 * 49 + 256
    torch.testing.assert_close(deployed(x), block(x), rtol=1e-4, atol=1e-4)


def test_elan_by_hand():
    # Two 1x1 128 -> 64, four 3x3 64 -> 64, one 1x1 256 -> 256, each with a scale and a shift a channel.
    wanted = 2 * (128 * 64 + 128) + 4 * (64 * 64 * 9 + 128) + 256 * 256 + 512
    with torch.device("meta"):
        assert sum(p.numel() for p in ELAN(128, 256, 64).parameters()) == wanted == 230_656


@pytest.mark.parametrize(("name", "blocks"), [("efficientnet", 16), ("convnext", 18)])
def test_drop_path_grows_evenly(name, blocks):
    with torch.device("meta"):
        model = library()[f"backbone.{name}"].build((1, 3, 64, 64), drop_path=0.3)
    rates = [m.drop.p for m in model.modules() if isinstance(m, (ConvNeXtBlock, InvertedResidual))]
    assert rates == pytest.approx([0.3 * i / (blocks - 1) for i in range(blocks)])


@pytest.mark.parametrize("name", sorted(set(HEADS) - {"convnext"}))
def test_norms_follow_the_original_in_training_too(name):
    with torch.device("meta"):
        model = library()[f"backbone.{name}"].build((1, 3, 64, 64))
    wanted = (1e-3, 0.01) if name == "mobilenet_v3" else (1e-5, 0.1)
    assert {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {wanted}


def test_a_chain_without_channels_is_refused_with_a_ratio_that_works():
    with pytest.raises(ValueError, match=r"ratio 0\.1 of 6 channels leaves 0 .* a ratio of 0\.34 or more"):
        C3k2(16, 6, ratio=0.1)
    assert C3k2(16, 6, ratio=0.34, nested=True)(torch.zeros(1, 16, 4, 4)).shape == (1, 6, 4, 4)
