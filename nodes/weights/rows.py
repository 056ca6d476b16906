"""State dicts of models that were built from a table of layers: keys `model.ROW.…`, as the YOLO family has them.

A row is one module. What its parts are called there and here is the same for most modules; the others are listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_KEY = re.compile(r"^(?:model\.)*(\d+)\.(.+)$")

_MLP = {0: "0.", 1: "2.", 2: "4."}
"""Where the linear layers of a perceptron stand among ours, which have the activations between them."""

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
    "HGStem": {"stem1.": "down.", "stem2a.": "corner1.", "stem2b.": "corner2.", "stem3.": "join.", "stem4.": "last."},
    "HGBlock": {
        "m.": "chain.", "m.*.conv1.": "chain.*.0.", "m.*.conv2.": "chain.*.1.", "sc.": "squeeze.", "ec.": "excite.",
    },
    "RepCSPSum": {
        "m.*.conv1.conv.": "chain.*.conv3.0.", "m.*.conv1.bn.": "chain.*.conv3.1.",
        "m.*.conv2.conv.": "chain.*.conv1.0.", "m.*.conv2.bn.": "chain.*.conv1.1.",
    },
    "Bottleneck": {
        **{f"cv{i}.conv.": f"conv{i}." for i in (1, 2, 3)}, **{f"cv{i}.bn.": f"bn{i}." for i in (1, 2, 3)},
        "shortcut.0.conv.": "skip.0.", "shortcut.0.bn.": "skip.1.",
    },
    "AIFI": {"ma.qk.": "qk.", "ma.v.": "v.", "ma.out_proj.": "out."},
    "RTDETRHead": {
        "input_proj.*.0.": "project.*.conv.", "input_proj.*.1.": "project.*.bn.", "enc_output.": "select.",
        "enc_score_head.": "select_score.", "denoising_class_embed.weight": "class_table",
        **{f"enc_bbox_head.layers.{i}.": f"select_box.{ours}" for i, ours in _MLP.items()},
        **{f"query_pos_head.layers.{i}.": f"decoder.places.{ours}" for i, ours in _MLP.items()},
        **{f"dec_bbox_head.*.layers.{i}.": f"decoder.boxes.*.{ours}" for i, ours in _MLP.items()},
        "dec_score_head.*.": "decoder.scores.*.",
        **{f"decoder.layers.*.self_attn.{theirs}.": f"decoder.layers.*.{ours}."
           for theirs, ours in (("qk", "qk"), ("v", "v"), ("out_proj", "out"))},
        **{f"decoder.layers.*.cross_attn.{theirs}.": f"decoder.layers.*.cross.{ours}."
           for theirs, ours in (("sampling_offsets", "offsets"), ("attention_weights", "weights"),
                                ("value_proj", "value"), ("output_proj", "out"))},
        "decoder.layers.*.linear1.": "decoder.layers.*.fc1.", "decoder.layers.*.linear2.": "decoder.layers.*.fc2.",
    },
}  # fmt: skip
"""By the class of ours: the beginning of a key there, and here; a star is a number."""

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


def unfused(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The projections of torch's attention of a table as ours has them, `qk` and `v`; what is no table stays."""
    if rows_of(tensors) is None:
        return dict(tensors)
    apart: dict[str, Tensor] = {}
    for key, value in tensors.items():
        before, found, kind = key.rpartition("in_proj_")
        if found and value.ndim and value.shape[0] % 3 == 0:
            queries_and_keys, values = value.split([value.shape[0] // 3 * 2, value.shape[0] // 3])
            apart |= {f"{before}qk.{kind}": queries_and_keys, f"{before}v.{kind}": values}
        else:
            apart[key] = value
    return apart


def _split(row: dict[str, str]) -> list[dict[str, str]]:
    first = {inner.partition(".")[0] for inner in row}
    if first == {"layer"}:  # a stage of ResNet
        return _split(_below(row, "layer."))
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
        found = _beginning(theirs).match(inner)
        if found is not None:
            return parts[theirs].replace("*", found[1] if "*" in theirs else "") + inner[found.end() :]
    return inner


@cache
def _beginning(theirs: str) -> re.Pattern[str]:
    return re.compile(re.escape(theirs).replace(r"\*", r"(\d+)"))
