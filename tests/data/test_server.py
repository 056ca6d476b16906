"""The process that looks at data for the window, by its lines: lists, thumbnails, pictures, checks, previews."""

import base64
import io
import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from designer.data.dataset import load_dataset
from designer.data.worker import Worker
from designer.graph.training import DataSettings, TrainingSettings
from tests.data.odd_images import odd_data

SIZE = [96, 128]


class Child:
    """The process, asked and read line by line."""

    def __init__(self, folder):
        folder.mkdir()
        command = [sys.executable, "-m", "designer.data.server", "--folder", str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.data = 0

    def ask(self, what, **request):
        self.data += what == "open"
        self.process.stdin.write(json.dumps({"do": what, "data": self.data, **request}) + "\n")
        self.process.stdin.flush()

    def until(self, key):
        """Answers up to the one that has this key."""
        found = []
        while not found or key not in found[-1]:
            found.append(json.loads(self.process.stdout.readline()))
            assert "failed" not in found[-1] or key == "failed", found[-1]
        return found

    def open(self, settings, task="detect"):
        self.ask("open", settings=settings.model_dump(), seed=0, size=SIZE, task=task)
        answers = self.until("opened")
        return [row for answer in answers[:-1] for row in answer["rows"]], answers[-1]["opened"]


@pytest.fixture
def child(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Child(tmp_path / "handed over")
    yield made
    made.process.kill()
    made.process.wait()


def pixels(answer, shape):
    with open(answer["file"], "rb") as file:
        return np.frombuffer(file.read(), np.uint8)[: np.prod(shape)].reshape(shape)


def test_all_that_the_window_asks_of_odd_files(child, tmp_path):
    root = odd_data(tmp_path / "data")
    settings = DataSettings(kind="yolo", path=str(root))
    rows, about = child.open(settings)
    names = [row[0].rpartition("/")[2] for row in rows]
    assert names == [
        "a plain.jpg",
        "deep.png",
        "grey.png",
        "löwe 獅子.png",
        "turned.jpg",
        "unlabelled.png",
        "v0.png",
        "v1.png",
    ]
    assert [row[1:] for row in rows[1:2] + rows[5:7]] == [["train", [0, 1]], ["train", []], ["val", [1]]]
    assert (about["train"], about["val"], about["names"], about["refused"]) == (6, 2, ["cat", "dog"], None)

    child.ask("thumbs", rows=[7, 0, 3])
    for wanted in (7, 0, 3):
        (answer,) = child.until("thumb")
        assert answer["thumb"] == wanted
        assert Image.open(io.BytesIO(base64.b64decode(answer["picture"]))).size == (80, 60)

    child.ask("picture", row=1, label=None)
    (answer,) = child.until("picture")
    assert [one["box"] for one in answer["objects"]] == [[10, 15, 30, 45], [50, 22.5, 70, 37.5]]
    stored = np.array(Image.open(root / "images" / "train" / "deep.png")) // 257
    assert np.array_equal(pixels(answer, (60, 80, 3))[..., 1], stored)
    child.ask("picture", row=4, label=None)
    (answer,) = child.until("picture")
    assert answer["shown"] == [80, 60]  # as it lies in the file, as training sees it

    child.ask("summary", stride=8)
    part = child.until("summary")[-1]["summary"]["parts"]["train"]
    assert (part["by_class"], part["empty"], np.sum(part["sides"]), np.sum(part["places"])) == ([5, 1], 1, 6, 6)

    child.ask("check")
    answers = child.until("report")
    found = {f["file"].rpartition("/")[2] for a in answers for f in a.get("findings", ())}
    assert found == {"turned.jpg", "unlabelled.png", "stray.txt"}
    assert (answers[-1]["report"]["images"], answers[-1]["report"]["errors"]) == (8, 0)

    training = TrainingSettings(epochs=30, close_mosaic=0, mosaic=1.0, rotate=10.0, seed=0)
    child.ask("preview", number=1, training=training.model_dump(), places=[[2, 5], [5, 0]])
    truth = load_dataset(settings, (SIZE[0], SIZE[1]), "detect", training).train
    for number, epoch in ((2, 5), (5, 0)):
        (answer,) = child.until("preview")
        truth.epoch.fill_(epoch)
        item = truth[number]
        assert np.array_equal(pixels(answer, (*SIZE, 3)), item.image.permute(1, 2, 0).numpy())
        assert np.allclose([one["box"] for one in answer["objects"]], item.boxes.numpy(), atol=0.06)

    child.process.stdin.close()  # as when the window has died
    assert child.process.wait(10) == 0
    assert not (tmp_path / "handed over").exists()


def test_data_that_training_refuses_is_listed_and_its_bad_row_is_found(child, tmp_path):
    root = odd_data(tmp_path / "data")
    label = root / "labels" / "train" / "deep.txt"
    label.write_text("0 0.25 0.5 0.25 0.5\n5 0.9 0.5 0.4 0.5\n")
    rows, about = child.open(DataSettings(kind="yolo", path=str(root)))
    assert len(rows) == 8
    assert (about["refused"]["file"], about["refused"]["line"]) == (str(label), 2)
    child.ask("picture", row=1, label=[str(label), 2])
    (answer,) = child.until("picture")
    assert [one["name"] for one in answer["objects"]] == ["cat"]
    assert answer["bad"] == [56, 15, 88, 45]
    child.ask(
        "open", settings=DataSettings(kind="coco", path=str(tmp_path / "none")).model_dump(), seed=0, size=SIZE, task=""
    )
    assert "no such file" in child.until("opened")[-1]["opened"]["refused"]["what"]


def test_drawn_shapes_class_folders_and_masks(child, tmp_path):
    rows, about = child.open(DataSettings(train_images=3, val_images=2), "segment")
    assert (len(rows), about["names"]) == (5, ["circle", "square", "triangle"])
    child.ask("preview", number=1, training=TrainingSettings().model_dump(), places=[[1, 0]])
    (answer,) = child.until("preview")
    owners = np.fromfile(answer["file"], np.uint8)[3 * SIZE[0] * SIZE[1] :].reshape(answer["owners"])
    assert set(np.unique(owners)) == set(range(len(answer["objects"]) + 1))

    for name in ("a", "b"):
        for i in range(5):
            path = tmp_path / "classes" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (i * 40, 9, 200 if name == "a" else 20)).save(path)
    rows, about = child.open(DataSettings(kind="folder", path=str(tmp_path / "classes"), val_share=0.3), "classify")
    assert (about["train"], about["val"]) == (7, 3)
    child.ask("preview", number=2, training=TrainingSettings(mixup=1.0).model_dump(), places=[[0, 0]])
    (answer,) = child.until("preview")
    assert sum(int(one["name"].split()[1].removesuffix("%")) for one in answer["objects"]) == pytest.approx(100, abs=1)

    for i in range(4):
        for kind in ("images", "masks"):
            (tmp_path / "maps" / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (i * 40, 9, 20)).save(tmp_path / "maps" / "images" / f"{i}.png")
        mask = np.zeros((30, 40), np.uint8)
        mask[5:15, 5:20], mask[20:, :] = 1, 255
        Image.fromarray(mask).save(tmp_path / "maps" / "masks" / f"{i}.png")
    (tmp_path / "maps" / "classes.txt").write_text("background\nroad\n")
    child.open(DataSettings(kind="masks", path=str(tmp_path / "maps")), "semantic")
    child.ask("picture", row=0, label=None)
    (answer,) = child.until("picture")
    owners = np.fromfile(answer["file"], np.uint8)[3 * 30 * 40 :].reshape(30, 40)
    assert (owners[10, 10], owners[0, 0], owners[25, 5], answer["labels"]) == (2, 1, 0, [-1, 1])
    plain = TrainingSettings(flip=0, jitter=0)
    child.ask("preview", number=3, training=plain.model_dump(), places=[[0, 0]])
    (answer,) = child.until("preview")
    assert [one["name"] for one in answer["objects"]] == ["road"]


def test_a_worker_does_the_newest_of_each_kind_and_the_urgent_first():
    begun, going, done = threading.Event(), threading.Event(), []

    def slow(request):
        done.append(("slow", request))
        begun.set()
        going.wait(5)

    worker = Worker({"urgent": lambda r: done.append(("urgent", r)), "slow": slow})
    worker.start()
    worker.ask("slow", 1)
    assert begun.wait(5)
    worker.ask("slow", 2)
    worker.ask("slow", 3)
    worker.go_on("slow", 1)
    worker.ask("urgent", 4)
    going.set()
    end = time.monotonic() + 5
    while len(done) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert done == [("slow", 1), ("urgent", 4), ("slow", 3)]
