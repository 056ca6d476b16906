"""MobileNet V1, V2 and V3, GhostNet and ShuffleNet V2 of torchvision and timm, trained on ImageNet."""

from __future__ import annotations

from collections.abc import Mapping

from nodes.backbones.ghostnet import BLOCKS as GHOSTS
from nodes.backbones.mobilenet import V1, V2, V3
from nodes.weights import Pretrained, Rename, renaming


def by_prefix(prefixes: Mapping[str, str]) -> Rename:
    """A rename by what stands before the last dot: the modules; what is not listed has no place."""

    def rename(key: str) -> str | None:
        module, _, name = key.rpartition(".")
        return f"{prefixes[module]}.{name}" if module in prefixes else None

    return rename


def unit(theirs: str, ours: str) -> dict[str, str]:
    """torchvision's convolution, norm and activation in a row: `theirs.0`, `theirs.1`."""
    return {f"{theirs}.0": f"{ours}.conv", f"{theirs}.1": f"{ours}.bn"}


def _mobilenet_v1() -> Rename:
    prefixes = {"conv_stem": "stem.conv", "bn1": "stem.bn"}
    stage, place = -1, 0
    for i, (_, stride) in enumerate(V1):
        # timm starts a stage with each new width; only the first has stride 1.
        new = i == 0 or stride == 2
        stage, place = (stage + 1, 0) if new else (stage, place + 1)
        theirs, ours = f"blocks.{stage}.{place}", f"block{i}"
        prefixes |= {
            f"{theirs}.conv_dw": f"{ours}.depthwise.conv", f"{theirs}.bn1": f"{ours}.depthwise.bn",
            f"{theirs}.conv_pw": f"{ours}.pointwise.conv", f"{theirs}.bn2": f"{ours}.pointwise.bn",
        }  # fmt: skip
    return by_prefix(prefixes)


def _mobilenet_v2() -> Rename:
    prefixes = unit("features.0", "stem")
    block = 0
    for expansion, _, repeats, _ in V2:
        for _ in range(repeats):
            theirs, ours, place = f"features.{block + 1}.conv", f"block{block}", 0
            if expansion != 1:
                prefixes |= unit(f"{theirs}.0", f"{ours}.expand")
                place = 1
            prefixes |= unit(f"{theirs}.{place}", f"{ours}.depthwise")
            prefixes |= {f"{theirs}.{place + 1}": f"{ours}.project.conv", f"{theirs}.{place + 2}": f"{ours}.project.bn"}
            block += 1
    return by_prefix(prefixes)


def _mobilenet_v3(size: str) -> Rename:
    prefixes = unit("features.0", "stem") | unit(f"features.{len(V3[size]) + 1}", "last")
    before = 16
    for i, (_, expanded, channels, squeezes, _, _) in enumerate(V3[size]):
        prefixes |= mbconv(f"features.{i + 1}.block", f"block{i}", expanded != before, squeezes)
        before = channels
    return by_prefix(prefixes)


def mbconv(theirs: str, ours: str, widens: bool, squeezes: bool) -> dict[str, str]:
    """An inverted residual as torchvision numbers its parts."""
    parts = ["expand"] * widens + ["depthwise"] + ["squeeze"] * squeezes + ["project"]
    prefixes: dict[str, str] = {}
    for place, part in enumerate(parts):
        at = f"{theirs}.{place}"
        if part == "squeeze":
            prefixes |= {f"{at}.fc1": f"{ours}.squeeze.reduce", f"{at}.fc2": f"{ours}.squeeze.expand"}
        else:
            prefixes |= unit(at, f"{ours}.{part}")
    return prefixes


def _ghostnet() -> Rename:
    prefixes = {"conv_stem": "stem.conv", "bn1": "stem.bn"}
    # timm's stages: a block that halves the size stands alone.
    groups = [[0], [1], [2], [3], [4], [5], [6, 7, 8, 9, 10], [11], [12, 13, 14, 15]]
    assert sum(map(len, groups)) == len(GHOSTS)
    for stage, blocks in enumerate(groups):
        for place, i in enumerate(blocks):
            theirs, ours = f"blocks.{stage}.{place}", f"block{i}"
            for ghost in ("ghost1", "ghost2"):
                prefixes |= unit(f"{theirs}.{ghost}.primary_conv", f"{ours}.{ghost}.primary")
                prefixes |= unit(f"{theirs}.{ghost}.cheap_operation", f"{ours}.{ghost}.cheap")
            prefixes |= {
                f"{theirs}.conv_dw": f"{ours}.depthwise.conv", f"{theirs}.bn_dw": f"{ours}.depthwise.bn",
                f"{theirs}.se.conv_reduce": f"{ours}.squeeze.reduce",
                f"{theirs}.se.conv_expand": f"{ours}.squeeze.expand",
                f"{theirs}.shortcut.0": f"{ours}.skip.0.conv", f"{theirs}.shortcut.1": f"{ours}.skip.0.bn",
                f"{theirs}.shortcut.2": f"{ours}.skip.1.conv", f"{theirs}.shortcut.3": f"{ours}.skip.1.bn",
            }  # fmt: skip
    return by_prefix(prefixes)


SHUFFLENET = renaming(
    (r"^conv1\.0\.", "stem.conv."),
    (r"^conv1\.1\.", "stem.bn."),
    (r"^(stage\d)\.(\d+)\.", r"\1.unit\2."),
    (r"branch1\.0\.", "left.0.conv."),
    (r"branch1\.1\.", "left.0.bn."),
    (r"branch1\.2\.", "left.1.conv."),
    (r"branch1\.3\.", "left.1.bn."),
    (r"branch2\.0\.", "right.0.conv."),
    (r"branch2\.1\.", "right.0.bn."),
    (r"branch2\.3\.", "right.1.conv."),
    (r"branch2\.4\.", "right.1.bn."),
    (r"branch2\.5\.", "right.2.conv."),
    (r"branch2\.6\.", "right.2.bn."),
    drop=r"^(conv5|fc)\.",
)

PRETRAINED = (
    Pretrained("backbone.mobilenet_v1", {"width": 1.0}, "timm", "mobilenetv1_100", _mobilenet_v1()),
    Pretrained("backbone.mobilenet_v2", {"width": 1.0}, "torchvision", "mobilenet_v2", _mobilenet_v2()),
    *(
        Pretrained("backbone.mobilenet_v3", {"size": s}, "torchvision", f"mobilenet_v3_{s}", _mobilenet_v3(s))
        for s in V3
    ),
    Pretrained("backbone.ghostnet", {"width": 1.0}, "timm", "ghostnet_100", _ghostnet()),
    *(
        Pretrained(
            "backbone.shufflenet_v2", {"width": w}, "torchvision", f"shufflenet_v2_x{w.replace('.', '_')}", SHUFFLENET
        )
        for w in ("0.5", "1.0", "1.5", "2.0")
    ),
)
