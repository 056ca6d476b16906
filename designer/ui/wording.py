"""Figures and shapes as people read them: 3.16 M, 24.5 MB, 1 × 64 × 80 × 80, 2 min 05 s."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from designer.train.events import METRICS

_DATA_KINDS = {
    "shapes": "Built-in shapes",
    "coco": "COCO JSON",
    "yolo": "YOLO folder",
    "voc": "Pascal VOC",
    "masks": "Mask folders",
    "folder": "Class folders",
}


def count(value: float | None) -> str:
    """3157200 -> `3.16 M`; below ten thousand every digit is shown."""
    if value is None:
        return "–"
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g} {unit}"
    return f"{value:,.0f}"


def macs(value: float | None) -> str:
    """Multiply-accumulates in the unit of the field: 4.37 GMACs."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    for limit, unit in ((1e12, "TMACs"), (1e9, "GMACs"), (1e6, "MMACs")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value / 1e3:.3g} kMACs"


def memory(value: float | None) -> str:
    """Bytes -> `24.5 MB` (powers of 1024)."""
    if value is None:
        return "–"
    for limit, unit in ((2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f} B"


def shape(sizes: Iterable[int]) -> str:
    """[1, 64, 80, 80] -> `1 × 64 × 80 × 80`."""
    return " × ".join(str(size) for size in sizes)


def port(name: str) -> str:
    """`x` -> `x`; an input of a growing port counts from one, as the canvas and the problems do: `xs.0` -> `xs 1`."""
    base, dot, index = name.partition(".")
    return f"{base} {int(index) + 1}" if dot else base


def tensor(result: Mapping[str, Any] | None) -> str:
    """The shape of one output of a propagation result; a dash while it is not known."""
    return shape(result.get("shape", ())) if result else "–"


def reach(found: Mapping[str, Any]) -> str:
    """What a cell sees of the image, in pixels: `427 × 427, stride 32`, `at least 91 × 91, stride 8`."""
    field, steps = found["field"], found["stride"]
    stride = f"{steps[0]:g}" if steps[0] == steps[1] else f"{steps[0]:g} × {steps[1]:g}"
    seen = "the whole image" if found["whole"] else f"{field[0]} × {field[1]}"
    return f"{'' if found['exact'] or found['whole'] else 'at least '}{seen}, stride {stride}"


def seconds(value: float | None) -> str:
    """75 -> `1 min 15 s`; 7260 -> `2 h 01 min`."""
    if value is None:
        return "–"
    total = round(value)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


_SHORT = {"iou": "IoU", "dfl": "DFL", "cls": "class", "nms": "NMS", "ema": "EMA"}


def title(name: str) -> str:
    """`weight_decay` -> `Weight decay`, `iou_threshold` -> `IoU threshold`, `num_classes` -> `Classes`."""
    words = " ".join(_SHORT.get(word, word) for word in name.split("_") if word not in ("", "num"))
    return words[:1].upper() + words[1:]


def sentence(text: str) -> str:
    """`channels it gives.` -> `Channels it gives.`; a symbol such as `n, s or m` stays as it is."""
    text = text.replace("`", "")
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() and len(first) > 1 else text


def prose(doc: str) -> str:
    """A docstring as running text: its line breaks go, its paragraphs stay."""
    paragraphs = doc.replace("`", "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


_NAMES = METRICS | {
    "map75": "mAP75",
    "cls": "Class",
    "loss": "Total",
}
_NAMES |= {"dfl": "DFL", "obj": "Objectness", "iou": "IoU"}


def curve(name: str) -> str:
    """The name of a loss term or metric as papers write it; `head_a.box` is the term of one head of several."""
    head, dot, term = name.rpartition(".")
    if dot:
        return f"{title(head)}: {curve(term)}"
    return _NAMES.get(name.lower(), title(name))


def written(value: Any) -> str:
    """A parameter's value in words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(v) for v in value)
    return str(value)


_CATEGORIES = {
    "io": "Input",
    "conv": "Convolution",
    "post": "Post-processing",
    "composites": "In this document",
    "library": "My composites",
}


def category_title(category: str) -> str:
    """`attention/channel` -> `Attention`, the group that the palette shows it under."""
    first = category.replace("/", ".").partition(".")[0]
    return _CATEGORIES.get(first, title(first))


def data_kind(kind: str) -> str:
    return _DATA_KINDS.get(kind, kind)


def plural(number: int, word: str) -> str:
    """1 node, 2 nodes, 3 classes."""
    if number == 1:
        return f"1 {word}"
    return f"{number:,} {word}{'es' if word.endswith('s') else 's'}"
