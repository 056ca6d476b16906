"""Shared by all tests: no screen, few threads, small documents drawn through the Python API."""

import functools
import itertools
import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest


@pytest.fixture(scope="session")
def catalogue():
    from nodes.sdk.discover import library

    return library().catalogue


@pytest.fixture(scope="session")
def one_onnx_table():
    """The exporter's table of operators, made once: each export parses 500 functions for it, over a second."""
    from torch.onnx._internal.exporter import _registration

    with pytest.MonkeyPatch.context() as patch:
        made = functools.cache(_registration.ONNXRegistry.from_torchlib)
        patch.setattr(_registration.ONNXRegistry, "from_torchlib", staticmethod(made))
        yield


@pytest.fixture
def detector(catalogue):
    """The smallest YOLOv8-shaped detector, 64 pixels, three classes, on shapes data."""
    from designer.graph import Document

    doc = Document.new("Tiny detector", catalogue)
    image = doc.add("io.image_input", title="Image", height=64, width=64)
    backbone = doc.add("backbone.csp_darknet", title="Backbone")
    neck = doc.add("neck.pafpn", title="Neck")
    head = doc.add("head.yolov8_head", title="Head", num_classes=3)
    nms = doc.add("post.nms", title="NMS")
    doc.connect(image, backbone)
    for level in "345":
        doc.connect(backbone, neck, f"p{level}", f"p{level}")
    for level in "345":
        doc.connect(neck, head, f"n{level}")
    doc.connect(head, nms)
    doc.set_training(epochs=2, batch=8, optimizer="adamw", learning_rate=0.002, workers=0, device="cpu")
    doc.set_data(train_images=32, val_images=8, max_objects=2)
    return doc


@pytest.fixture
def classifier(catalogue):
    """ResNet-18 with SE and CBAM behind it, 32 pixels, three classes, on shapes data."""
    from designer.graph import Document

    doc = Document.new("Tiny classifier", catalogue)
    nodes = [
        doc.add("io.image_input", title="Image", height=32, width=32),
        doc.add("backbone.resnet", title="Backbone", depth=18),
        doc.add("attention.channel.squeeze_excite", title="SE"),
        doc.add("attention.cbam", title="CBAM"),
        doc.add("head.classification_head", title="Head", num_classes=3),
    ]
    for a, b in itertools.pairwise(nodes):
        doc.connect(a, b, "c5" if a.title == "Backbone" else "")
    doc.set_training(epochs=1, batch=16, optimizer="adamw", learning_rate=0.001, workers=0, device="cpu")
    doc.set_data(train_images=32, val_images=16)
    return doc
