"""A run is started, followed, steered and found again from the window, with the real trainer."""

import os
import signal

import psutil
import pytest
from PySide6.QtCore import Qt

from designer.graph.templates import load_template
from designer.train.run import RunFolder, process_of
from designer.ui.run_bar import run_title
from designer.ui.run_watch import runs_in
from designer.ui.train_dock import TrainDock
from tests.ui.window.support import STEPS, small, steps


@pytest.fixture
def dock(home, qtbot):
    made = TrainDock()
    qtbot.addWidget(made)
    made.resize(980, 260)
    made.set_document(small(load_template("quick-start")), home / "runs")
    made.show()
    qtbot.waitExposed(made)
    yield made
    process = process_of(made.watch.run) if made.watch.run is not None else None
    if process is not None:
        process.kill()


def test_twenty_steps_are_seen_on_the_curve(dock, qtbot):
    states = []
    dock.state_changed.connect(states.append)
    dock.start()
    qtbot.waitUntil(lambda: steps(dock) >= 20, timeout=60_000)
    qtbot.waitUntil(lambda: dock.watch.state == "finished", timeout=60_000)
    assert states == ["starting", "running", "finished"]
    assert dock.curves.loss.series["loss"].x[:20] == list(range(1, 21))
    assert set(dock.curves.metrics.series) == {"map50", "map"}
    assert dock.bar.progress.value() == dock.bar.progress.maximum()
    assert "images/s" in dock.bar.facts.full_text()
    assert "mAP50" in dock.bar.state.full_text()


@pytest.mark.slow
def test_a_killed_trainer_is_said_and_resumed_with_the_curve_joined(dock, qtbot):
    small(dock._document, epochs=3)
    said = []
    dock.run_ended.connect(lambda state, text: said.append((state, text)))
    dock.start()
    qtbot.waitUntil(lambda: "checkpoint" in dock.watch.last and steps(dock) > STEPS + 2, timeout=90_000)
    os.kill(dock.trainer_pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(said), timeout=10_000)
    assert said[0][0] == "died"
    assert "ended unexpectedly" in said[0][1]
    assert "Resume goes on from the last checkpoint" in said[0][1]
    assert dock.bar.resume.isVisible()
    qtbot.mouseClick(dock.bar.resume, Qt.MouseButton.LeftButton)
    assert dock.watch.state == "starting"
    qtbot.waitUntil(lambda: dock.watch.state == "finished", timeout=90_000)
    seen = dock.curves.loss.series["loss"].x
    assert seen == sorted(set(seen))
    assert seen[-1] == 3 * STEPS
    assert dock.curves.metrics.series["map50"].x == [1, 2, 3]


def test_pause_resume_stop_from_the_buttons(dock, qtbot):
    small(dock._document, epochs=200)
    dock.start()
    qtbot.waitUntil(lambda: dock.watch.state == "running" and steps(dock) > 0, timeout=60_000)
    qtbot.mouseClick(dock.bar.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.watch.state == "paused", timeout=20_000)
    before = steps(dock)
    qtbot.wait(500)
    assert steps(dock) == before
    qtbot.mouseClick(dock.bar.resume, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.watch.state == "running" and steps(dock) > before, timeout=20_000)
    with qtbot.waitSignal(dock.said, timeout=20_000) as said:
        qtbot.mouseClick(dock.bar.save, Qt.MouseButton.LeftButton)
    assert "is saved" in said.args[0]
    assert dock.watch.run.last_path.is_file()
    qtbot.mouseClick(dock.bar.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.watch.state == "stopped", timeout=20_000)
    assert dock.bar.start.isVisible()
    assert not dock.bar.save.isVisible()
    assert dock.bar.resume.isVisible()


def test_a_window_that_comes_back_finds_its_run(dock, qtbot):
    small(dock._document, epochs=200)
    run = dock.start()
    qtbot.waitUntil(lambda: steps(dock) > 2, timeout=60_000)
    again = TrainDock()
    qtbot.addWidget(again)
    again.show()
    again.set_document(load_template("quick-start"), run.path.parent)
    assert again.watch.run.path == run.path
    assert again.watch.state == "running"
    assert again.bar.runs.currentText() == run_title(run.path.name)
    qtbot.waitUntil(lambda: steps(again) > 2, timeout=20_000)
    before = steps(again)
    qtbot.waitUntil(lambda: steps(again) > before, timeout=20_000)
    assert psutil.pid_exists(dock.trainer_pid)


def test_bad_data_is_said_in_words(dock, qtbot):
    dock._document.set_data(kind="yolo", path="/nowhere/data.yaml")
    said = []
    dock.run_ended.connect(lambda state, text: said.append((state, text)))
    dock.start()
    qtbot.waitUntil(lambda: bool(said), timeout=60_000)
    assert said[0][0] == "failed"
    assert "/nowhere/data.yaml" in said[0][1]
    assert "Traceback" not in said[0][1]


def test_the_form_writes_into_the_document_and_follows_undo(dock, qtbot):
    document = dock._document
    form = dock.form
    epochs = form.editors["epochs"].focusProxy()
    epochs.selectAll()
    qtbot.keyClicks(epochs, "7")
    qtbot.keyClick(epochs, Qt.Key.Key_Return)
    assert document.data.training.epochs == 7
    document.undo()
    form.refresh()
    assert form.editors["epochs"].value() != 7
    form.kind.setCurrentIndex(form.kind.findData("coco"))
    assert document.data.data.kind == "coco"
    assert form.path.isVisible()
    qtbot.keyClicks(form.path, "/data/signs")
    qtbot.keyClick(form.path, Qt.Key.Key_Return)
    assert document.data.data.path == "/data/signs"
    form.image.edited.emit(96)
    assert {n.params["width"] for n in document.data.nodes if n.component == "io.image_input"} == {96}
    qtbot.mouseClick(form.more, Qt.MouseButton.LeftButton)
    assert form.editors["weight_decay"].isVisible()


def test_runs_are_listed_newest_first(home):
    document = load_template("quick-start")
    first = RunFolder.create(home / "runs", document.data, "a")
    second = RunFolder.create(home / "runs", document.data, "b")
    os.utime(first.path, (1, 1))
    assert [run.path for run in runs_in(home / "runs")] == [second.path, first.path]
    assert run_title("street-signs-20260131-142500") == "street-signs · 31 Jan 14:25:00"
    assert run_title("street-signs-20260131-142507-2") == "street-signs · 31 Jan 14:25:07 (2)"
    assert run_title("yolo-2-20260131-142507") == "yolo-2 · 31 Jan 14:25:07"
    assert run_title("by-hand") == "by-hand"
