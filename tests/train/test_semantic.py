"""Semantic segmentation from the document to the exported file: on real nuclei it beats the best threshold."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from designer.cli.runs import evaluate_run as evaluate_command
from designer.cli.runs import predict_images
from designer.data.check import check_data
from designer.data.transforms import Fit, class_map_of
from designer.export import export_onnx, export_pytorch
from designer.export.weights import sample_image
from designer.graph import Document
from designer.graph.errors import NetwrightError
from designer.graph.onnx_options import OnnxOptions
from designer.train.events import EventTail
from designer.train.loop import Trainer
from designer.train.metrics import MeanIoU
from designer.train.predictor import as_json
from designer.train.run import RunFolder, start_training
from designer.train.trained import load_trained, predict
from nodes.sdk.discover import library
from tests.data.test_class_maps import write_pair

NUCLEI = Path(__file__).parents[1] / "data" / "nuclei"
TILE = 64


def unet_document(side: int, classes: int, channels: int = 16) -> Document:
    """A small U-Net with group norm: of 100 steps with batch norm the running statistics would lag behind."""
    doc = Document.new("Tiny U-Net", library().catalogue)
    image = doc.add("io.image_input", title="Image", height=side, width=side)
    net = doc.add("backbone.unet", title="U-Net", channels=channels, depth=2, norm="group")
    head = doc.add("head.fcn_head", title="Head", num_classes=classes, depth=0, dropout=0.0)
    doc.connect(image, net)
    doc.connect(net, head)
    doc.set_training(epochs=2, batch=8, optimizer="adamw", learning_rate=0.003, workers=0, device="cpu", ema=False)
    doc.set_training(jitter=0.0)
    return doc


@pytest.fixture
def shapes() -> Document:
    doc = unet_document(64, 3, channels=8)
    doc.set_data(kind="shapes", classes=2, train_images=16, val_images=4, max_objects=2)
    return doc


def test_a_coloured_mask_is_named_and_passed_over(tmp_path):
    for part, count in (("train", 5), ("val", 2)):
        for i in range(count):
            write_pair(tmp_path / "data", f"{part}{i}", (0, 1), part)
        write_pair(tmp_path / "data", "coloured", ((200, 0, 0), (0, 9, 0)), part)
    doc = unet_document(32, 2, channels=4)
    doc.set_data(kind="masks", path=str(tmp_path / "data"))
    doc.set_training(batch=2, mosaic=1.0, close_mosaic=0)
    named = {f.file for f in check_data(doc.data.data).findings if "The mask is coloured" in f.what}
    assert named == {str(tmp_path / "data" / "masks" / part / "coloured.png") for part in ("train", "val")}
    run = RunFolder.create(tmp_path / "runs", doc.data)
    assert Trainer(run).train()["images"] == 2
    said = [e["message"] for e in EventTail(run.events_path).read() if e["type"] == "warning"]
    said = [text for text in said if "coloured.png (The mask is coloured." in text]
    assert len(said) == 2  # in training once, however many epochs, and in validation
    for i in range(5):
        write_pair(tmp_path / "data", f"train{i}", (0, 7), "train")
    (tmp_path / "data" / "classes.txt").write_text("a\nb\n")
    with pytest.raises(NetwrightError, match="training images can be"):
        Trainer(RunFolder.create(tmp_path / "runs", doc.data)).train()


@pytest.mark.parametrize("images", [1, 3])
def test_an_image_alone_in_its_batch_is_no_end_of_a_run_with_global_pooling(tmp_path, images):
    """ASPP normalises what it pools to one value an image; torch refuses to do that with one."""
    doc = Document.new("Pooled", library().catalogue)
    nodes = [
        doc.add("io.image_input", height=32, width=32),
        doc.add("stem.patch_stem", out_channels=8),
        doc.add("pooling.aspp", out_channels=8),
        doc.add("head.fcn_head", num_classes=3),
    ]
    for one, other in pairwise(nodes):
        doc.connect(one, other)
    doc.set_data(kind="shapes", classes=2, train_images=images, val_images=2, max_objects=2)
    doc.set_training(batch=2, epochs=2, workers=0, device="cpu", ema=False)
    run = RunFolder.create(tmp_path, doc.data)
    assert Trainer(run).train()["images"] == 2
    assert [e["type"] for e in EventTail(run.events_path).read()][-1] == "finished"


def test_mean_iou_by_hand_and_against_a_matrix():
    measure = MeanIoU(["a", "b", "c"])
    truth = torch.tensor([[0, 0, 1, 1], [0, 255, 255, 1]], dtype=torch.uint8)
    found = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 0]], dtype=torch.uint8)
    measure.add(found, truth)
    # a: 2 right, 3 there, 3 found; b: 2 right, 3 there, 3 found; c occurs nowhere.
    values = measure.compute()
    assert values["per_class"] == {"a": 0.5, "b": 0.5, "c": -1.0}
    assert values["miou"] == 0.5
    assert values["pixel_accuracy"] == pytest.approx(4 / 6)
    random = np.random.default_rng(0)
    measure = MeanIoU(["a", "b", "c"])
    table = np.zeros((3, 3), int)
    for _ in range(3):
        true, said = random.integers(0, 3, (2, 30, 20))
        np.add.at(table, (true, said), 1)
        measure.add(torch.from_numpy(said).to(torch.uint8), torch.from_numpy(true).to(torch.uint8))
    iou = table.diagonal() / (table.sum(0) + table.sum(1) - table.diagonal())
    assert list(measure.compute()["per_class"].values()) == pytest.approx(iou.tolist())
    quality = measure.quality()
    assert quality["matrix"] == table.tolist()
    assert [c["pixels"] for c in quality["classes"]] == table.sum(1).tolist()


def test_classes_come_back_to_the_size_of_the_original():
    """A photo of 40 x 20 in a square of 20: rows 5 to 15, each pixel of the model two of the photo."""
    likely = torch.zeros(2, 20, 20)
    likely[0], likely[1, 5:15, 10:] = 0.5, 1.0
    classes = class_map_of(likely, Fit(0.5, 0, 5, 20, 40), (20, 20))
    assert classes.shape == (20, 40)
    assert not classes[:, :19].any()
    assert classes[:, 21:].all()


def test_a_unet_learns_real_nuclei_from_half_an_image(tmp_path):
    """The best fixed threshold gives IoU 0.779 on the right half; 100 steps on the left half do better."""
    pixels, numbers = (np.array(Image.open(NUCLEI / name)) for name in ("img2d.tif", "mask2d.tif"))
    for top in range(0, 512, TILE):
        for left in range(0, 512, TILE):
            part, name = "train" if left < 256 else "val", f"{top:03}-{left:03}.png"
            for kind, values in (("images", pixels), ("masks", numbers > 0)):
                (tmp_path / kind / part).mkdir(parents=True, exist_ok=True)
                tile = values[top : top + TILE, left : left + TILE].astype(np.uint8)
                Image.fromarray(tile).save(tmp_path / kind / part / name)
    (tmp_path / "classes.txt").write_text("background\nnucleus\n")
    doc = unet_document(TILE, 2, channels=12)
    doc.set_data(kind="masks", path=str(tmp_path))
    doc.set_training(learning_rate=0.005, epochs=25, eval_every=25, flip=0.5, flip_vertical=0.5, checkpoint_every=25)
    run = RunFolder.create(tmp_path / "runs", doc.data)
    assert start_training(run).wait(240) == 0, run.log_path.read_text()[-2000:]
    events = EventTail(run.events_path).read()
    assert [e for e in events if e["type"] == "step"][-1]["step"] == 100
    values = [e for e in events if e["type"] == "metrics"][-1]["values"]
    assert values["per_class"]["nucleus"] > 0.82
    assert values["miou"] == pytest.approx(np.mean(list(values["per_class"].values())))
    quality = json.loads(run.evaluation_path.read_text())
    assert quality["classes"][1]["iou"] == values["per_class"]["nucleus"]
    assert np.array(quality["matrix"]).sum() == 512 * 256
    assert Image.open(run.samples / "epoch0025.png").size[0] > 4 * TILE  # truth beside prediction


@pytest.mark.slow
def test_it_trains_predicts_and_leaves(tmp_path, shapes, capsys):
    run = RunFolder.create(tmp_path, shapes.data)
    assert start_training(run).wait(180) == 0, run.log_path.read_text()[-2000:]
    assert run.best_path.exists()
    evaluate_command(run.path, as_json=True, speed=False)
    values = json.loads(capsys.readouterr().out)
    assert set(values["per_class"]) == {"background", "circle", "square"}
    Image.fromarray(np.full((50, 80, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    (found,) = predict(load_trained(run), [tmp_path / "photo.png"])
    assert found.classes.shape == (50, 80)
    assert float(found.scores.sum()) == pytest.approx(1)
    assert "classes" in as_json(found, ["background", "circle", "square"], pictures=True)
    predict_images(run.path, [tmp_path / "photo.png"], tmp_path / "drawn", 0.9, as_json=True)
    row = json.loads(capsys.readouterr().out)[0]
    assert np.array_equal(np.array(Image.open(row["classes"])), found.classes.numpy())
    assert Image.open(row["drawn"]).size == (80, 50)

    assert export_pytorch(shapes.data, tmp_path / "code", run.path).max_abs_diff == 0.0
    drawn = subprocess.run(
        [sys.executable, "predict.py", tmp_path / "photo.png"], cwd=tmp_path / "code", capture_output=True, text=True
    )
    assert drawn.returncode == 0, drawn.stderr
    alone = np.array(Image.open(tmp_path / "photo-classes.png"))
    assert np.array_equal(alone, found.classes.numpy())
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        Image.new("L", (70, 40), 1).save(tmp_path / kind / "a.png")
    command = [sys.executable, "train.py", "../images", "../masks", "--epochs", "1", "--workers", "0"]
    trained = subprocess.run(command, cwd=tmp_path / "code", capture_output=True, text=True)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "code" / "trained.safetensors").exists()


@pytest.mark.slow
def test_onnx_gives_the_same_probabilities_and_int8_is_measured(tmp_path, shapes):
    report = export_onnx(shapes.data, tmp_path / "m.onnx", options=OnnxOptions(free_size=True))
    assert report.outputs == ["probabilities"]
    assert report.max_abs_diff < 1e-3
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch, size in ((1, (64, 64)), (2, (32, 96))):
        (out,) = session.run(None, {"image": sample_image((1, 3, *size), batch).numpy()})
        assert out.shape == (batch, 3, *size)
    small = export_onnx(
        shapes.data, tmp_path / "s.onnx", options=OnnxOptions(precision="int8", calibration=2, measure=4)
    )
    assert {"miou", "pixel_accuracy"} <= set(small.before) & set(small.after)
