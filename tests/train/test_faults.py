"""Runs that are killed, disks that fill, files that vanish: nothing is torn, and every run goes on."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time

import pytest
import torch
from PIL import Image

from designer.cli.runs import follow
from designer.graph.errors import NetwrightError
from designer.train import checkpoint, control
from designer.train.events import EventTail
from designer.train.loop import Trainer
from designer.train.queue import put_in_queue
from designer.train.run import RunError, RunFolder, process_of, start_training
from designer.train.run_list import run_info
from tests.train.test_training import events_of, wait_for


@pytest.mark.slow
def test_a_run_survives_a_lost_image_a_kill_and_a_damaged_checkpoint(tmp_path, small_classifier):
    for part, name, number in ((p, n, i) for p in ("train", "val") for n in "abc" for i in range(3)):
        path = tmp_path / "images" / part / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number * 90, 40, 200)).save(path)
    doc = small_classifier(epochs=10_000, batch=4, eval_every=10_000, checkpoint_every=20)
    doc.set_data(kind="folder", path=str(tmp_path / "images"))
    run = RunFolder.create(tmp_path / "runs", doc.data)
    process = start_training(run)
    wait_for(run, "step")
    gone = tmp_path / "images" / "train" / "b" / "1.png"
    gone.unlink()
    assert str(gone) in wait_for(run, "warning")["message"]
    while not checkpoint.previous(run.last_path).exists():
        time.sleep(0.02)
    time.sleep(random.Random(7).uniform(0, 0.5))
    process.kill()
    process.wait()
    for path in run.checkpoints.glob("*.pt"):
        assert checkpoint.load(path)["model"]

    before = checkpoint.load(checkpoint.previous(run.last_path))["step"]
    run.last_path.write_bytes(run.last_path.read_bytes()[:1000])
    with run.events_path.open("a") as file:
        file.write('{"type": "step", "st')  # as a power cut leaves it
    process = start_training(run, resume=True)
    while not any(e["type"] == "start" and e["resumed_from"] == before for e in events_of(run)):
        assert process.poll() is None, run.log_path.read_text()
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == 75  # ended by a signal, after a checkpoint
    events = events_of(run)
    assert any("goes on from the one before" in e["message"] for e in events if e["type"] == "warning")
    assert events[-1]["type"] == "stopped"
    steps = [e["step"] for e in events if e["type"] == "step"]
    assert steps == sorted(set(steps))
    assert checkpoint.load(run.last_path)["step"] == events[-1]["step"] > before


def test_a_run_killed_before_its_first_checkpoint_is_said_to_start_over(tmp_path, small_classifier):
    run = RunFolder.create(tmp_path, small_classifier(epochs=10_000, checkpoint_every=10_000, eval_every=1).data)

    def kill():
        wait_for(run, "checkpoint")  # the best one, which no run goes on from
        process_of(run).kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(NetwrightError, match=r"ended unexpectedly.* No checkpoint was written yet, so Resume starts"):
        follow(run, quiet=True)
    killer.join()
    checkpoint.save(run.last_path, {"model": {}})
    assert run.resume_words() == "Resume goes on from the last checkpoint."


@pytest.mark.slow
@pytest.mark.parametrize("ask", ["stop", "SIGTERM"])
def test_a_stop_while_compiling_ends_the_run(tmp_path, small_classifier, monkeypatch, ask):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    run = RunFolder.create(tmp_path / "runs", small_classifier(epochs=2, compile=True).data)
    later = RunFolder.create(tmp_path / "runs", small_classifier(epochs=1).data, "later")
    process = start_training(run)
    put_in_queue(later)
    wait_for(run, "note")
    if ask == "stop":
        control.write(run, "stop")
    else:
        process.terminate()
    assert process.wait(60) == (0 if ask == "stop" else 75)
    told = [(e["type"], e.get("step")) for e in events_of(run) if e["type"] != "warning"]
    assert told[-1] == ("stopped", 0)  # or a step would have been taken
    assert run_info(run).state == "stopped"
    assert not run.control_path.exists()
    assert not run.reserve_path.exists()
    wait_for(later, "finished")


COMPILED_ONCE = """
import sys
from pathlib import Path
import torch
from designer.train.loop import Trainer
from designer.train.run import RunFolder

trainer = Trainer(RunFolder(Path(sys.argv[1])))
assert trainer.loader.batch_sampler.sizes() == (8, 4)
trainer._compile()
assert trainer.fast is not None
for _ in range(2):
    assert trainer._unfreeze() is None
    with torch.compiler.set_stance("fail_on_recompile"):
        assert trainer._train_epoch()
    trainer.epoch, trainer.batch = trainer.epoch + 1, 0
assert trainer.step == 6
"""


@pytest.mark.slow
def test_nothing_is_compiled_again_in_the_midst_of_training(tmp_path, small_classifier, monkeypatch):
    """It would take minutes in which no command is heeded: the last batch of an epoch has another size.

    In a process of its own: torch remembers which compiler it found.
    """
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    doc = small_classifier(epochs=2, batch=8, compile=True, unfreeze_after=1)
    doc.set_data(train_images=20)
    doc.set_frozen(doc.order()[1], True)
    run = RunFolder.create(tmp_path, doc.data)
    done = subprocess.run([sys.executable, "-c", COMPILED_ONCE, run.path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert any(event["type"] == "unfrozen" for event in events_of(run))


def test_a_group_of_batches_counts_though_its_last_cannot_be_used(tmp_path, small_classifier):
    for part, number in ((p, n) for p in ("train", "val") for n in range(4)):
        path = tmp_path / "images" / part / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number * 60, 40, 200)).save(path)
    (tmp_path / "images" / "train" / "a" / "0.png").write_bytes(b"damaged")
    doc = small_classifier(epochs=4, batch=1, accumulate=2, ema=True)
    doc.set_data(kind="folder", path=str(tmp_path / "images"))
    trainer = Trainer(RunFolder.create(tmp_path, doc.data))
    trainer.train()
    last_of_group = [e["step"] for e in events_of(trainer.run) if e["type"] == "step"]
    assert any(step not in last_of_group for step in range(2, 17, 2)), "no group ended with the damaged image"
    assert trainer.weights.average.count == 8


def test_the_scale_of_half_precision_is_kept(tmp_path, small_classifier):
    """A GPU without bf16 has one; sought anew after a resume, it would cost steps."""
    run = RunFolder.create(tmp_path, small_classifier(epochs=1).data)
    first, second = Trainer(run), Trainer(run)
    first.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    first.train()
    second.accelerator.scaler = torch.amp.GradScaler("cpu")
    second.accelerator.scaler.scale(torch.ones(1))
    second._restore(checkpoint.load(run.last_path))
    assert second.accelerator.scaler.get_scale() == 1024.0


def test_only_damaged_checkpoints_are_an_error(tmp_path):
    last = tmp_path / "last.pt"
    assert checkpoint.load_last(last) == (None, "")
    last.write_bytes(b"torn")
    with pytest.raises(RunError, match="damaged"):
        checkpoint.load_last(last)
    checkpoint.previous(last).write_bytes(b"torn, too")
    with pytest.raises(RunError, match=r"previous\.pt"):
        checkpoint.load_last(last)


@pytest.fixture
def small_disk(tmp_path):
    """A disk that takes a few checkpoints."""
    place = tmp_path / "disk"
    place.mkdir()
    can = os.name == "posix" and os.geteuid() == 0
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if not can or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk, where that is allowed at all")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_run_goes_on_after_it(small_disk, small_classifier):
    run = RunFolder.create(small_disk, small_classifier(epochs=3000, eval_every=3000).data)
    process = start_training(run)
    wait_for(run, "checkpoint")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(2**16)):
            pass
    assert process.wait(60) == 2
    error = events_of(run)[-1]
    assert error["type"] == "error"
    assert error["message"].startswith("The disk is full: ")
    assert str(run.path) in error["message"]
    assert "then resume" in error["message"]
    kept = checkpoint.load(run.last_path)["step"]
    filler.unlink()
    text = run.graph_path.read_text()
    run.graph_path.write_text(text.replace('"epochs": 3000', f'"epochs": {kept // 4 + 1}'))
    assert start_training(run, resume=True).wait(120) == 0
    again = [e for e in events_of(run) if e["type"] == "start"][-1]
    assert again["resumed_from"] == kept
    assert events_of(run)[-1]["type"] == "finished"


def test_a_torn_last_event_is_left_for_later(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"type": "start", "time": 1}\n{"type": "step", "step": 1, "lo')
    tail = EventTail(path)
    assert [e["type"] for e in tail.read()] == ["start"]
    with path.open("ab") as file:
        file.write(b'ss": 2.5}\n\xff\xfe garbage\n{"type": "finished"}\n')
    assert [e["type"] for e in tail.read()] == ["step", "finished"]
