"""Real training: a loss that falls, a run that survives being killed, steering by the control file."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from designer.graph.errors import NetwrightError
from designer.train import checkpoint, control
from designer.train.events import EventTail, EventWriter
from designer.train.run import RunError, RunFolder, is_alive, start_training
from designer.train.trained import evaluate_run, load_trained


def events_of(run: RunFolder) -> list[dict]:
    return EventTail(run.events_path).read()


def wait_for(run: RunFolder, type: str, seconds: float = 90, after: int = 0) -> dict:
    """The first event of a type after the first `after` events."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for event in events_of(run)[after:]:
            if event["type"] == type:
                return event
            assert event["type"] != "error" or type == "error", event
        time.sleep(0.05)
    raise AssertionError(f"no {type} event; log: {run.log_path.read_text()[-2000:]}")


def finish(process, seconds: float = 120) -> None:
    assert process.wait(seconds) == 0


@pytest.mark.slow
def test_a_detector_learns_and_its_run_is_complete(tmp_path, detector):
    detector.set_training(epochs=6, batch=8, cutmix=0.5)
    detector.set_data(train_images=48)
    run = RunFolder.create(tmp_path, detector.data)
    finish(start_training(run))
    events = events_of(run)
    assert [events[0]["type"], events[-1]["type"]] == ["start", "finished"]
    assert [e["message"] for e in events if e["type"] == "warning"] == [
        "CutMix has no effect on the images of a detector."
    ]
    told = {e["step"]: e["loss"] for e in events if e["type"] == "step"}
    assert list(told)[:20] == [*range(1, 21)]  # later ones are told ten times a second
    assert list(told)[-1] == 36
    losses = [*told.values()]
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])
    for path in (run.last_path, run.best_path, run.samples / "epoch0006.png"):
        assert path.exists()
    assert list(run.tensorboard.iterdir())
    assert not is_alive(run)
    assert events[0]["device"] == "cpu"
    last = [e for e in events if e["type"] == "metrics"][-1]["values"]
    assert evaluate_run(run)["images"] == last["images"] == 8


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_losses(tmp_path, classifier):
    classifier.set_training(epochs=4, batch=8)
    whole, torn = (RunFolder.create(tmp_path, classifier.data, name) for name in ("whole", "torn"))
    finish(start_training(whole))
    expected = {e["step"]: e["loss"] for e in events_of(whole) if e["type"] == "step"}

    process = start_training(torn)
    wait_for(torn, "checkpoint")
    while max((e.get("step", 0) for e in events_of(torn)), default=0) < 6:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_alive(torn)
    finish(start_training(torn, resume=True))
    events = events_of(torn)
    start = next(e for e in events if e.get("resumed_from") is not None)
    assert start["resumed_from"] in (4, 8, 12)
    steps = [e["step"] for e in events if e["type"] == "step"]
    assert steps == sorted(set(steps)) == list(range(1, 17))  # the curve is joined, no step twice
    again = {e["step"]: e["loss"] for e in events if e["type"] == "step"}
    assert again == expected  # bit for bit


@pytest.mark.slow
def test_pause_resume_save_and_stop(tmp_path, classifier):
    classifier.set_training(epochs=500)
    run = RunFolder.create(tmp_path, classifier.data)
    process = start_training(run)
    wait_for(run, "step")
    assert is_alive(run)
    with pytest.raises(RunError, match="being trained already"):
        start_training(run)
    control.write(run, "pause")
    paused = wait_for(run, "paused")
    time.sleep(0.5)
    assert max(e["step"] for e in events_of(run) if e["type"] == "step") <= paused["step"]
    control.write(run, "resume")
    wait_for(run, "resumed")
    before = len(events_of(run))
    control.write(run, "save")
    wait_for(run, "checkpoint", after=before)
    control.write(run, "stop")
    finish(process)
    stopped = events_of(run)[-1]
    assert stopped["type"] == "stopped"
    # Stopped in the middle of an epoch: the next trainer goes on at the very next step.
    process = start_training(run, resume=True)
    step = wait_for(run, "step", after=len(events_of(run)) - 1)
    assert step["step"] >= stopped["step"]
    control.write(run, "stop")
    finish(process)


def test_patience_ends_a_run_with_a_checkpoint(tmp_path, classifier):
    classifier.set_training(epochs=9, patience=2, checkpoint_every=100, learning_rate=1e-12, ema=False)
    run = RunFolder.create(tmp_path, classifier.data)
    finish(start_training(run))
    events = events_of(run)
    epochs = max(e["epoch"] for e in events if e["type"] == "metrics") + 1
    assert epochs < 9
    assert [e["type"] for e in events[-3:]] == ["checkpoint", "warning", "finished"]
    assert checkpoint.load_last(run.last_path)[0]["epoch"] == epochs
    classifier.set_training(epochs=epochs)  # it ends by itself now
    run = RunFolder.create(tmp_path, classifier.data, "whole")
    finish(start_training(run))
    assert not [e for e in events_of(run) if e["type"] == "warning"]


def test_errors_reach_the_events(tmp_path, detector):
    detector.set_data(kind="yolo", path=str(tmp_path / "nowhere"))
    run = RunFolder.create(tmp_path, detector.data)
    assert start_training(run).wait(60) == 2
    error = events_of(run)[-1]
    assert error["type"] == "error"
    assert "no such file" in error["message"]


def test_a_loss_that_is_no_number_is_said(tmp_path, classifier):
    classifier.set_training(
        learning_rate=10.0, optimizer="sgd", clip_norm=0.0, epochs=15, warmup_epochs=0, momentum=0.99
    )
    run = RunFolder.create(tmp_path, classifier.data)
    code = start_training(run).wait(240)
    last = events_of(run)[-1]
    if code == 0:  # it held out, which is no fault
        assert last["type"] == "finished"
    else:
        assert "Lower the learning rate" in last["message"]


def test_a_damaged_checkpoint_is_refused(tmp_path, classifier):
    run = RunFolder.create(tmp_path, classifier.data)
    with pytest.raises(RunError, match="no checkpoint yet"):
        load_trained(run)
    run.checkpoints.mkdir()
    run.last_path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(RunError, match="damaged"):
        load_trained(run)


def test_a_checkpoint_that_carries_code_is_refused(tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'exploded'}",)

    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps({"model": Bomb()}))
    with pytest.raises(NetwrightError):
        checkpoint.load(path)
    assert not (tmp_path / "exploded").exists()


def test_the_tail_skips_what_is_torn_and_drops_what_was_done_again(tmp_path):
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert tail.read() == []
    writer = EventWriter(path)
    for step in (1, 2, 3):
        writer.write("step", step=step, loss=float("nan"))
    assert [e["step"] for e in tail.read()] == [1, 2, 3]
    writer.close()
    with path.open("a") as file:
        file.write('{"type": "step", "st')  # killed in the middle of a line
    assert tail.read() == []
    writer = EventWriter(path)
    writer.write("start", resumed_from=2)
    writer.write("step", step=3, loss=1.0)
    writer.close()
    assert [e["type"] for e in tail.read()] == ["start", "step"]
    events = EventTail(path).read()
    assert [(e["type"], e.get("step")) for e in events] == [("step", 1), ("step", 2), ("start", None), ("step", 3)]
    assert events[0]["loss"] is None  # JSON has no NaN


def test_a_run_folder_holds_the_frozen_document(tmp_path, detector):
    run = RunFolder.create(tmp_path, detector.data, "My net!")
    assert run.path.name.startswith("my-net-")
    assert run.document() == detector.data
    assert json.loads(run.config_path.read_text())["training"]["batch"] == 8
    with pytest.raises(RunError, match="no run folder"):
        RunFolder.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        RunFolder.create(tmp_path / "file", detector.data)


def test_a_process_number_used_again_is_not_taken_for_the_trainer(tmp_path, detector):
    run = RunFolder.create(tmp_path, detector.data)
    assert not is_alive(run)
    Path(run.process_path).write_text(json.dumps({"pid": os.getpid(), "started": 1.0}))
    assert not is_alive(run)
