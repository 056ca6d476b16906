"""HRNet of timm, trained on ImageNet; the layers behind the four branches have no place."""

from __future__ import annotations

from nodes.weights import Pretrained, renaming

RENAME = renaming(
    (r"^(conv|bn)1\.", r"stem.0.\1."),
    (r"^(conv|bn)2\.", r"stem.1.\1."),
    (r"^layer1\.(\d)\.", r"stage1.block\1."),
    (r"\.downsample\.", ".skip."),
    (r"^stage(\d)\.(\d)\.branches\.(\d)\.(\d)\.", r"stage\1.module\2_branch\3.block\4."),
    (r"^stage(\d)\.(\d)\.fuse_layers\.(\d)\.", r"stage\1.module\2_out\3.paths."),
    (r"^transition1\.0\.", "branch1.block."),
    (r"^transition1\.1\.0\.", "branch2.block."),
    (r"^transition2\.2\.0\.", "branch3.block."),
    (r"^transition3\.3\.0\.", "branch4.block."),
    # What is left are pairs of a convolution and its norm.
    (r"^(branch.*|.*\.paths\..*)\.0\.(weight)$", r"\1.conv.\2"),
    (r"^(branch.*|.*\.paths\..*)\.1\.(\w+)$", r"\1.bn.\2"),
    drop=r"^(incre_modules|downsamp_modules|final_layer|classifier)\.",
)

PRETRAINED = tuple(
    Pretrained("backbone.hrnet", {"width": width}, "timm", f"hrnet_w{width}", RENAME)
    for width in (18, 30, 32, 40, 44, 48, 64)
)
