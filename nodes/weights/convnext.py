"""ConvNeXt of torchvision and ConvNeXt V2 of timm, trained on ImageNet."""

from __future__ import annotations

from nodes.weights import Pretrained, renaming

_STAGES = {1: "stage1", 3: "stage2", 5: "stage3", 7: "stage4"}
_DOWNS = {2: "down2", 4: "down3", 6: "down4"}

V1 = renaming(
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    *((rf"^features\.{i}\.(\d+)\.block\.", rf"{name}.block\1.") for i, name in _STAGES.items()),
    *((rf"^features\.{i}\.(\d+)\.layer_scale$", rf"{name}.block\1.scale") for i, name in _STAGES.items()),
    *((rf"^features\.{i}\.0\.", f"{name}.norm.") for i, name in _DOWNS.items()),
    *((rf"^features\.{i}\.1\.", f"{name}.conv.") for i, name in _DOWNS.items()),
    (r"(block\d+)\.0\.", r"\1.depthwise."),
    (r"(block\d+)\.2\.", r"\1.norm."),
    (r"(block\d+)\.3\.", r"\1.widen."),
    (r"(block\d+)\.5\.", r"\1.narrow."),
    drop=r"^classifier\.",
)
V2 = renaming(
    (r"^stem\.0\.", "stem.conv."),
    (r"^stem\.1\.", "stem.norm."),
    *((rf"^stages\.{i}\.blocks\.(\d+)\.", rf"stage{i + 1}.block\1.") for i in range(4)),
    *((rf"^stages\.{i}\.downsample\.0\.", f"down{i + 1}.norm.") for i in range(1, 4)),
    *((rf"^stages\.{i}\.downsample\.1\.", f"down{i + 1}.conv.") for i in range(1, 4)),
    (r"\.conv_dw\.", ".depthwise."),
    (r"\.mlp\.fc1\.", ".widen."),
    (r"\.mlp\.fc2\.", ".narrow."),
    (r"\.mlp\.grn\.", ".response."),
    drop=r"^head\.",
)

PRETRAINED = (
    *(
        Pretrained("backbone.convnext", {"size": size, "version": 1}, "torchvision", f"convnext_{size}", V1)
        for size in ("tiny", "small", "base")
    ),
    *(
        Pretrained("backbone.convnext", {"size": size, "version": 2}, "timm", f"convnextv2_{size}", V2)
        for size in ("tiny", "base")  # the smaller ones have their 1x1 pairs as convolutions
    ),
)
