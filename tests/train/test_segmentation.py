"""A segmenter from the document to the exported file: it trains, is measured by its masks, draws them, and leaves."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torchvision.io import read_image

from designer.cli.runs import predict_images
from designer.export import export_onnx, export_pytorch
from designer.export.weights import sample_image
from designer.graph.templates import load_template
from designer.train.events import EventTail
from designer.train.run import RunFolder, start_training
from designer.train.trained import evaluate_run, load_trained, predict
from nodes.sdk.discover import library


@pytest.fixture
def segmenter():
    doc = load_template("yolov8n-seg", library().catalogue)
    image, head = doc.data.nodes[0], next(n for n in doc.data.nodes if n.component == "head.yolo_seg_head")
    for side in ("height", "width"):
        doc.set_param(image, side, 64)
    doc.set_param(head, "num_classes", 3)
    doc.set_data(kind="shapes", classes=3, train_images=48, val_images=8, max_objects=2)
    doc.set_training(
        epochs=6, batch=8, optimizer="adamw", learning_rate=0.002, workers=0, device="cpu", warmup_epochs=0
    )
    return doc


@pytest.mark.slow
def test_it_trains_predicts_and_leaves(tmp_path, segmenter, capsys):
    run = RunFolder.create(tmp_path, segmenter.data)
    assert start_training(run).wait(180) == 0, run.log_path.read_text()[-2000:]
    events = EventTail(run.events_path).read()
    losses = [e["losses"] for e in events if e["type"] == "step"]
    assert set(losses[0]) == {"box", "cls", "dfl", "mask"}
    assert sum(e["mask"] for e in losses[-6:]) < 0.9 * sum(e["mask"] for e in losses[:6])
    last = [e for e in events if e["type"] == "metrics"][-1]["values"]
    assert {"mask_map", "mask_map50", "map", "map50"} <= set(last)
    assert evaluate_run(run)["images"] == last["images"] == 8
    assert (run.samples / "epoch0006.png").exists()

    Image.fromarray(np.full((50, 80, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    (found,) = predict(load_trained(run), [tmp_path / "photo.png"])
    assert len(found.masks) == len(found.boxes)
    predict_images(run.path, [tmp_path / "photo.png"], tmp_path / "drawn", 0.0, as_json=True)
    rows = json.loads(capsys.readouterr().out)[0]
    assert all(row["mask"]["size"] == [50, 80] for row in rows["found"])
    assert read_image(rows["drawn"]).shape == (3, 50, 80)

    report = export_pytorch(segmenter.data, tmp_path / "code", run.path)
    assert report.max_abs_diff == 0.0
    drawn = subprocess.run(
        [sys.executable, "predict.py", tmp_path / "photo.png"], cwd=tmp_path / "code", capture_output=True, text=True
    )
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "photo-found.png").exists()


@pytest.mark.slow
def test_onnx_gives_the_masks_of_any_batch(tmp_path, segmenter):
    report = export_onnx(segmenter.data, tmp_path / "m.onnx")
    assert report.outputs == ["boxes", "scores", "labels", "masks"]
    assert report.max_abs_diff < 1e-3
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        out = session.run(None, {"image": sample_image((1, 3, 64, 64), batch).numpy()})
        assert [o.shape for o in out] == [(batch, 100, 4), (batch, 100), (batch, 100), (batch, 100, 16, 16)]
    assert torch.from_numpy(out[3]).aminmax().max <= 1


def test_a_segmenter_without_nms_exports_with_predictions(tmp_path, segmenter):
    segmenter.remove(next(n for n in segmenter.data.nodes if n.component == "post.mask_nms"))
    report = export_pytorch(segmenter.data, tmp_path / "code")
    assert report.max_abs_diff == 0.0
    Image.new("RGB", (80, 50)).save(tmp_path / "a.png")
    command = [sys.executable, "-c", "import predict; predict.THRESHOLD = 0.0; predict.main()", "../a.png"]
    done = subprocess.run(command, cwd=tmp_path / "code", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "a-found.png").size == (80, 50)
