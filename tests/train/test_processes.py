"""Training in several processes over gloo: the losses of one, a process that is killed, FSDP, SLURM's variables."""

import os
import signal
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch

from designer.graph.errors import NetwrightError
from designer.graph.storage import dump
from designer.train import checkpoint
from designer.train.launch import AGAIN, Place, agree_on_run, first_host, place_of
from designer.train.run import RunFolder, is_alive, start_training
from designer.train.slurm import batch_script
from tests.train.test_training import events_of, wait_for

HERE = Path(__file__).parents[2]


def losses_of(run: RunFolder) -> dict[int, float]:
    return {e["step"]: e["loss"] for e in events_of(run) if e["type"] == "step"}


def assert_same(losses: dict[int, float], expected: dict[int, float]) -> None:
    """At every step that both tell: after the first twenty that is ten times a second."""
    steps = losses.keys() & expected.keys()
    assert len(steps) > 20
    assert {s: losses[s] for s in steps} == pytest.approx({s: expected[s] for s in steps}, abs=1e-5)


@pytest.fixture(scope="module")
def alone(small_detector, tmp_path_factory) -> tuple[dict[int, float], dict]:
    """Losses and last checkpoint of one process."""
    run = RunFolder.create(tmp_path_factory.mktemp("alone"), small_detector().data)
    assert start_training(run).wait(120) == 0
    losses = losses_of(run)
    assert list(losses)[:20] == list(range(1, 21))
    return losses, checkpoint.load(run.last_path)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_and_one_that_dies_ends_the_run(small_detector, alone, tmp_path):
    # Where there is no GPU, auto is the processor, and the two have to find each other there.
    device = "cpu" if torch.accelerator.is_available() else "auto"
    run = RunFolder.create(tmp_path, small_detector(devices=2, device=device).data)
    process = start_training(run)
    wait_for(run, "checkpoint", 200)
    workers = psutil.Process(process.pid).children(recursive=True)
    second = next(p for p in workers if p.is_running() and p.environ().get("RANK") == "1")
    second.send_signal(signal.SIGKILL)
    assert process.wait(60) == 1
    error = events_of(run)[-1]
    assert error["type"] == "error"
    assert "Process 1 of 2" in error["message"]
    assert "SIGKILL" in error["message"]
    assert "Resume" in error["hint"]
    psutil.wait_procs(workers, 10)
    assert not [p for p in workers if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not is_alive(run)

    assert start_training(run, resume=True).wait(120) == 0
    events = events_of(run)
    assert events[-1]["type"] == "finished"
    assert [e["processes"] for e in events if e["type"] == "start"] == [2, 2]
    assert_same(losses_of(run), alone[0])
    assert events[-1]["values"]["images"] == 6
    assert len(list(run.samples.iterdir())) == 1


@pytest.mark.slow
def test_slurm_starts_two_machines_and_signals_them(small_detector, alone, tmp_path):
    # FSDP as well: its checkpoint has to be that of a model in one piece.
    run = RunFolder.create(tmp_path, small_detector(strategy="fsdp").data)
    script = tmp_path / "job.sh"
    run.log_path.touch()  # SLURM has a log of its own
    script.write_text(batch_script(run, nodes=2, partition="long", more=["--mem=4G"]))
    job = _Job(tmp_path, script)
    process = job.start()
    try:
        wait_for(run, "checkpoint", 200)
        job.signal(signal.SIGUSR1)
        assert process.wait(60) == AGAIN
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True), process] if process.poll() is None else []:
            each.kill()
    assert (tmp_path / "requeued").read_text().split() == ["requeue", "4711"]
    assert events_of(run)[-1]["type"] == "stopped"
    shown = run.document()
    shown.training.strategy = "ddp"
    run.graph_path.write_text(dump(shown))
    assert start_training(run, resume=True).wait(120) == 0  # one process takes the checkpoint up
    assert events_of(run)[-1]["type"] == "finished"
    assert_same(losses_of(run), alone[0])
    mine, whole = checkpoint.load(run.last_path), alone[1]
    assert mine.keys() == whole.keys()
    for part in ("model", "ema"):
        assert mine[part].keys() == whole[part].keys()
        for name, value in whole[part].items():
            assert mine[part][name] == pytest.approx(value, abs=1e-4), name
    assert mine["optimizer"]["state"].keys() == whole["optimizer"]["state"].keys()


class _Job:
    """What SLURM does with a script: variables, a task a machine, signals, queueing again."""

    def __init__(self, folder: Path, script: Path) -> None:
        self.folder, self.script = folder, script
        tools = folder / "bin"
        tools.mkdir()
        _tool(tools / "scontrol", 'echo "$@" > "$SIM/requeued"')
        _tool(
            tools / "srun",
            'rm -f "$SIM/tasks"\n'
            "for node in 0 1; do\n"
            '  SLURM_NODEID=$node SLURM_PROCID=$node SLURM_LOCALID=0 "$@" &\n'
            '  echo $! >> "$SIM/tasks"\n'
            "done\n"
            "worst=0\n"
            'for task in $(cat "$SIM/tasks"); do wait $task; code=$?; [ $code -gt $worst ] && worst=$code; done\n'
            "exit $worst",
        )

    def start(self) -> subprocess.Popen:
        names = {
            **os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "SIM": str(self.folder),
            "PYTHONPATH": str(HERE), "SLURM_JOB_ID": "4711", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "localhost",
        }  # fmt: skip
        with (self.folder / "job.log").open("ab") as log:
            return subprocess.Popen(["bash", str(self.script)], env=names, stdout=log, stderr=log)

    def signal(self, number: int) -> None:
        """To every process of every task, as SLURM does."""
        for line in (self.folder / "tasks").read_text().split():
            task = psutil.Process(int(line))
            for process in (*task.children(), task):
                process.send_signal(number)


def _tool(path: Path, text: str) -> None:
    path.write_text("#!/bin/bash\n" + text + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_slurm_script(small_detector, tmp_path):
    run = RunFolder.create(tmp_path, small_detector(devices=4).data, "night shift")
    run.graph_path.write_text(run.graph_path.read_text().replace('"device": "cpu"', '"device": "auto"'))
    text = batch_script(run, nodes=2, time="1-00:00:00", account="vision", more=["--mem=64G"])
    head = [line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")]
    assert head[0].startswith("job-name=night-shift-")
    assert {"nodes=2", "ntasks-per-node=1", "gpus-per-node=4", "time=1-00:00:00", "account=vision"} < set(head)
    assert {"requeue", "signal=USR1@180", "mem=64G"} < set(head)
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0


def test_places():
    assert place_of(variables={}) == Place()
    given = place_of(2, 1, "gpu1", 400, variables={})
    assert given.arguments() == [
        "--num-nodes", "2", "--node-rank", "1", "--main-address", "gpu1", "--main-port", "400"
    ]  # fmt: skip
    cluster = {
        "SLURM_JOB_ID": "17", "SLURM_PROCID": "3", "SLURM_NNODES": "4", "SLURM_NODEID": "3",
        "SLURM_JOB_NODELIST": "gpu[003-006]",
    }  # fmt: skip
    assert place_of(variables=cluster) == Place(4, 3, "gpu003", 20017)
    hosts = {"a": "a", "a,b": "a", "n[1-3,7]": "n1", "n[07,9]x,m1": "n07x", "": ""}
    assert {names: first_host(names) for names in hosts} == hosts
    with pytest.raises(NetwrightError, match="main-address"):
        place_of(2, 0, variables={})
    with pytest.raises(NetwrightError, match="from 0 to 1"):
        place_of(2, 2, "a", variables={})


def test_machines_agree_on_the_run_folder_of_the_first(tmp_path):
    port = 20_000 + os.getpid() % 20_000
    with ThreadPoolExecutor() as pool:
        second = pool.submit(agree_on_run, Place(2, 1, "localhost", port), None)
        assert agree_on_run(Place(2, 0, "localhost", port), tmp_path) == tmp_path.resolve()
        assert second.result() == tmp_path.resolve()


def test_a_group_that_cannot_be(small_detector, tmp_path):
    run = RunFolder.create(tmp_path, small_detector(devices=2, sync_norm=True).data)
    assert start_training(run).wait(120) == 2
    assert "Shared norms" in events_of(run)[-1]["message"]
