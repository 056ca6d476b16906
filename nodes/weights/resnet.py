"""ResNet of torchvision, trained on ImageNet."""

from __future__ import annotations

from nodes.weights import Pretrained, renaming

RENAME = renaming(
    (r"^conv1\.", "stem.conv."),
    (r"^bn1\.", "stem.bn."),
    (r"^layer(\d)\.(\d+)\.", r"stage\1.block\2."),
    (r"\.downsample\.", ".skip."),
    drop=r"^fc\.",
)

PRETRAINED = tuple(
    Pretrained("backbone.resnet", {"depth": depth}, "torchvision", f"resnet{depth}", RENAME)
    for depth in (18, 34, 50, 101, 152)
)
