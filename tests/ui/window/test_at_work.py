"""A run at work while the user looks at others: it goes on, its end is told, and what was begun elsewhere is seen."""

import os
import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from designer.train.events import EventWriter
from designer.train.queue import put_in_queue, remove_from_queue
from designer.train.run import record_process
from designer.train.run_list import RunList, move_to_trash
from designer.ui.run_bar import RunBar, run_title
from designer.ui.runs_model import RunsModel, state_of
from tests.ui.window.support import made

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def training(quiet_window, qtbot):
    """A window whose first run is at work, shown in the Train tab, beside one that has ended."""
    window = quiet_window
    window.open_quick_start()
    old = made(window.workspace.runs_folder, "old")
    work = made(window.workspace.runs_folder, "work", ended=False)
    record_process(work, os.getpid())
    window.show_tab(window.train)
    window.train.show_run(work)
    assert window.train.watch.state == "running"
    return window, old, work


def choose(window, run, qtbot):
    """Pick a run from the list of the Train tab with the keyboard."""
    box = window.train.bar.runs
    place = box.findData(str(run.path))
    assert place >= 0, [box.itemText(i) for i in range(box.count())]
    box.setFocus()
    key = Qt.Key.Key_Down if place > box.currentIndex() else Qt.Key.Key_Up
    for _ in range(abs(place - box.currentIndex())):
        QTest.keyClick(box, key)
    qtbot.waitUntil(lambda: window.train.watch.run.path == run.path)


def test_another_run_can_be_looked_at_while_one_is_trained(training, qtbot):
    """It was replaced by the run at work two seconds later."""
    window, old, work = training
    dock = window.train
    choose(window, old, qtbot)
    dock.advance_queue()
    assert dock.watch.run.path == old.path
    assert dock.busy
    assert window.train_button.text() == "Training…"
    for button in (dock.bar.start, dock.bar.resume, dock.bar.stop, dock.bar.pause):
        assert not button.isVisible()  # a second trainer would fight with the first
    qtbot.mouseClick(window.train_button, LEFT)
    assert "is being trained" in window.messages.text()
    qtbot.mouseClick(dock.bar.back, LEFT)
    assert dock.watch.run.path == work.path
    assert dock.bar.stop.isVisible()
    assert not dock.bar.back.isVisible()


def test_the_end_of_a_run_is_told_while_another_is_on_show(training, qtbot):
    window, old, work = training
    choose(window, old, qtbot)
    writer = EventWriter(work.events_path)
    writer.write("finished", step=8, epoch=2, values={})
    writer.close()
    qtbot.waitUntil(lambda: f"Training of {run_title(work.path.name)} is finished" in window.messages.text())
    assert window.train.watch.run.path == old.path
    assert not window.train.busy
    assert window.train_button.text() == "Train"
    assert window.train.bar.start.isVisible()
    # It was begun elsewhere: an export would join its weights to the document in front.
    assert [made.text().strip() for made in window.messages.buttons()] == ["Show the run"]


def test_a_run_that_ended_long_ago_is_shown_without_a_message(training, qtbot):
    window, old, work = training
    writer = EventWriter(work.events_path)
    writer.write("stopped", step=8)
    writer.close()
    qtbot.waitUntil(lambda: "was stopped" in window.messages.text())
    window.messages.dismiss()
    work.process_path.unlink()
    choose(window, old, qtbot)
    choose(window, work, qtbot)
    assert window.train.watch.state == "stopped"
    assert window.messages.text() == ""


def test_runs_of_a_terminal_are_listed_and_deleted_ones_are_not(training, qtbot):
    window, old, work = training
    box = window.train.bar.runs
    assert box.count() == 2
    terminal = made(old.path.parent, "terminal")
    window.train.advance_queue()
    assert box.findData(str(terminal.path)) >= 0
    assert box.currentData() == str(work.path)
    work.process_path.unlink()
    qtbot.waitUntil(lambda: not window.train.busy, timeout=5_000)
    choose(window, terminal, qtbot)
    move_to_trash(terminal)
    window.train.advance_queue()
    assert box.findData(str(terminal.path)) < 0
    assert window.train.watch.run.path in (old.path, work.path)


def test_what_was_taken_out_of_the_queue_has_not_broken_off(home):
    run = made(home / "runs", "waits", ended=False)
    run.events_path.unlink()
    put_in_queue(run)
    other = made(home / "runs", "begun")
    model, runs = RunsModel(), RunList()
    model.show(runs.read(home / "runs"), [run.path.name])
    place = model.row_of(run.path)
    assert model.data(model.index(place, 1)) == "Queued (1)"
    # By the start it stands with the newest, not behind all.
    keys = {
        path: model.data(model.index(model.row_of(path), 4), Qt.ItemDataRole.UserRole)
        for path in (run.path, other.path)
    }
    assert keys[run.path] > keys[other.path] > time.time() - 600
    remove_from_queue(run.path.parent, run.path.name)
    model.show(runs.read(home / "runs"))
    assert model.data(model.index(model.row_of(run.path), 1)) == "Not begun"
    assert state_of(model.infos[model.row_of(run.path)]) == "idle"


@pytest.mark.parametrize(("before", "after", "first", "then"), [
    ("running", "paused", "pause", "resume"), ("paused", "running", "resume", "pause"),
    ("running", "stopped", "stop", "start"),
])  # fmt: skip
def test_the_keyboard_goes_to_the_button_in_the_place_of_one_that_is_gone(qtbot, home, before, after, first, then):
    """After Pause it stood on Stop, which a second press of the space bar would have pressed."""
    bar = RunBar()
    qtbot.addWidget(bar)
    bar.resize(680, 80)
    bar.show()
    qtbot.waitExposed(bar)
    bar.activateWindow()
    qtbot.waitUntil(bar.isActiveWindow)
    bar.show_state(before, {})
    getattr(bar, first).setFocus()
    bar.show_state(after, {})
    assert QApplication.focusWidget() is getattr(bar, then)


def test_what_a_run_does_is_read_whole_beside_its_buttons_in_a_small_window(qtbot, home):
    bar = RunBar()
    qtbot.addWidget(bar)
    bar.resize(686, 80)  # in a window of 1280 px
    bar.show()
    qtbot.waitExposed(bar)
    last = {
        "start": {"epochs": 100, "batches": 10, "device": "cuda:0"},
        "step": {"epoch": 9, "step": 100, "images_per_s": 1234.5, "eta_s": 5000},
        "metrics": {"values": {"map50": 0.713}},
    }
    bar.show_state("running", last)
    QApplication.processEvents()
    assert bar.state.text() == bar.state.full_text() == "Training · epoch 10 of 100 · mAP50 0.713"
    assert bar.facts.text() == bar.facts.full_text()
    high = bar.sizeHint().height()
    bar.show_state("paused", last)
    assert bar.sizeHint().height() == high
