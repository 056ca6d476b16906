"""The list of runs, their notes, the trash, and the queue, with real trainers where one has to run."""

import json
import os
import time

import pytest

from designer.train.events import EventWriter
from designer.train.queue import move_in_queue, put_in_queue, queue_of, remove_from_queue, start_next
from designer.train.run import RunError, RunFolder, is_alive, record_process, start_training
from designer.train.run_list import (
    RunList,
    compare_settings,
    empty_trash,
    in_trash,
    move_to_trash,
    read_note,
    restore,
    run_info,
    write_note,
)
from tests.train.test_training import events_of


def told(root, data, name, *events):
    """A run that said these events."""
    run = RunFolder.create(root, data, name)
    writer = EventWriter(run.events_path)
    for kind, fields in events:
        writer.write(kind, **fields)
    writer.close()
    return run


START = ("start", {"device": "cpu", "epochs": 4, "batches": 2})


def evaluation(epoch, value):
    return "metrics", {"epoch": epoch, "step": epoch, "values": {"map": value, "map50": value + 0.1}}


def test_a_run_at_a_glance(tmp_path, detector):
    detector.set_training(epochs=4)
    done = told(
        tmp_path, detector.data, "done", START, evaluation(0, 0.3), evaluation(1, 0.5), evaluation(3, 0.4),
        ("finished", {"step": 8, "epoch": 4, "values": {}}),
    )  # fmt: skip
    info = run_info(done)
    assert (info.state, info.metric, info.best, info.epoch, info.epochs) == ("finished", "map", 0.5, 4, 4)
    assert (info.name, info.device, len(info.document)) == ("Tiny detector", "cpu", 12)
    assert info.matches("done CPU")
    assert not info.matches("done elsewhere")
    dead = told(tmp_path, detector.data, "dead", START, ("step", {"step": 3, "epoch": 1, "loss": 1.0}))
    assert (run_info(dead).state, run_info(dead).epoch) == ("died", 1)
    record_process(dead, os.getpid())
    assert run_info(dead).state == "running"
    record_process(done, os.getpid())
    assert run_info(done).state == "starting"
    with done.events_path.open("a") as file:
        file.write(
            json.dumps({"type": "finished", "time": time.time() + 1, "step": 8, "epoch": 4, "values": {}}) + "\n"
        )
    assert run_info(done).state == "finished", "its end was told; the process is leaving"
    failed = told(tmp_path, detector.data, "failed", ("error", {"message": "no data"}))
    assert run_info(failed).state == "failed"
    with done.events_path.open("a") as file:
        file.write('{"type": "metr')
    assert run_info(done).state == "finished"


def test_the_list_is_newest_first_and_follows_the_folder(tmp_path, detector):
    runs = RunList()
    assert runs.read(tmp_path / "nowhere") == []
    first = told(tmp_path, detector.data, "first", START)
    time.sleep(0.02)
    second = told(tmp_path, detector.data, "second", START)
    (tmp_path / "no run").mkdir()
    assert [info.path for info in runs.read(tmp_path)] == [second.path, first.path]
    write_note(first, "the baseline")
    writer = EventWriter(second.events_path)
    writer.write("stopped", step=1, epoch=0)
    writer.close()
    assert [(i.state, i.note) for i in runs.read(tmp_path)] == [("stopped", ""), ("died", "the baseline")]
    record_process(first, os.getpid())
    assert [i.state for i in runs.read(tmp_path)] == ["stopped", "running"]
    first.process_path.unlink()
    assert runs.read(tmp_path)[1].state == "died"
    write_note(first, "  ")
    assert read_note(first) == ""
    assert not first.note_path.exists()


def test_a_deleted_run_comes_back_from_the_trash(tmp_path, detector):
    run = told(tmp_path, detector.data, "run", START)
    record_process(run, os.getpid())
    with pytest.raises(RunError, match="Stop it first"):
        move_to_trash(run)
    run.process_path.unlink()
    put_in_queue(run)
    thrown = move_to_trash(run)
    assert queue_of(tmp_path) == []
    assert RunList().read(tmp_path) == []
    assert in_trash(tmp_path) == 1
    assert restore(thrown).path == run.path
    assert run_info(run).name == "Tiny detector"
    move_to_trash(run)
    empty_trash(tmp_path)
    assert in_trash(tmp_path) == 0
    assert not run.path.exists()


def test_settings_that_differ_are_a_table(tmp_path, detector):
    a = told(tmp_path, detector.data, "a")
    detector.set_training(epochs=9)
    detector.set_data(classes=2)
    b = told(tmp_path, detector.data, "b")
    assert compare_settings([run_info(a), run_info(b)]) == [("epochs", ["2", "9"]), ("classes", ["3", "2"])]
    made = {
        "packages": {"torch": "2.9"},
        "netwright": "1",
        "python": "3",
        "device": "cpu",
        "platform": "x",
        "data": "d",
    }
    a.environment_path.write_text(json.dumps(made))
    b.environment_path.write_text(json.dumps({**made, "packages": {"torch": "2.15"}}))
    assert compare_settings([run_info(a), run_info(b)])[2:] == [("torch", ["2.9", "2.15"])]


def test_the_queue_is_reordered_by_hand(tmp_path, detector):
    runs = [told(tmp_path, detector.data, name) for name in "abc"]
    assert [put_in_queue(run) for run in runs] == [1, 2, 3]
    names = [run.path.name for run in runs]
    move_in_queue(tmp_path, names[2], -2)
    assert queue_of(tmp_path) == [names[2], names[0], names[1]]
    move_in_queue(tmp_path, names[2], 9)
    assert queue_of(tmp_path) == names
    remove_from_queue(tmp_path, names[0])
    assert queue_of(tmp_path) == names[1:]
    assert run_info(runs[1], queued=True).state == "queued"
    (tmp_path / "queue.json").write_text("not json")
    assert queue_of(tmp_path) == []
    record_process(runs[0], os.getpid())
    put_in_queue(runs[1])
    assert start_next(tmp_path) is None  # one is at work
    assert json.loads((tmp_path / "queue.json").read_text()) == [names[1]]


@pytest.mark.slow
def test_a_trainer_that_ends_starts_the_next(tmp_path, classifier):
    first, second = (RunFolder.create(tmp_path, classifier.data, name) for name in "ab")
    put_in_queue(second)
    assert start_training(first).wait(120) == 0
    end = time.monotonic() + 120
    while time.monotonic() < end and (is_alive(second) or not events_of(second)):
        time.sleep(0.1)
    assert events_of(second)[-1]["type"] == "finished"
    assert queue_of(tmp_path) == []
    assert events_of(second)[0]["time"] >= events_of(first)[-1]["time"]


def test_the_command_lists_runs(tmp_path, detector, capsys):
    from designer.cli.runs import list_runs

    told(tmp_path, detector.data, "one", START, evaluation(0, 0.25), ("stopped", {"step": 2, "epoch": 1}))
    told(tmp_path, detector.data, "two", START)
    list_runs(tmp_path, "stopped", as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["state"], found["best"], found["epochs"]) == ("stopped", 0.25, 2)
    list_runs(tmp_path, "", as_json=False)
    assert "mAP50-95 0.250" in capsys.readouterr().out
