"""Draws the shipped templates through the same Python API that a notebook uses, and writes them to `templates/`.

Run it after changing a component that a template uses: `python assets/make_templates.py`. A test compares its output
with the files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from template_parts import Part, detector_of, for_coco, new

from designer.graph import Document
from designer.graph.model import Node
from nodes.sdk.discover import library
from nodes.yolo_sizes import YOLOV5, YOLOV8

FOLDER = Path(__file__).parent / "templates"


def detector(name: str, summary: str, side: int, classes: int, size: str = "n") -> Document:
    """YOLOv8 of composites."""
    backbone, neck = ("backbone.csp_darknet", {"size": size}), ("neck.pafpn", {"size": size})
    return detector_of(name, summary, side, classes, backbone, neck, ("head.yolov8_head", {}))


def yolov8_seg(size: str) -> Document:
    doc = detector_of(
        f"YOLOv8{size}-seg", f"YOLOv8{size} that gives a mask for each object, 80 classes at 640 pixels.", 640, 80,
        ("backbone.csp_darknet", {"size": size}), ("neck.pafpn", {"size": size}), ("head.yolo_seg_head", {}),
    )  # fmt: skip
    return for_coco(doc)


def solo(name: str, words: str, decoupled: bool) -> Document:
    doc = detector_of(
        name, f"Masks without boxes: {words}. ResNet-50, 80 classes at 640 pixels.", 640, 80,
        ("backbone.resnet", {"depth": 50}), ("neck.fpn_p2_p6", {}), ("head.solo_head", {"decoupled": decoupled}),
        "2345",
    )  # fmt: skip
    return for_coco(doc)


def quick_start() -> Document:
    doc = detector("Quick start", "A small detector that learns drawn shapes in minutes, on any machine.", 160, 3)
    doc.set_training(epochs=6, batch=16, optimizer="adamw", learning_rate=0.002, jitter=0.3, workers=0)
    doc.set_data(kind="shapes", classes=3, train_images=1024, val_images=128)
    return doc


def yolov8(size: str) -> Document:
    words = f"YOLOv8{size} for 80 classes at 640 pixels: backbone, neck and head as composites."
    return for_coco(detector(f"YOLOv8{size}", words, 640, 80, size))


def yolov3() -> Document:
    doc = detector_of(
        "YOLOv3", "Darknet53 and anchors on three levels, 80 classes at 416 pixels.", 416, 80,
        ("backbone.darknet", {}), ("neck.yolov3_neck", {}), ("head.yolov3_head", {}),
    )  # fmt: skip
    return for_coco(doc)


def yolov5(size: str) -> Document:
    scale = YOLOV5[size]
    doc = detector_of(
        f"YOLOv5{size}", f"YOLOv5{size} (release 6.1) for 80 classes at 640 pixels: C3 blocks and anchors.", 640, 80,
        ("backbone.yolov5_backbone", {"size": size}), ("neck.csp_pafpn", {"depth": scale.blocks(3)}),
        ("head.yolov5_head", {}),
    )  # fmt: skip
    return for_coco(doc)


def yolov7(size: str, name: str) -> Document:
    doc = detector_of(
        name, f"{name} for 80 classes at 640 pixels: ELAN blocks, anchors and implicit knowledge.", 640, 80,
        ("backbone.yolov7_backbone", {"size": size}), ("neck.yolov7_neck", {"size": size}),
        ("head.yolov5_head", {"implicit": True, "anchors": YOLOV7_ANCHORS[size]}),
    )  # fmt: skip
    return for_coco(doc)


def yolox(size: str) -> Document:
    scale = YOLOV5[size]
    doc = detector_of(
        f"YOLOX-{size.upper()}", "No anchors, separate towers for classes and boxes, SimOTA. 80 classes at 640 pixels.",
        640, 80, ("backbone.yolox_backbone", {"size": size}),
        ("neck.csp_pafpn", {"depth": scale.blocks(3), "out_channels": scale.channels(256)}), ("head.yolox_head", {}),
    )  # fmt: skip
    return for_coco(doc)


def mhaf(size: str) -> Document:
    doc = detector_of(
        f"MHAF-YOLO-{size}", f"MHAF-YOLO-{size} for 80 classes at 640 pixels: large kernels, no suppression.", 640, 80,
        ("backbone.mhaf", {"size": size}), ("neck.mafpn", {"size": size}), ("head.mhaf_head", {}), "2345",
        ("post.top_k", "Top-k"),
    )  # fmt: skip
    return for_coco(doc)


def yolov6(size: str) -> Document:
    doc = detector_of(
        f"YOLOv6-{size.upper()}", "Branches in training, plain convolutions deployed (3.0). 80 classes at 640 pixels.",
        640, 80, ("backbone.efficient_rep", {"size": size}), ("neck.rep_bifpan", {"size": size}),
        ("head.yolov6_head", {}), "2345",
    )  # fmt: skip
    return for_coco(doc)


def gold_yolo(size: str) -> Document:
    doc = detector_of(
        f"Gold-YOLO-{size.upper()}", "YOLOv6 whose neck gathers all levels and distributes. 80 classes at 640 pixels.",
        640, 80, ("backbone.efficient_rep", {"size": size}), ("neck.gdfpn", {"size": size}),
        ("head.yolov6_head", {}), "2345",
    )  # fmt: skip
    return for_coco(doc)


def damo_yolo() -> Document:
    doc = detector_of(
        "DAMO-YOLO-T style", "RepGFPN and a head without towers on YOLOv8n's backbone, for 80 classes.", 640, 80,
        ("backbone.csp_darknet", {}), ("neck.rep_gfpn", {}), ("head.zero_head", {}),
    )  # fmt: skip
    return for_coco(doc)


def yolo_ms(size: str) -> Document:
    doc = detector_of(
        f"YOLO-MS-{size}", f"YOLO-MS-{size} for 80 classes at 640 pixels: kernels that grow with the stage.", 640, 80,
        ("backbone.yolo_ms", {"size": size}), ("neck.yolo_ms_neck", {"size": size}), ("head.rtm_det_head", {}),
    )  # fmt: skip
    return for_coco(doc)


def dense(name: str, words: str, head: str, extra_from: str) -> Document:
    """A head of the RetinaNet family on ResNet-50 and an FPN from P3 to P7."""
    doc = detector_of(
        f"{name}-R50", f"{words}, on ResNet-50 and an FPN. 80 classes at 640 pixels.", 640, 80,
        ("backbone.resnet", {"depth": 50}), ("neck.fpn_p3_p7", {"extra_from": extra_from}), (head, {}),
    )  # fmt: skip
    return for_coco(doc)


def ssd300() -> Document:
    """No neck: the backbone's six levels go to the head."""
    doc = new("SSD300", "VGG-16, six levels of default boxes and hard negatives, 80 classes at 300 pixels.", "detect")
    image = doc.add("io.image_input", title="Image", at=(0, 153), height=300, width=300)
    backbone = doc.add("backbone.ssd_vgg", title="Backbone", at=(312, 80))
    head = doc.add("head.ssd_head", title="Head", at=(624, 80), num_classes=80)
    nms = doc.add("post.nms", title="NMS", at=(936, 133), iou_threshold=0.45, max_detections=200)
    doc.connect(image, backbone)
    for level in "345678":
        doc.connect(backbone, head, f"p{level}")
    doc.connect(head, nms)
    return for_coco(doc)


def efficientdet() -> Document:
    doc = detector_of(
        "EfficientDet-D0", "EfficientNet-B0, three BiFPN cells and a light head. 90 classes at 512 pixels.", 512, 90,
        ("backbone.efficientnet", {}), ("neck.bifpn", {}), ("head.efficient_det_head", {}),
    )  # fmt: skip
    return for_coco(doc)


def centernet() -> Document:
    doc = detector_of(
        "CenterNet-R18", "Objects as peaks of a heat map on one fine level, ResNet-18, 80 classes at 512 pixels.",
        512, 80, ("backbone.resnet", {"depth": 18}), ("neck.deconv_neck", {}), ("head.center_net_head", {}), "5",
    )  # fmt: skip
    return for_coco(doc)


def rtdetr() -> Document:
    doc = detector_of(
        "RT-DETR-L", "A transformer that gives each object once, without suppression. 80 classes at 640 pixels.", 640,
        80, ("backbone.hgnet", {"size": "b4"}), ("neck.transformer_neck", {}), ("head.rtdetr_head", {}),
        suppression=("post.top_k", "Top-k"),
    )  # fmt: skip
    doc.set_param(doc.data.nodes[-1], "max_detections", 300)
    doc.set_data(kind="coco")
    doc.set_training(
        epochs=72, batch=16, optimizer="adamw", learning_rate=1e-4, weight_decay=1e-4, warmup_epochs=1, clip_norm=0.1
    )
    return doc


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
    return classifier("backbone.resnet", f"ResNet-{depth}", depth=depth)


def classifier(backbone: str, name: str = "", **params: object) -> Document:
    """A backbone behind a classification head, 1000 classes at 224 pixels."""
    title = library().spec(backbone).title
    doc = new(name or f"{title} classifier", f"{name or title} for 1000 classes at 224 pixels.", "classify")
    image = doc.add("io.image_input", title="Image", at=(0, 33), height=224, width=224)
    first = doc.add(backbone, title="Backbone", at=(312, 0), **params)
    head = doc.add("head.classification_head", title="Head", at=(624, 93))
    doc.connect(image, first)
    doc.connect(first, head, doc.spec(first.id).outputs[-1].name)
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


def semantic(title: str, words: str, side: int, *chain: Part, wires: tuple[str, ...] = ()) -> Document:
    """Image, backbone, what looks around, head; `wires` are the backbone's outputs that are used."""
    doc = new(title, words, "semantic")
    last, ports = doc.add("io.image_input", title="Image", at=(0, 93), height=side, width=side), ("out",)
    for place, (component, params) in enumerate(chain):
        spec = library().spec(component)
        name = {"backbone": "Backbone", "head": "Head"}.get(component.partition(".")[0], spec.title)
        node = doc.add(component, title=name, at=(312 * (place + 1), 93 if place else 60), **params)
        for source, target in zip(ports, spec.inputs, strict=True):
            doc.connect(last, node, source, target.name)
        last, ports = node, wires if not place and wires else ("out",)
    doc.set_data(kind="masks")
    doc.set_training(epochs=50, batch=8, learning_rate=0.01, momentum=0.9, weight_decay=1e-4, scale=0.5)
    return doc


def shapes_unet() -> Document:
    net, head = {"channels": 16, "depth": 3, "norm": "group"}, {"num_classes": 4, "depth": 0, "dropout": 0.0}
    words = "A small U-Net that tells drawn shapes from their background, pixel by pixel."
    doc = semantic("U-Net on shapes", words, 96, ("backbone.unet", net), ("head.fcn_head", head))
    doc.set_training(epochs=6, batch=16, optimizer="adamw", learning_rate=0.002, jitter=0.3, scale=0.0, workers=0)
    doc.set_data(kind="shapes", classes=3, train_images=512, val_images=64)
    return doc


def on_resnet(title: str, words: str, stride: int, *chain: Part, wires: tuple[str, ...] = ("c5",)) -> Document:
    words = f"{words} on ResNet-50, 21 classes at 512 pixels."
    return semantic(title, words, 512, ("backbone.resnet", {"output_stride": stride}), *chain, wires=wires)


def lraspp() -> Document:
    backbone = ("backbone.mobilenet_v3", {"output_stride": 16, "levels": "first"})
    words = "MobileNetV3 and a head of little work, 21 classes at 512 pixels."
    return semantic("LR-ASPP-MobileNetV3", words, 512, backbone, ("head.lraspp_head", {}), wires=("c3", "c5"))


YOLOV7_ANCHORS = {
    "tiny": [10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326],
    "l": [12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401],
}
"""Widths and heights in pixels; the published ones for COCO."""

BACKBONES = (
    "convnext", "csp_darknet", "csp_darknet53", "csp_resnet", "darknet", "efficientnet", "ghostnet",
    "internimage", "mhaf", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "shufflenet_v2", "van", "yolo_ms",
    "yolov5_backbone", "yolov7_backbone", "yolox_backbone",
)  # fmt: skip
"""Those that have a classifier of their own beside ResNet's; any timm model is a node away."""

PLAIN: Part = ("head.fcn_head", {"depth": 0})
SEMANTIC = {
    "fcn-r50": (("c5",), "FCN-ResNet-50", "Two convolutions", 8, ("head.fcn_head", {})),
    "deeplabv3-r50": (("c5",), "DeepLabV3-ResNet-50", "ASPP", 8, ("pooling.aspp", {}),
                      ("head.fcn_head", {"channels": 256, "dropout": 0.0})),
    "deeplabv3-plus-r50": (("c2", "c5"), "DeepLabV3+-ResNet-50", "ASPP and a decoder at stride 4", 16,
                           ("neck.deeplab_decoder", {}), PLAIN),
    "upernet-r50": (("c2", "c3", "c4", "c5"), "UPerNet-ResNet-50", "Pyramid pooling and an FPN", 32,
                    ("neck.upernet_neck", {}), PLAIN),
}  # fmt: skip
"""Outputs of ResNet-50 that are used, name, words, output stride, and what comes behind it."""

TEMPLATES: dict[str, Callable[[], Document]] = {
    "quick-start": quick_start,
    "shapes-classifier": shapes_classifier,
    **{f"yolov8{size}": partial(yolov8, size) for size in "nsm"},
    "yolov8n-blocks": yolov8n_blocks,
    **{f"yolov8{size}-seg": partial(yolov8_seg, size) for size in "ns"},
    "yolov3": yolov3,
    **{f"yolov5{size}": partial(yolov5, size) for size in "ns"},
    **{f"yolov6{size}": partial(yolov6, size) for size in "ns"},
    "gold-yolo-n": partial(gold_yolo, "n"),
    "yolov7-tiny": partial(yolov7, "tiny", "YOLOv7-tiny"),
    "yolov7": partial(yolov7, "l", "YOLOv7"),
    "yolox-s": partial(yolox, "s"),
    **{f"mhaf-yolo-{size}": partial(mhaf, size) for size in "ns"},
    "damo-yolo-t": damo_yolo,
    "yolo-ms-xs": partial(yolo_ms, "xs"),
    "yolo-ms": partial(yolo_ms, "base"),
    "rtdetr-l": rtdetr,
    "ssd300": ssd300,
    "efficientdet-d0": efficientdet,
    "centernet-r18": centernet,
    "retinanet-r50": partial(
        dense, "RetinaNet", "Nine anchors a cell and the focal loss", "head.retina_net_head", "c5"
    ),
    "fcos-r50": partial(dense, "FCOS", "No anchors: distances to an object's sides", "head.fcos_head", "p5"),
    "gfl-r50": partial(dense, "GFL", "Scores that are the quality of the box", "head.gfl_head", "p5"),
    "paa-r50": partial(dense, "PAA", "Samples by a mixture of two distributions", "head.paa_head", "p5"),
    "atss-r50": partial(dense, "ATSS", "Samples by each object's statistics", "head.atss_head", "p5"),
    "solo-r50": partial(solo, "SOLO-R50", "every cell of a grid has a mask of its own", False),
    "decoupled-solo-r50": partial(solo, "Decoupled SOLO-R50", "products of a map for columns and one for rows", True),
    "shapes-unet": shapes_unet,
    **{name: partial(on_resnet, *facts, wires=wires) for name, (wires, *facts) in SEMANTIC.items()},
    "lraspp-mobilenet-v3": lraspp,
    "resnet50": partial(resnet, 50),
    **{
        f"classifier-{name.removesuffix('_backbone').replace('_', '-')}": partial(classifier, f"backbone.{name}")
        for name in BACKBONES
    },
    "classifier-hrnet": partial(classifier, "backbone.hrnet", width=32),
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, draw in TEMPLATES.items():
        draw().save(FOLDER / f"{name}.netwright")
        print(f"templates/{name}.netwright")


if __name__ == "__main__":
    main()
