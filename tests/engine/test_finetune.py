"""Fine-tuning: surgery on documents for other classes, tasks and channels; what is taken, and that it learns sooner."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from designer.data import shapes
from designer.engine.compile import compile_document
from designer.engine.finetune import FineTuned, Wanted, fine_tune
from designer.engine.pretrained import load_pretrained
from designer.engine.state_files import read_state
from designer.graph import Document
from designer.graph.become import become
from designer.graph.errors import NetwrightError
from designer.graph.templates import load_template
from designer.graph.training import DataSettings
from designer.train import checkpoint
from designer.train.events import EventTail
from designer.train.loop import Trainer
from designer.train.run import RunFolder
from nodes.sdk.discover import library

TWO = DataSettings(classes=2)


def kept(document: Document, path: Path, names: tuple[str, ...] = shapes.NAMES[:3]) -> str:
    """A checkpoint of a document, as if it had been trained."""
    torch.manual_seed(5)
    state = {"model": compile_document(document.data).model.state_dict(), "ema": None, "class_names": list(names)}
    torch.save(state, path)
    return str(path)


def said(found: FineTuned) -> str:
    return " | ".join(change.what for change in found.changes)


def fates(found: FineTuned) -> dict[str, str]:
    return {plan.title: plan.state for plan in found.nodes}


def test_the_same_classes_keep_every_layer(detector: Document, tmp_path: Path) -> None:
    start = kept(detector, tmp_path / "best.pt")
    found = fine_tune(detector.data, Wanted(start, DataSettings(classes=3)), tmp_path)
    assert said(found) == "Head stays as it is"
    assert fates(found) == {"Backbone": "kept", "Neck": "kept", "Head": "kept"}


def test_other_classes_have_new_class_layers_also_where_there_are_as_many(detector: Document, tmp_path: Path) -> None:
    start = kept(detector, tmp_path / "best.pt", ("car", "dog", "tree"))
    found = fine_tune(detector.data, Wanted(start, DataSettings(classes=3)), tmp_path)
    assert said(found) == "Head: new class layers, 3 other classes"
    assert fates(found) == {"Backbone": "kept", "Neck": "kept", "Head": "partly"}
    compiled = compile_document(found.document)
    *_, head = load_pretrained(compiled, found.document)
    new = list(head.carried.missing)
    assert new == [f"cls_towers.{i}.2.{part}" for i in range(3) for part in ("weight", "bias")]
    theirs = read_state(Path(start)).tensors
    own = compiled.model.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in head.names)


def test_training_is_set_for_fine_tuning_and_all_is_one_step(detector: Document, tmp_path: Path) -> None:
    detector.set_training(optimizer="sgd", learning_rate=0.01)
    before = detector.data.model_copy(deep=True)
    found = fine_tune(detector.data, Wanted(kept(detector, tmp_path / "b.pt"), TWO, freeze=True), tmp_path)
    assert detector.data == before  # a plan touches nothing
    become(detector, found.document, "Fine-tune")
    settings = detector.data.training
    assert (settings.optimizer, settings.learning_rate, settings.pretrained_factor) == ("adamw", 1e-4, 0.1)
    assert [n.title for n in detector.data.nodes if n.frozen] == ["Backbone"]
    assert detector.data == found.document
    detector.add("post.nms")  # ids go on behind those that came in
    detector.undo()
    assert detector.undo_name == "Fine-tune"
    detector.undo()
    assert detector.data == before


def test_a_detector_becomes_a_segmenter_that_keeps_its_box_towers(detector: Document, tmp_path: Path) -> None:
    found = fine_tune(detector.data, Wanted(kept(detector, tmp_path / "b.pt"), TWO, task="segment"), tmp_path)
    assert said(found).startswith("Removed: Head, NMS | Head: new, a YOLO segmentation head of 2 classes")
    assert fates(found) == {"Backbone": "kept", "Neck": "kept", "Head": "partly"}
    *_, head = load_pretrained(compile_document(found.document), found.document)
    assert sum(key.startswith("box_towers.") for key in head.carried.loaded) == 36
    assert not any(key.startswith("cls_towers.0.2.") for key in head.carried.loaded)
    old = Document(detector.data.model_copy(deep=True), library().catalogue)
    become(old, found.document, "Fine-tune")
    assert {w.ends for w in old.data.wires} == {w.ends for w in found.document.wires}
    old.undo()
    assert old.data == detector.data


def test_a_detector_of_blocks_becomes_a_classifier_of_grey_images(tmp_path: Path) -> None:
    blocks = load_template("yolov8n-blocks", library().catalogue)
    for name in ("height", "width"):
        blocks.set_param(blocks.data.nodes[0], name, 64)
    found = fine_tune(blocks.data, Wanted(kept(blocks, tmp_path / "b.pt"), TWO, "classify", channels=1), tmp_path)
    assert [n.title for n in found.document.nodes][-2:] == ["SPPF", "Head"]
    assert "Image: 3 -> 1 channels; the first convolution of Stem is new" in said(found)
    assert fates(found)["Stem"] == "partly"
    assert fates(found)["Down 2"] == "kept"


def test_a_classifier_becomes_a_detector_with_a_neck(classifier: Document, tmp_path: Path) -> None:
    start = kept(classifier, tmp_path / "b.pt")
    found = fine_tune(classifier.data, Wanted(start, TWO, task="detect", freeze=True), tmp_path)
    assert fates(found) == {"Backbone": "kept", "SE": "kept", "CBAM": "kept", "Neck": "new", "Head": "new"}
    assert [n.title for n in found.document.nodes if n.frozen] == ["Backbone"]
    compile_document(found.document)


def test_a_detector_of_blocks_becomes_a_semantic_segmenter_with_a_decoder(tmp_path: Path) -> None:
    blocks = load_template("yolov8n-blocks", library().catalogue)
    for name in ("height", "width"):
        blocks.set_param(blocks.data.nodes[0], name, 64)
    found = fine_tune(blocks.data, Wanted(kept(blocks, tmp_path / "b.pt"), TWO, "semantic"), tmp_path)
    assert found.class_names == ("background", *shapes.NAMES[:2])
    document = Document(found.document, library().catalogue)
    decoder, head = document.data.nodes[-2:]
    assert (decoder.component, decoder.params["rates"]) == ("neck.deeplab_decoder", [3, 6, 9])  # at stride 32
    assert [document.node(w.source).title for w in document.wires_into(decoder)] == ["C2f 2", "SPPF"]
    assert (head.component, head.params["num_classes"]) == ("head.fcn_head", 3)
    assert "Decoder: new, a DeepLabV3+ decoder | Head: new, a FCN head of 3 classes" in said(found)
    assert {f for t, f in fates(found).items() if t not in ("Decoder", "Head")} == {"kept"}
    logits = compile_document(found.document).model.eval()(torch.rand(1, 3, 64, 64))
    assert logits.shape == (1, 3, 64, 64)


def test_a_classifier_becomes_a_semantic_segmenter_with_as_much_as_its_maps_allow(tmp_path: Path) -> None:
    document = Document.new("Classifier", library().catalogue)
    nodes = [
        document.add("io.image_input", height=64, width=64),
        document.add("backbone.csp_darknet", title="Backbone"),
        document.add("head.classification_head", title="Head", num_classes=3),
    ]
    document.connect(nodes[0], nodes[1])
    document.connect(nodes[1], nodes[2], "p5")
    found = fine_tune(document.data, Wanted(kept(document, tmp_path / "b.pt"), TWO, "semantic"), tmp_path)
    fine = Document(found.document, library().catalogue)
    wires = fine.wires_into(fine.data.nodes[-2])
    assert [(w.source_port, w.target_port) for w in wires] == [("p2", "c2"), ("p5", "c5")]
    stem = Document.new("One map", library().catalogue)
    image = stem.add("io.image_input", height=64, width=64)
    conv = stem.add("stem.conv_stem", title="Stem", out_channels=16)
    head = stem.add("head.classification_head", title="Head", num_classes=3)
    stem.connect(image, conv)
    stem.connect(conv, head)
    found = fine_tune(stem.data, Wanted(kept(stem, tmp_path / "s.pt"), TWO, "semantic"), tmp_path)
    assert [n.component for n in found.document.nodes][-2:] == ["pooling.aspp", "head.fcn_head"]
    assert found.document.nodes[-2].params["rates"] == [48, 96, 144]  # at stride 2
    compile_document(found.document)


def test_a_semantic_segmenter_becomes_a_classifier_or_a_detector(tmp_path: Path) -> None:
    document = load_template("deeplabv3-plus-r50", library().catalogue)
    for name in ("height", "width"):
        document.set_param(document.data.nodes[0], name, 64)
    start = kept(document, tmp_path / "b.pt")
    found = fine_tune(document.data, Wanted(start, TWO, "classify"), tmp_path)
    assert [n.component for n in found.document.nodes][1:] == ["backbone.resnet", "head.classification_head"]
    found = fine_tune(document.data, Wanted(start, TWO, "detect"), tmp_path)
    assert [n.component for n in found.document.nodes][1:] == ["backbone.resnet", "head.yolov8_head", "post.nms"]
    compile_document(found.document)


def test_published_weights_are_a_start_by_name(classifier: Document) -> None:
    found = fine_tune(classifier.data, Wanted("torchvision:resnet18", TWO))
    assert {n.title: n.weights for n in found.document.nodes if n.weights} == {"Backbone": "torchvision:resnet18"}
    with pytest.raises(NetwrightError, match="there are no weights torchvision:resnet50 for any of its nodes"):
        fine_tune(classifier.data, Wanted("torchvision:resnet50", TWO))
    with pytest.raises(NetwrightError, match="none of its nodes names weights"):
        fine_tune(classifier.data, Wanted("", TWO))


def test_data_that_cannot_train_the_task_is_said(classifier: Document) -> None:
    with pytest.raises(NetwrightError, match=r"folder data cannot train detect\. It can train classify"):
        fine_tune(classifier.data, Wanted("", DataSettings(kind="folder", path="x"), task="detect"))


# -- honest training -------------------------------------------------------------------------------------------------


def drawn(root: Path, classes: tuple[int, ...], count: int) -> DataSettings:
    """A YOLO data set of 64 pixels with one shape an image, of these classes."""
    for split, wanted in (("train", count), ("val", 24)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        index = made = 0
        while made < wanted:
            pixels, boxes, labels, _ = shapes.draw(index, (64, 64), split=split, classes=6, most=1, seed=7)
            index += 1
            if labels and labels[0] in classes:
                x1, y1, x2, y2 = (value / 64 for value in boxes[0])
                row = (classes.index(labels[0]), (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
                Image.fromarray(pixels).save(root / "images" / split / f"{index}.png")
                (root / "labels" / split / f"{index}.txt").write_text(" ".join(map(str, row)))
                made += 1
    names = [shapes.NAMES[c] for c in classes]
    (root / "data.yaml").write_text(f"path: {root}\ntrain: images/train\nval: images/val\nnames: {names}\n")
    return DataSettings(kind="yolo", path=str(root / "data.yaml"))


def small() -> Document:
    """A detector of 0.4 million parameters on two levels."""
    document = Document.new("Small", library().catalogue)
    before = document.add("io.image_input", title="Image", height=64, width=64)
    levels = []
    for component, title, width in (
        ("stem.conv_stem", "Stem", 16), ("downsample.conv_down", "Down 2", 32), ("downsample.conv_down", "Down 3", 64),
        ("block.csp.c2f", "C2f 3", 64), ("downsample.conv_down", "Down 4", 64), ("block.csp.c2f", "C2f 4", 64),
    ):  # fmt: skip
        node = document.add(component, title=title, out_channels=width)
        document.connect(before, node)
        levels += [node] if component == "block.csp.c2f" else []
        before = node
    head = document.add("head.yolov8_head", title="Head", num_classes=3)
    for level in levels:
        document.connect(level, head)
    document.connect(head, document.add("post.nms"))
    document.set_training(epochs=6, batch=16, optimizer="adamw", learning_rate=0.002, workers=0, device="cpu")
    document.set_training(ema=False, jitter=0.0, eval_every=100, warmup_epochs=0.0)
    document.set_data(train_images=192, val_images=16, max_objects=1)
    return document


def trained(document: Document, root: Path) -> tuple[RunFolder, list[float]]:
    run = RunFolder.create(root, document.data, document.data.name)
    Trainer(run).train()
    return run, [e["loss"] for e in EventTail(run.events_path).read() if e["type"] == "step"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_fine_tuned_detector_starts_from_its_weights_and_learns_sooner_than_a_fresh_one(tmp_path: Path) -> None:
    first, _ = trained(small(), tmp_path / "runs")
    data = drawn(tmp_path / "data", (3, 5), 48)
    found = fine_tune(first.document(), Wanted(str(first.path), data), tmp_path)
    assert found.class_names == ("star", "ring")
    assert said(found) == "Head: new class layers, 3 -> 2 classes"
    document = Document(found.document, library().catalogue)
    document.set_training(epochs=2, learning_rate=0.001)  # the same for both
    run, tuned = trained(document, tmp_path / "tuned")
    for node in document.data.nodes:
        document.set_weights(node, "")
    _, fresh = trained(document, tmp_path / "fresh")
    assert len(tuned) == len(fresh) == 6
    assert tuned[0] < 0.7 * fresh[0]
    assert sum(tuned) < 0.7 * sum(fresh)
    # The rate was lower for what was taken, and only for that.
    names = checkpoint.load(run.last_path)["pretrained"]
    assert "stem.conv.weight" in names
    assert "head.box_towers.0.2.weight" in names
    assert "head.cls_towers.0.2.weight" not in names
