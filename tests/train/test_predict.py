"""Predictions as plain data and as a COCO file, and the process that gives them to the window."""

import io
import json
import sys

import pytest
import torch
from PIL import Image

from designer.train import predictor
from designer.train.found import coco_json
from designer.train.loop import Trainer
from designer.train.run import RunFolder
from designer.train.speed import measure_speed
from designer.train.trained import load_trained


def test_a_coco_file_by_hand():
    found = [
        {"label": 1, "score": 0.9, "box": [10, 20, 30.5, 60]},
        {"label": 0, "score": 0.1, "box": [0, 0, 5, 5]},
        {"label": 0, "score": 0.5, "box": [0, 0, 4, 2], "mask": {"size": [80, 50], "counts": "x"}, "pixels": 6},
    ]
    written = coco_json([{"image": "a/b.png", "width": 50, "height": 80, "found": found}], ["cat", "dog"], 0.25)
    assert written["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    first, second = written["annotations"]
    assert (first["bbox"], first["area"], first["category_id"]) == ([10, 20, 20.5, 40], 820, 2)
    assert (second["area"], second["segmentation"]["counts"], second["id"]) == (6, "x", 2)
    from faster_coco_eval import COCO

    assert len(COCO(written).getAnnIds(imgIds=[1])) == 2


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory):
    """A small detector after two steps."""
    from designer.graph.templates import load_template

    doc = load_template("quick-start")
    for name in ("height", "width"):
        doc.set_param(doc.data.nodes[0], name, 64)
    doc.set_training(epochs=1, batch=4, workers=0, device="cpu")
    doc.set_data(train_images=8, val_images=2)
    run = RunFolder.create(tmp_path_factory.mktemp("runs"), doc.data)
    Trainer(run).train()
    return run


def answers_of(run, requests, monkeypatch, capsys):
    """What the process says to these lines, here without a process."""
    monkeypatch.setattr(sys, "argv", ["predictor", "--run", str(run.path)])
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(request) + "\n" for request in requests)))
    code = predictor.main()
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_predictor_answers_a_request(trained_run, tmp_path, monkeypatch, capsys):
    for name in ("one.png", "two.png"):
        Image.new("RGB", (90, 60), "red").save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    code, (ready, *answers, last) = answers_of(trained_run, [{"images": [str(tmp_path)]}], monkeypatch, capsys)
    assert code == 0
    assert (ready["task"], ready["names"]) == ("detect", ["circle", "square", "triangle"])
    assert last == {"finished": 3}
    seen = [(a.get("image") or a["skipped"]).rpartition("/")[2] for a in answers]
    assert seen == ["broken.png", "one.png", "two.png"]
    assert "cannot be read" in answers[0]["message"]
    assert (answers[1]["width"], answers[1]["height"], answers[1]["total"]) == (90, 60, 3)
    assert all(one["score"] >= 0.01 for one in answers[1]["found"])


def test_an_older_request_gives_way_and_an_empty_folder_is_said(trained_run, tmp_path, monkeypatch, capsys):
    requests = [{"images": [str(tmp_path)]}, {"cancel": True}]
    code, (_ready, said, first, second) = answers_of(trained_run, requests, monkeypatch, capsys)
    assert code == 0
    assert "no image in this folder" in said["message"]
    assert first == second == {"finished": 0}


def test_the_predictor_says_why_it_cannot(tmp_path, detector, monkeypatch, capsys):
    run = RunFolder.create(tmp_path, detector.data)
    code, (said,) = answers_of(run, [], monkeypatch, capsys)
    assert code == 2
    assert "no checkpoint yet" in said["error"]


def test_speed_is_measured(trained_run, monkeypatch):
    monkeypatch.setattr("designer.train.speed.SECONDS", 0.1)
    fast = measure_speed(load_trained(trained_run, "cpu"), batch=2)
    assert 0 < fast["latency_p50_ms"] <= fast["latency_p95_ms"]
    assert fast["images_per_s"] > 0
    assert (fast["device"], fast["threads"]) == ("cpu", torch.get_num_threads())
