"""Documents so small that a trainer's start is most of their training; without batch norm."""

import pytest

from designer.graph import Document


@pytest.fixture(scope="session")
def small_detector(catalogue):
    """Makes one whose losses hang on nothing but the batch: 17 images in batches of 8, so the last has one."""

    def make(**training) -> Document:
        doc = Document.new("Small", catalogue)
        image = doc.add("io.image_input", height=32, width=32)
        stem = doc.add("stem.patch_stem", out_channels=16)
        head = doc.add("head.retina_net_head", num_classes=3, tower_depth=1)
        doc.connect(image, stem)
        doc.connect(stem, head)
        doc.set_training(
            **{"epochs": 30, "batch": 8, "learning_rate": 0.001, "warmup_epochs": 0.0, "workers": 0, "device": "cpu",
               "eval_every": 30, **training}
        )  # fmt: skip
        doc.set_data(train_images=17, val_images=6, max_objects=2)
        return doc

    return make


@pytest.fixture(scope="session")
def small_classifier(catalogue):
    """Makes one that tells three classes of shapes or of a folder apart."""

    def make(**training) -> Document:
        doc = Document.new("Small", catalogue)
        image = doc.add("io.image_input", height=32, width=32)
        stem = doc.add("stem.patch_stem", out_channels=16)
        head = doc.add("head.classification_head", num_classes=3)
        doc.connect(image, stem)
        doc.connect(stem, head)
        doc.set_training(**{"batch": 8, "workers": 0, "device": "cpu", **training})
        doc.set_data(train_images=32, val_images=8)
        return doc

    return make
