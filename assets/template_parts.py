"""What the scripts of the templates share: a new document, a detector of four parts, settings for COCO."""

from __future__ import annotations

from designer.graph import Document
from nodes.sdk.discover import library

Part = tuple[str, dict[str, object]]
"""A component and its settings."""


def new(name: str, summary: str, task: str) -> Document:
    doc = Document.new(name, library().catalogue)
    doc.data.summary, doc.data.task = summary, task  # type: ignore[attr-defined]
    return doc


def detector_of(
    name: str,
    summary: str,
    side: int,
    classes: int,
    backbone: Part,
    neck: Part,
    head: Part,
    wires: str = "345",
    suppression: tuple[str, str] = ("post.nms", "NMS"),
) -> Document:
    """Image, backbone, neck, head and NMS; `wires` are the levels from the backbone to the neck."""
    masks = library().spec(head[0]).task == "segment"
    doc = new(name, summary, "segment" if masks else "detect")
    last = ("post.mask_nms", "Mask NMS") if masks else suppression
    image = doc.add("io.image_input", title="Image", at=(0, 153), height=side, width=side)
    first = doc.add(backbone[0], title="Backbone", at=(312, 120), **backbone[1])
    second = doc.add(neck[0], title="Neck", at=(624, 140), **neck[1])
    third = doc.add(head[0], title="Head", at=(936, 140), **{"num_classes": classes, **head[1]})
    nms = doc.add(last[0], title=last[1], at=(1248, 173))
    doc.connect(image, first)
    gives = [p.name for p in doc.spec(first.id).outputs]
    takes = [p.name for p in doc.spec(second.id).inputs]
    for level in wires:
        doc.connect(first, second, _level(gives, level), _level(takes, level))
    for port in doc.spec(second.id).outputs:
        doc.connect(second, third, port.name)
    doc.connect(third, nms)
    return doc


def _level(ports: list[str], level: str) -> str:
    return next(name for name in ports if name.endswith(level))


def for_coco(doc: Document) -> Document:
    doc.set_data(kind="coco")
    doc.set_training(epochs=300, batch=32, optimizer="sgd", learning_rate=0.01, warmup_epochs=3)
    return doc
