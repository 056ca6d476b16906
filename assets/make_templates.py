"""Draws the shipped templates through the same Python API that a notebook uses, and writes them to `templates/`.

Run it after changing a component that a template uses: `python assets/make_templates.py`. A test compares its output
with the files.
"""

from __future__ import annotations

from pathlib import Path

from designer.graph import Document
from designer.graph.model import Node
from nodes.sdk.discover import library
from nodes.yolo_sizes import YOLOV8

FOLDER = Path(__file__).parent / "templates"


def detector(name: str, summary: str, side: int, classes: int, size: str = "n") -> Document:
    """YOLOv8 of composites: image, backbone, neck, head, NMS."""
    doc = new(name, summary, "detect")
    image = doc.add("io.image_input", title="Image", at=(0, 153), height=side, width=side)
    backbone = doc.add("backbone.csp_darknet", title="Backbone", at=(312, 120), size=size)
    neck = doc.add("neck.pafpn", title="Neck", at=(624, 140), size=size)
    head = doc.add("head.yolov8_head", title="Head", at=(936, 140), num_classes=classes)
    nms = doc.add("post.nms", title="NMS", at=(1248, 173))
    doc.connect(image, backbone)
    for level in "345":
        doc.connect(backbone, neck, f"p{level}", f"p{level}")
    for level in "345":
        doc.connect(neck, head, f"n{level}", f"levels.{int(level) - 3}")
    doc.connect(head, nms)
    return doc


def quick_start() -> Document:
    doc = detector("Quick start", "A small detector that learns drawn shapes in minutes, on any machine.", 160, 3)
    doc.set_training(epochs=6, batch=16, optimizer="adamw", learning_rate=0.002, jitter=0.3, workers=0)
    doc.set_data(kind="shapes", classes=3, train_images=1024, val_images=128)
    return doc


def yolov8n() -> Document:
    doc = detector("YOLOv8n", "YOLOv8n for 80 classes at 640 pixels: backbone, neck and head as composites.", 640, 80)
    return for_coco(doc)


def yolov8n_blocks() -> Document:
    """The same network with every block a node of its own."""
    doc = new("YOLOv8n, block by block", "YOLOv8n with every block a node, to change it anywhere.", "detect")
    size, step, row = YOLOV8["n"], 300, 150
    image = doc.add("io.image_input", title="Image", at=(0, 0))

    def then(source: Node, component: str, title: str, at: tuple[float, float], **params: object) -> Node:
        node = doc.add(component, title=title, at=at, **params)
        doc.connect(source, node)
        return node

    def joined(title: str, at: tuple[float, float], *sources: Node) -> Node:
        node = doc.add("fusion.concat", title=title, at=at)
        for source in sources:
            doc.connect(source, node)
        return node

    x = then(image, "stem.conv_stem", "Stem", (step, 0), out_channels=size.channels(64))
    levels: dict[int, Node] = {}
    for i, (level, base, depth) in enumerate(((2, 128, 3), (3, 256, 6), (4, 512, 6), (5, 1024, 3))):
        width = size.channels(base)
        x = then(x, "downsample.conv_down", f"Down {level}", ((2 + 2 * i) * step, i * row), out_channels=width)
        at = ((3 + 2 * i) * step, i * row)
        x = levels[level] = then(x, "block.csp.c2f", f"C2f {level}", at, out_channels=width, depth=size.blocks(depth))
    p5 = then(x, "pooling.sppf", "SPPF", (10 * step, 3 * row), out_channels=size.channels(1024))

    def fuse(title: str, at: tuple[float, float], base: int, *sources: Node) -> Node:
        concat = joined(f"Concat {title}", at, *sources)
        options = {"out_channels": size.channels(base), "depth": size.blocks(3), "shortcut": False}
        return then(concat, "block.csp.c2f", f"Fuse {title}", (at[0] + step, at[1]), **options)

    up5 = then(p5, "resize.upsample", "Up 5", (11 * step, 2 * row))
    t4 = fuse("4 down", (12 * step, 2 * row), 512, up5, levels[4])
    up4 = then(t4, "resize.upsample", "Up 4", (14 * step, row))
    n3 = fuse("3", (15 * step, row), 256, up4, levels[3])
    down3 = then(n3, "downsample.conv_down", "Down N3", (17 * step, 2 * row), out_channels=size.channels(256))
    n4 = fuse("4", (18 * step, 2 * row), 512, down3, t4)
    down4 = then(n4, "downsample.conv_down", "Down N4", (20 * step, 3 * row), out_channels=size.channels(512))
    n5 = fuse("5", (21 * step, 3 * row), 1024, down4, p5)
    head = doc.add("head.yolov8_head", title="Head", at=(23 * step, 2 * row))
    for n in (n3, n4, n5):
        doc.connect(n, head)
    then(head, "post.nms", "NMS", (24 * step, 2 * row))
    return for_coco(doc)


def resnet(depth: int) -> Document:
    name = f"ResNet-{depth}"
    doc = new(name, f"{name} for 1000 classes at 224 pixels.", "classify")
    image = doc.add("io.image_input", title="Image", at=(0, 33), height=224, width=224)
    backbone = doc.add("backbone.resnet", title="Backbone", at=(312, 0), depth=depth)
    head = doc.add("head.classification_head", title="Head", at=(624, 93))
    doc.connect(image, backbone)
    doc.connect(backbone, head, "c5")
    doc.set_data(kind="folder")
    doc.set_training(
        epochs=90, batch=64, optimizer="sgd", learning_rate=0.05, momentum=0.9, weight_decay=1e-4, warmup_epochs=5
    )
    return doc


def shapes_classifier() -> Document:
    doc = new(
        "Shapes classifier",
        "ResNet-18 that tells drawn shapes apart: the shortest way to a trained classifier.",
        "classify",
    )
    image = doc.add("io.image_input", title="Image", at=(0, 33), height=64, width=64)
    backbone = doc.add("backbone.resnet", title="Backbone", at=(312, 0), depth=18)
    head = doc.add("head.classification_head", title="Head", at=(624, 93), num_classes=3)
    doc.connect(image, backbone)
    doc.connect(backbone, head, "c5")
    doc.set_training(epochs=5, batch=32, optimizer="adamw", learning_rate=0.001, workers=0)
    return doc


def new(name: str, summary: str, task: str) -> Document:
    doc = Document.new(name, library().catalogue)
    doc.data.summary, doc.data.task = summary, task  # type: ignore[attr-defined]
    return doc


def for_coco(doc: Document) -> Document:
    doc.set_data(kind="coco")
    doc.set_training(epochs=300, batch=32, optimizer="sgd", learning_rate=0.01, warmup_epochs=3)
    return doc


TEMPLATES = {
    "quick-start": quick_start,
    "yolov8n": yolov8n,
    "yolov8n-blocks": yolov8n_blocks,
    "resnet50": lambda: resnet(50),
    "shapes-classifier": shapes_classifier,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, draw in TEMPLATES.items():
        draw().save(FOLDER / f"{name}.netwright")
        print(f"templates/{name}.netwright")


if __name__ == "__main__":
    main()
