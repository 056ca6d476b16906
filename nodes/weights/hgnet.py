"""HGNetV2 of timm, trained on ImageNet."""

from __future__ import annotations

from nodes.backbones.hgnet import SIZES
from nodes.weights import Pretrained, renaming

RENAME = renaming(
    (r"^stem\.stem1\.", "stem.down."), (r"^stem\.stem2a\.", "stem.corner1."), (r"^stem\.stem2b\.", "stem.corner2."),
    (r"^stem\.stem3\.", "stem.join."), (r"^stem\.stem4\.", "stem.last."),
    (r"^stages\.0\.", "stage1."), (r"^stages\.1\.", "stage2."), (r"^stages\.2\.", "stage3."),
    (r"^stages\.3\.", "stage4."), (r"^stage(\d)\.downsample\.", r"down\1."),
    (r"\.blocks\.(\d+)\.layers\.(\d+)\.", r".block\1.chain.\2."),
    (r"\.blocks\.(\d+)\.aggregation\.0\.", r".block\1.squeeze."),
    (r"\.blocks\.(\d+)\.aggregation\.1\.", r".block\1.excite."),
    (r"\.conv1\.", ".0."), (r"\.conv2\.", ".1."), (r"\.lab\.", ".act.1."),
    drop=r"^head\.",
)  # fmt: skip

PRETRAINED = tuple(Pretrained("backbone.hgnet", {"size": s}, "timm", f"hgnetv2_{s}", RENAME) for s in SIZES)
