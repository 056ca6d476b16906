"""Anchors fitted to boxes: by hand, on data, from the command line, and said when training starts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from designer.cli.anchors import anchors_of
from designer.data.anchors import box_sizes, fit_anchors, mean_overlap, share_that_fits, training_sizes
from designer.data.dataset import load_dataset
from designer.data.errors import DataError
from designer.engine.compile import compile_document
from designer.graph import Document
from designer.graph.errors import NetwrightError
from designer.graph.storage import read
from designer.graph.training import DataSettings
from designer.train.checks import misfits
from nodes.sdk.discover import library


def yolo(folder: Path) -> DataSettings:
    """Images of 80 x 40 px with a box of 8 x 20 and one of 40 x 8 px each; one file is broken."""
    for part in ("train", "val"):
        (folder / "images" / part).mkdir(parents=True)
        (folder / "labels" / part).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (80, 40)).save(folder / "images" / part / f"{i}.png")
            (folder / "labels" / part / f"{i}.txt").write_text("0 0.5 0.5 0.1 0.5\n0 0.5 0.5 0.5 0.2\n")
    (folder / "images" / "train" / "3.png").write_bytes(b"broken")
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [thing]\n")
    return DataSettings(kind="yolo", path=str(folder))


def test_clusters_by_hand() -> None:
    """Two kinds of boxes, two anchors: their means. One more anchor than kinds does no harm."""
    sizes = np.array([[10.0, 20], [12, 20], [100, 50], [102, 54], [98, 46]])
    assert fit_anchors(sizes, 2) == [11, 20, 100, 50]
    assert mean_overlap(sizes, [11, 20, 100, 50]) > 0.9
    assert fit_anchors(sizes, 2) == fit_anchors(sizes[::-1], 2)
    assert len(fit_anchors(sizes, 9)) == 18


def test_which_boxes_fit_by_hand() -> None:
    """16 x 16 fits sides of 4 to 64 px, the ends left out."""
    sizes = np.array([[5.0, 5], [4, 4], [63, 16], [64, 16], [16, 16]])
    assert share_that_fits(sizes, [16, 16]) == 3 / 5
    assert share_that_fits(sizes[:0], [16, 16]) == 1


def test_sizes_are_those_of_the_models_input(tmp_path: Path) -> None:
    """80 x 40 px into 160 x 160: twice as large."""
    sizes = box_sizes(yolo(tmp_path), (160, 160))
    assert sizes.tolist() == [[pytest.approx(16), pytest.approx(40)], [pytest.approx(80), pytest.approx(16)]] * 3
    drawn = load_dataset(DataSettings(train_images=50), (64, 64), "detect").train
    assert len(training_sizes(drawn, (64, 64), most=10)) >= 10
    for file in (tmp_path / "labels" / "train").iterdir():
        file.write_text("")
    with pytest.raises(DataError, match="no boxes"):
        box_sizes(DataSettings(kind="yolo", path=str(tmp_path)), (160, 160))


def document(folder: Path, head: str = "head.yolov5_head") -> Document:
    doc = Document.new("Anchors", library().catalogue)
    image, backbone = doc.add("io.image_input", height=160, width=160), doc.add("backbone.yolov5_backbone")
    made = doc.add(head, title="Head", num_classes=1)
    doc.connect(image, backbone)
    for level in "345":
        doc.connect(backbone, made, f"p{level}")
    settings = yolo(folder)
    doc.set_data(kind="yolo", path=settings.path)
    return doc


def test_the_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = document(tmp_path / "data").save(tmp_path / "mine.netwright")
    anchors_of(file, write=False, as_json=True)
    (fact,) = json.loads(capsys.readouterr().out)
    assert fact["boxes"] == 6
    assert len(fact["fitted"]["anchors"]) == 18
    assert fact["fitted"]["overlap"] == pytest.approx(1.0)
    assert fact["now"]["overlap"] < 0.8
    assert next(n for n in read(file).nodes if n.title == "Head").params["anchors"] == fact["now"]["anchors"]
    anchors_of(file, write=True, as_json=False)
    assert "Written to" in capsys.readouterr().out
    assert next(n for n in read(file).nodes if n.title == "Head").params["anchors"] == fact["fitted"]["anchors"]
    plain = document(tmp_path / "more", "head.yolov8_head").save(tmp_path / "plain.netwright")
    with pytest.raises(NetwrightError, match="no head of this document has a list of anchors"):
        anchors_of(plain, write=False, as_json=False)


def test_training_says_when_anchors_do_not_fit(tmp_path: Path) -> None:
    doc = document(tmp_path)
    head = next(n for n in doc.data.nodes if n.title == "Head")
    data = load_dataset(doc.data.data, (160, 160), "detect").train
    assert list(misfits(doc.data, compile_document(doc.data), data)) == []
    doc.set_param(head, "anchors", [400, 400] * 9)
    (said,) = misfits(doc.data, compile_document(doc.data), data)
    assert said.startswith("Head: its anchors fit 0% of the training boxes")
