"""State dicts of models that were built from a table of layers: keys `model.ROW.…`, as the YOLO family has them.

A row is one module. What its parts are called there and here is the same for most modules; the others are listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_KEY = re.compile(r"^(?:model\.)*(\d+)\.(.+)$")

PARTS: dict[str, Mapping[str, str]] = {
    "YOLOv8Head": {"cv2.": "box_towers.", "cv3.": "cls_towers.", "dfl.conv.": "dfl."},
    "YOLOSegHead": {
        "cv2.": "box_towers.", "cv3.": "cls_towers.", "cv4.": "mask_towers.", "dfl.conv.": "dfl.",
        "proto.cv1.": "prototypes.0.", "proto.upsample.": "prototypes.1.", "proto.cv2.": "prototypes.2.",
        "proto.cv3.": "prototypes.3.",
    },
    "YOLOv5Head": {"m.": "towers."},
    "ClassificationHead": {"linear.": "fc."},
    "PSA": {
        "attn.qkv.": "attention.qkv.", "attn.pe.": "attention.position.", "attn.proj.": "attention.proj.",
        "ffn.": "feed.", "m.0.attn.qkv.": "attention.qkv.", "m.0.attn.pe.": "attention.position.",
        "m.0.attn.proj.": "attention.proj.", "m.0.ffn.": "feed.",
    },
    "RepConv": {
        "conv1.conv.": "conv3.0.", "conv1.bn.": "conv3.1.", "conv2.conv.": "conv1.0.", "conv2.bn.": "conv1.1.",
        "bn.": "skip.",
    },
    "SCDown": {"cv1.": "pointwise.", "cv2.": "depthwise."},
    "ADown": {"cv1.": "strided.", "cv2.": "pooled."},
    "AConv": {"cv1.": "conv."},
    "ConvTranspose": {"": "conv."},
    "Conv": {"": "conv."},
}  # fmt: skip
"""By the class of ours: the beginning of a key there, and here."""

BUFFERS = re.compile(r"(^|\.)(anchors|anchor_grid|strides?|grid)$")
"""Settings that old checkpoints carry as buffers; here they are the document's."""


def rows_of(keys: Iterable[str]) -> list[dict[str, str]] | None:
    """Each row's keys, by what is left of them inside the row; None when the keys are not those of a table.

    A row that repeats a module, and a classifier's, gives one for each part, as they are nodes here.
    """
    rows: dict[int, dict[str, str]] = {}
    for key in keys:
        found = _KEY.match(key)
        if found is None:
            return None
        if not BUFFERS.search(found[2]):
            rows.setdefault(int(found[1]), {})[found[2]] = key
    parts: list[dict[str, str]] = []
    for number in sorted(rows):
        parts += _split(rows[number])
    return parts


def _split(row: dict[str, str]) -> list[dict[str, str]]:
    first = {inner.partition(".")[0] for inner in row}
    if all(name.isdigit() for name in first):  # a module several times in a chain
        return [_below(row, f"{name}.") for name in sorted(first, key=int)]
    if first == {"conv", "linear"}:  # a convolution before the pool, then the classes
        return [_below(row, "conv."), {k: v for k, v in row.items() if k.startswith("linear.")}]
    return [row]


def _below(row: dict[str, str], prefix: str) -> dict[str, str]:
    return {inner.removeprefix(prefix): key for inner, key in row.items() if inner.startswith(prefix)}


def renamed(module_class: str, inner: str) -> str:
    """A key inside a row as the class of ours calls it."""
    parts = PARTS.get(module_class, {})
    for theirs in sorted(parts, key=len, reverse=True):
        if inner.startswith(theirs):
            return parts[theirs] + inner[len(theirs) :]
    return inner
