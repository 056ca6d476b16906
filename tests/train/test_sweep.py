"""Sweeps with a real runner: trials as runs, failures, pruning, a kill and what is done again after it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from designer.graph.space import SpaceError, find_parameter, parse_dimension
from designer.train import control, sweep_runner
from designer.train.run import RunError, process_of, record_process
from designer.train.sweep import SweepConfig, SweepFolder, SweepStatus, start_sweep, sweeps_in
from designer.train.sweep_runner import Runner

PRETEND = """
import json, sys, time
from pathlib import Path
from designer.graph.storage import read
from designer.train import control
from designer.train.events import EventWriter
from designer.train.run import RunFolder

run = RunFolder(Path(sys.argv[1]))
training = read(run.graph_path).training
events = EventWriter(run.events_path)
run.control_path.unlink(missing_ok=True)
events.write("start", device="cpu", epochs=training.epochs, batches=1, resumed_from=None)
if training.flip > 0.9:
    events.write("error", message="The memory is full.", hint="Use a smaller batch.")
    sys.exit(2)
for epoch in range(training.epochs):
    events.write("step", step=epoch + 1, epoch=epoch, loss=1.0)
    value = 1 - abs(training.flip - 0.5) - 0.1 / (epoch + 1)
    events.write("metrics", epoch=epoch, step=epoch + 1, values={"map": value, "val_loss": 1 - value})
    wait = time.monotonic() + 0.5  # as long as a runner needs to have an opinion
    while time.monotonic() < wait:
        if control.take(run) == "stop":
            events.write("stopped", step=epoch + 1, epoch=epoch)
            sys.exit(0)
        time.sleep(0.02)
events.write("finished", step=training.epochs, epoch=training.epochs, values={})
"""
"""A trainer without torch: its figure follows from `flip`, and it obeys as the real one does."""


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Trials that take a second."""
    (tmp_path / "pretend.py").write_text(PRETEND)

    def start(run, resume=False):
        process = subprocess.Popen([sys.executable, str(tmp_path / "pretend.py"), str(run.path)], env=environment)
        record_process(run, process.pid)
        return process

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    monkeypatch.setattr(sweep_runner, "start_training", start)


def made(tmp_path, document, *space, **options):
    dimensions = [parse_dimension(find_parameter(document, name), text) for name, text in space]
    config = SweepConfig(name="Mine", space=dimensions, **options)
    return SweepFolder.create(tmp_path / "sweeps", document.data, config)


def ended(sweep, seconds=200):
    """Its status once nothing works on it any more."""
    end = time.monotonic() + seconds
    while (status := sweep.status()).state in ("running", "stopping"):
        assert time.monotonic() < end, sweep.log_path.read_text()
        time.sleep(0.1)
    return status


def test_a_grid_with_a_failed_trial(quick, tmp_path, classifier):
    classifier.set_training(epochs=1)
    sweep = made(
        tmp_path, classifier, ("training.flip", "0..1:0.5"), ("SE.reduction", "8,16"), sampler="grid", jobs=3, trials=99
    )
    assert sweep.config().trials == 6
    Runner(sweep).work()
    status = sweep.status()
    assert (status.state, status.metric, status.ended) == ("finished", "map", 6)
    assert sorted(t.state for t in status.trials) == ["failed"] * 2 + ["finished"] * 4
    assert all("The memory is full. Use a smaller batch." in t.reason for t in status.trials if t.state == "failed")
    best = status.trial(status.best)
    assert best.metric == pytest.approx(0.9)
    assert best.values["training.flip"] == 0.5
    document = sweep.run(best).document()
    assert document.training.flip == 0.5
    assert next(n for n in document.nodes if n.title == "SE").params["reduction"] == 8
    assert sum(1 for _ in sweep.runs.iterdir()) == 6


def test_the_own_values_come_first_and_bad_trials_are_pruned(quick, tmp_path, classifier):
    classifier.set_training(epochs=4, flip=0.5)
    sweep = made(
        tmp_path, classifier, ("training.flip", "0..0.9:0.1"), sampler="random", trials=8, jobs=2, seed=3,
    )  # fmt: skip
    Runner(sweep).work()
    status = sweep.status()
    assert status.trials[0].values == {"training.flip": 0.5}
    assert status.best == 0
    pruned = [t for t in status.trials if t.state == "pruned"]
    assert pruned
    assert all(t.epoch < 4 and t.metric < 0.87 and "Pruned after" in t.reason for t in pruned)
    again = [t for t in status.trials if "The same values as trial" in t.reason]
    assert all(t.metric is not None and t.state == "finished" for t in again)


def test_a_loss_is_minimised_and_a_figure_that_is_not_there_is_said(quick, tmp_path, classifier):
    classifier.set_training(epochs=1)
    space = ("training.flip", "0.2,0.5")
    sweep = made(tmp_path, classifier, space, sampler="grid", jobs=2, metric="val_loss", direction="minimize")
    Runner(sweep).work()
    status = sweep.status()
    assert status.trial(status.best).values == {"training.flip": 0.5}
    sweep = made(tmp_path, classifier, space, sampler="grid", jobs=2, metric="recall")
    Runner(sweep).work()
    assert {t.state for t in sweep.status().trials} == {"failed"}
    assert "no figure 'recall'; they have: map, val_loss" in sweep.status().trials[0].reason


def test_a_stopped_sweep_keeps_its_trial_and_goes_on(quick, tmp_path, classifier):
    classifier.set_training(epochs=3)
    sweep = made(tmp_path, classifier, ("training.flip", "0.2,0.5"), sampler="grid")
    runner = Runner(sweep)
    tell = runner.tell

    def stop(state, *args, **options):
        tell(state, *args, **options)
        if runner.active and runner.active[0].epoch >= 1:
            control.write(sweep, "stop")

    runner.tell = stop
    runner.work()
    status = sweep.status()
    assert (status.state, [t.state for t in status.trials]) == ("stopped", ["running"])
    sweep.control_path.unlink(missing_ok=True)
    sweep.write_config(sweep.config().model_copy(update={"jobs": 2}))
    Runner(sweep).work()
    status = sweep.status()
    assert [t.state for t in status.trials] == ["finished", "finished"]
    assert sum(1 for _ in sweep.runs.iterdir()) == 2


def test_a_grid_must_be_countable_and_a_folder_a_sweep(tmp_path, classifier):
    with pytest.raises(SpaceError, match="needs steps"):
        made(tmp_path, classifier, ("training.flip", "0..1"), sampler="grid")
    with pytest.raises(RunError, match="is no sweep"):
        SweepFolder.open(tmp_path)
    assert sweeps_in(tmp_path / "none") == []
    sweep = made(tmp_path, classifier, ("training.flip", ""))
    assert sweep.status() == SweepStatus("died")
    sweep.config_path.write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        sweep.config()


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_its_runs_are(tmp_path, classifier):
    """The real trainer: one trial that cannot be, one that is killed with its runner and resumed."""
    classifier.set_training(epochs=4)
    sweep = made(tmp_path, classifier, ("Head.num_classes", "2,3"), sampler="grid", pruner="none")
    first = start_sweep(sweep)
    with pytest.raises(RunError, match="worked on already"):
        start_sweep(sweep)
    end = time.monotonic() + 200
    while not list(sweep.runs.glob("trial-002*/checkpoints/last.pt")):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(20)
    process_of(sweep.run(sweep.status().trials[1])).kill()
    status = sweep.status()
    assert status.state == "died"
    assert status.trials[0].state == "failed"
    assert "Set num_classes to 3" in status.trials[0].reason
    start_sweep(sweep)
    status = ended(sweep)
    assert (status.state, [t.state for t in status.trials]) == ("finished", ["failed", "finished"])
    assert (status.best, status.metric) == (1, "top1")
    assert status.trials[1].epoch == 4
    events = [json.loads(line) for line in sweep.run(status.trials[1]).events_path.read_text().splitlines()]
    starts = [event["resumed_from"] for event in events if event["type"] == "start"]
    assert len(starts) == 2
    assert starts[0] is None
    assert starts[1] > 0  # from its checkpoint
