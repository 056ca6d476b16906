"""EfficientNet of torchvision, trained on ImageNet."""

from __future__ import annotations

import math

from nodes.backbones.efficientnet import SIZES, STAGES
from nodes.weights import Pretrained, Rename
from nodes.weights.mobile import by_prefix, mbconv, unit


def _rename(size: str) -> Rename:
    prefixes = unit("features.0", "stem")
    for stage, (expansion, _, _, _, repeats) in enumerate(STAGES):
        for i in range(math.ceil(repeats * SIZES[size][1])):
            theirs, ours = f"features.{stage + 1}.{i}.block", f"stage{stage}.block{i}"
            prefixes |= mbconv(theirs, ours, expansion != 1, squeezes=True)
    return by_prefix(prefixes)


PRETRAINED = tuple(
    Pretrained("backbone.efficientnet", {"size": size}, "torchvision", f"efficientnet_{size}", _rename(size))
    for size in SIZES
)
