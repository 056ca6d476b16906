"""Darknet53, CSPDarknet53, CSPResNet-50 and CSPResNeXt-50 of timm, trained on ImageNet."""

from __future__ import annotations

from nodes.weights import Pretrained, renaming

RENAME = renaming(
    (r"^stem\.conv1\.", "stem."),
    (r"^stages\.0\.", "stage1."), (r"^stages\.1\.", "stage2."), (r"^stages\.2\.", "stage3."),
    (r"^stages\.3\.", "stage4."), (r"^stages\.4\.", "stage5."),
    (r"\.blocks\.(\d+)\.", r".block\1."),
    (r"\.conv_down\.", ".down."), (r"\.conv_exp\.", ".split."),
    (r"\.conv_transition_b\.", ".after."), (r"\.conv_transition\.", ".join."),
    drop=r"^head\.",
)  # fmt: skip
SLOPE = {"activation": "leaky_relu_0.01"}

PRETRAINED = (
    Pretrained("backbone.darknet", SLOPE | {"depth": 53}, "timm", "darknet53", RENAME),
    Pretrained("backbone.csp_darknet53", SLOPE, "timm", "cspdarknet53", RENAME),
    Pretrained("backbone.csp_resnet", SLOPE | {"variant": "resnet50"}, "timm", "cspresnet50", RENAME),
    Pretrained("backbone.csp_resnet", SLOPE | {"variant": "resnext50"}, "timm", "cspresnext50", RENAME),
)
