"""The Predict tab with a real model in a real process: images in, boxes drawn, a threshold that needs no new run."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QColor, QDropEvent, QImage

from designer.graph.templates import load_template
from designer.train.loop import Trainer
from designer.train.quality import overlaps
from designer.train.run import RunFolder
from designer.ui.message_bar import MessageBar
from designer.ui.predict_panel import PredictPanel
from designer.ui.predict_view import PredictView, drawn
from tests.train.test_video import draw_video
from tests.ui.window.support import small


@pytest.fixture
def panel(home, qtbot):
    document = small(load_template("quick-start"))
    document.set_data(train_images=2, val_images=1)
    run = RunFolder.create(home / "runs", document.data, "mine")
    Trainer(run).train()
    bar = MessageBar()
    made = PredictPanel(bar)
    qtbot.addWidget(bar)
    qtbot.addWidget(made)
    made.resize(980, 260)
    made.set_folder(home / "runs")
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.link.stop()


@pytest.mark.slow
def test_a_dropped_folder_is_predicted_saved_and_cancelled(panel, qtbot, home):
    folder = home / "photos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (120, 80), "teal").save(folder / f"{name}.png")
    (folder / "d.png").write_bytes(b"no picture")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    buttons, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    panel.dropEvent(QDropEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, buttons, none))
    assert panel.cancel.isVisible()
    qtbot.waitUntil(lambda: panel.cancel.isHidden(), timeout=60_000)
    assert [result["image"].rpartition("/")[2] for result in panel.results] == ["a.png", "b.png", "c.png"]
    assert panel.state.full_text() == "3 predicted, 1 skipped"
    assert "d.png" in panel._messages.text()
    panel.threshold.setValue(1)
    lowest = [panel.list.item(i).text() for i in range(3)]
    panel.threshold.setValue(99)
    assert [panel.list.item(i).text().rpartition(" ")[2] for i in range(3)] == ["0", "0", "0"]
    assert lowest[0].startswith("a.png")
    panel.save_coco_to(home / "coco.json")
    assert len(json.loads((home / "coco.json").read_text())["images"]) == 3
    before = (folder / "a.png").read_bytes()
    panel.save_images_to(folder)
    qtbot.waitUntil(lambda: "images in" in panel.state.full_text(), timeout=10_000)
    assert QImage(str(folder / "a-1.png")).width() == 120
    assert (folder / "a.png").read_bytes() == before  # the user's own picture, drawn over before
    panel.predict([folder] * 40)
    qtbot.waitUntil(lambda: len(panel.results) > 0, timeout=20_000)
    qtbot.mouseClick(panel.cancel, Qt.MouseButton.LeftButton)
    before = len(panel.results)
    qtbot.wait(300)
    assert len(panel.results) == before < 100
    panel.predict([folder / "a.png"])  # the same process goes on
    qtbot.waitUntil(lambda: panel.state.full_text() == "1 predicted", timeout=20_000)


def test_what_has_no_weights_or_camera_is_said(home, qtbot, tmp_path, monkeypatch):
    bar = MessageBar()
    panel = PredictPanel(bar)
    qtbot.addWidget(bar)
    qtbot.addWidget(panel)
    panel.set_folder(home / "runs")
    panel.show()
    assert panel.runs.currentText() == "Train this model first"
    assert not panel.choose.isEnabled()
    panel.predict([tmp_path / "clip.mp4"])
    assert not panel.link.busy
    monkeypatch.setattr("designer.ui.predict_panel.cameras", list)
    panel.choose_camera.setEnabled(True)
    qtbot.mouseClick(panel.choose_camera, Qt.MouseButton.LeftButton)
    assert "No camera is connected" in bar.text()


@pytest.mark.slow
def test_a_dropped_video_plays_and_is_written(panel, qtbot, home):
    path = draw_video(home / "clip.mp4", frames=600)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    buttons, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    panel.dropEvent(QDropEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, buttons, none))
    video, seen = panel.video, []
    panel.link.moving.connect(lambda answer: seen.append(answer.get("frame")) if "jpeg" in answer else None)
    qtbot.waitUntil(lambda: len(seen) >= 3, timeout=60_000)
    assert panel.list.isHidden()
    assert "ms" in video.facts.full_text()
    qtbot.mouseClick(video.play, Qt.MouseButton.LeftButton)
    count = -1
    while count != len(seen):  # frames that were under way; one that plays never rests for a second
        count = len(seen)
        qtbot.wait(1000)
    stands = seen[-1]
    qtbot.mouseClick(video.forward, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: seen[-1] == stands + 1, timeout=30_000)
    qtbot.keyClick(panel, ",")
    qtbot.waitUntil(lambda: seen[-1] == stands, timeout=30_000)
    video.place.setValue(500)
    qtbot.waitUntil(lambda: seen[-1] == 500, timeout=30_000)
    assert video.clock.text() == "0:41.7 / 0:50.0"
    video.save_to(home / "found.jsonl")
    qtbot.waitUntil(lambda: "Writing " in panel.state.full_text(), timeout=60_000)
    assert panel.progress.isVisible()
    assert not panel.save_video.isEnabled()
    qtbot.mouseClick(panel.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: seen[-1] == 0, timeout=60_000)  # it is open again, and stands at its beginning
    assert 0 < len((home / "found.jsonl").read_text().splitlines()) < 600
    (home / "broken.mp4").write_text("no video")
    panel.predict([home / "broken.mp4"])
    qtbot.waitUntil(lambda: "no frame can be decoded" in panel._messages.text(), timeout=20_000)
    assert panel.cancel.isHidden()
    Image.new("RGB", (30, 30)).save(home / "a.png")
    panel.predict([home / "a.png"])
    qtbot.waitUntil(lambda: panel.state.full_text() == "1 predicted", timeout=20_000)
    assert video.isHidden()
    assert panel.list.isVisible()


def test_boxes_and_masks_are_drawn_above_the_threshold(home, qtbot, tmp_path):
    import base64
    import io

    import numpy as np

    Image.new("RGB", (100, 50), "white").save(tmp_path / "white.png")
    mask = np.zeros((50, 100), bool)
    mask[20:30, 60:80] = True
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    found = [
        {"class": "cat", "label": 0, "score": 0.9, "box": [5, 25, 45, 45]},
        {"class": "dog", "label": 1, "score": 0.3, "box": [55, 15, 85, 35], "picture": picture},
    ]
    result = {"image": str(tmp_path / "white.png"), "width": 100, "height": 50, "found": found}
    white = QColor("white")
    both, one = drawn(result, 0.2), drawn(result, 0.5)
    assert both.pixelColor(70, 25) != white  # inside the mask
    assert both.pixelColor(70, 33) == white  # inside the box, outside the mask
    assert one.pixelColor(70, 25) == white
    assert one.pixelColor(25, 45) != white  # the edge of the surer box
    view = PredictView()
    qtbot.addWidget(view)
    view.resize(208, 108)
    view.show_result(result)
    view.set_limits(0.5)
    grabbed = view.grab().toImage()
    assert grabbed.pixelColor(4 + 140, 4 + 50) == white
    scores = [{"class": "cat", "label": 0, "score": 0.9}, {"class": "dog", "label": 1, "score": 0.1}]
    assert drawn({**result, "found": scores}, 0.5).pixelColor(12, 12) != white


def test_of_two_boxes_that_overlap_the_surer_is_shown_and_saved(home, qtbot, tmp_path):
    Image.new("RGB", (100, 50), "white").save(tmp_path / "white.png")
    boxes = (
        (0, 0.9, [10, 10, 30, 40]),
        (0, 0.6, [13, 10, 33, 40]),
        (1, 0.5, [12, 10, 32, 40]),
        (0, 0.4, [60, 10, 90, 40]),
    )
    found = [{"class": "cat", "label": label, "score": score, "box": box} for label, score, box in boxes]
    result = {
        "image": str(tmp_path / "white.png"),
        "width": 100,
        "height": 50,
        "found": found,
        "done": 1,
        "total": 1,
        "ms": 1,
    }
    bar = MessageBar()
    panel = PredictPanel(bar)
    qtbot.addWidget(bar)
    qtbot.addWidget(panel)
    panel.resize(980, 260)
    panel.show()
    qtbot.waitExposed(panel)
    panel.link.ready.emit({"names": ["cat", "dog"], "task": "detect"})
    panel.link.answered.emit(result)
    panel.link.finished.emit()
    assert panel.list.item(0).text() == "white.png  ·  4"
    panel.overlap.setFocus()
    qtbot.keyClick(panel.overlap, Qt.Key.Key_Home)
    for _ in range(65):
        qtbot.keyClick(panel.overlap, Qt.Key.Key_Right)
    assert panel.most.text() == "0.70"
    first, second = (np.array([box], float) for _, _, box in boxes[:2])
    assert overlaps(first, second).item() == pytest.approx(17 / 23)
    assert panel.list.item(0).text() == "white.png  ·  3"  # of another class is another object
    panel.save_coco_to(home / "coco.json")
    saved = json.loads((home / "coco.json").read_text())["annotations"]
    assert [one["score"] for one in saved] == [0.9, 0.5, 0.4]
    panel.link.ready.emit({"names": ["cat", "dog"], "task": "classify"})
    assert not panel.overlap.isVisible()


@pytest.mark.slow
def test_another_run_answers_for_the_same_images(panel, qtbot, home):
    document = small(load_template("quick-start"))
    document.set_data(train_images=2, val_images=1)
    second = RunFolder.create(home / "runs", document.data, "second")
    Trainer(second).train()
    Image.new("RGB", (120, 80), "teal").save(home / "a.png")
    panel.list_runs()
    panel.runs.setCurrentIndex(panel.runs.findData(str(second.path)))
    panel.predict([home / "a.png"])
    qtbot.waitUntil(lambda: panel.state.full_text() == "1 predicted", timeout=60_000)
    before = panel.results[0]
    panel.runs.setFocus()
    place = panel.runs.currentIndex()
    qtbot.keyClick(panel.runs, Qt.Key.Key_Down if place == 0 else Qt.Key.Key_Up)
    assert panel.runs.currentIndex() != place
    assert "Loading" in panel.state.full_text() or "Predicting" in panel.state.full_text()
    qtbot.waitUntil(lambda: panel.state.full_text() == "1 predicted", timeout=60_000)
    assert panel.results[0] is not before
    assert panel.results[0]["image"] == before["image"]


def test_classes_of_pixels_are_seen_through_by_an_opacity(home, qtbot):
    """Left half background, right half a class; the slider is no threshold then, and indices are saved."""
    levels = Image.new("L", (400, 200), 0)
    levels.paste(2, (200, 0, 400, 200))
    buffer = io.BytesIO()
    levels.save(buffer, "PNG")
    Image.new("RGB", (400, 200)).save(home / "dark.png")
    rows = [{"class": name, "label": label, "score": 0.5} for name, label in (("background", 0), ("road", 2))]
    result = {
        "image": str(home / "dark.png"), "width": 400, "height": 200, "found": rows,
        "classes": base64.b64encode(buffer.getvalue()).decode(), "done": 1, "total": 1, "ms": 1.0,
    }  # fmt: skip
    bar = MessageBar()
    panel = PredictPanel(bar)
    for made in (bar, panel):
        qtbot.addWidget(made)
    panel.show()
    panel._show_state("", working=True)
    panel._on_ready({"task": "semantic", "names": ["background", "car", "road"]})
    panel._on_answered(result)
    panel._on_finished()
    assert panel.meaning.text() == "Opacity"
    assert panel.list.item(0).text() == "dark.png  ·  road 50%"
    faint, strong = (drawn(result, opacity).pixelColor(399, 199) for opacity in (0.2, 0.9))
    assert 0 < faint.value() < strong.value()
    assert drawn(result, 0.9).pixelColor(0, 199).value() == 0
    panel.save_classes_to(home)
    assert Image.open(home / "dark-classes.png").getpixel((300, 5)) == 2
    panel._show_task("detect")
    assert panel.meaning.text() == "Lowest score"
    assert panel.threshold.value() == 25
