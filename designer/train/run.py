"""A run is a folder. Making, opening and starting one imports no torch, so the window does it itself."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import psutil

from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from designer.graph.storage import read, write, write_text


class RunError(NetwrightError):
    """A run folder that cannot be made, opened or continued."""


class RunFolder:
    """Where everything of one run is. The paths below it exist once there is something in them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.graph_path = path / "graph.netwright"
        self.config_path = path / "config.json"
        self.events_path = path / "events.jsonl"
        self.control_path = path / "control.json"
        self.process_path = path / "process.json"
        self.log_path = path / "trainer.log"
        self.reserve_path = path / "reserve"
        self.remote_path = path / "remote.json"
        self.checkpoints = path / "checkpoints"
        self.last_path = self.checkpoints / "last.pt"
        self.best_path = self.checkpoints / "best.pt"
        self.samples = path / "samples"
        self.plots = path / "plots"
        self.tensorboard = path / "tensorboard"
        self.environment_path = path / "environment.json"
        self.evaluation_path = path / "evaluation.json"
        self.statistics_path = path / "statistics.json"
        self.note_path = path / "note.txt"

    @classmethod
    def create(cls, root: Path, data: GraphData, name: str = "") -> RunFolder:
        """Freezes a document into a new folder under `root`, named after `name` with the date and time.

        Raises:
            RunError: when the folder cannot be made.
        """
        stem = re.sub(r"[^\w-]+", "-", (name or data.name).strip().lower()).strip("-") or "run"
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        path = root / f"{stem}-{stamp}"
        number = 2
        while path.exists():
            path, number = root / f"{stem}-{stamp}-{number}", number + 1
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise RunError(f"{path}: the run folder cannot be made: {error.strerror}. Choose another place.") from None
        run = cls(path)
        run.record(data)
        return run

    def record(self, data: GraphData) -> None:
        """Writes the frozen document and its settings; again when a setting that was left open has been found."""
        write(data, self.graph_path)
        config = {"name": data.name, "training": data.training.model_dump(), "data": data.data.model_dump()}
        write_text(self.config_path, json.dumps(config, indent=2) + "\n")

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """An existing run. Raises RunError when the folder is none."""
        run = cls(Path(path))
        if not run.graph_path.is_file():
            raise RunError(f"{path} is no run folder: it has no graph.netwright. `netwright train` makes one.")
        return run

    def document(self) -> GraphData:
        """The document as it was when the run began."""
        return read(self.graph_path)

    def can_resume(self) -> bool:
        """Whether it has a checkpoint to go on from: `last.pt` or the one before it, here or on its host."""
        return self.remote_path.is_file() or any(
            path.is_file() for path in (self.last_path, self.last_path.with_name("previous.pt"))
        )

    def resume_words(self) -> str:
        """What resuming it would do."""
        if self.remote_path.is_file():
            return "Resume goes on with it on its host."
        if self.can_resume():
            return "Resume goes on from the last checkpoint."
        return "No checkpoint was written yet, so Resume starts from the beginning."

    def weights(self) -> Path:
        """The best checkpoint, else the last. Raises RunError when there is none yet."""
        for path in (self.best_path, self.last_path):
            if path.is_file():
                return path
        raise RunError(f"{self.path} has no checkpoint yet. Let it train for at least one epoch.")


class Machine(Protocol):
    """Which of several machines this is (`launch.Place`)."""

    @property
    def rank(self) -> int:
        """From 0."""

    def arguments(self) -> list[str]:
        """As the trainer's command line has it."""


def start_training(run: RunFolder, *, resume: bool = False, place: Machine | None = None) -> subprocess.Popen[bytes]:
    """Starts the trainer of a run as a process of its own, which goes on when its starter ends.

    Of a run that trains on another machine it is the process that follows it there (`remote.py`). What it prints goes
    to `trainer.log`; what it has to say goes to `events.jsonl`.

    Raises:
        RunError: when a trainer is already at work on this run.
    """
    first = place is None or place.rank == 0
    if first:
        check_idle(run)
    module = "designer.train.remote" if run.remote_path.is_file() else "designer.train"
    command = [sys.executable, "-P", "-m", module, "--run", str(run.path.resolve())]
    command += place.arguments() if place is not None else []
    process = start_detached([*command, *(["--resume"] if resume else [])], run.log_path)
    if first:
        record_process(run, process.pid)
    return process


def check_idle(run: RunFolder) -> None:
    """Raises RunError when a trainer is already at work on a run."""
    if is_alive(run):
        raise RunError(f"{run.path} is being trained already. Stop that first.")


def start_detached(command: list[str], log_path: Path) -> subprocess.Popen[bytes]:
    """Starts a process that goes on when its starter ends; what it prints is appended to a file."""
    with log_path.open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **detached(),  # type: ignore[call-overload]
        )  # fmt: skip


def detached() -> dict[str, object]:
    """What `Popen` is told so that neither a closed window nor Ctrl+C in its terminal ends the process."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


class Worked(Protocol):
    """A folder that a process works on, steered by a file: a run or a sweep."""

    process_path: Path
    control_path: Path


def record_process(run: Worked, pid: int) -> None:
    """Notes which process trains a run; the start time tells it from a later process of the same number."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error:  # it has ended already; its events say why
        started = 0.0
    write_text(run.process_path, json.dumps({"pid": pid, "started": started}))


def process_of(run: Worked) -> psutil.Process | None:
    """The trainer at work on a run, if there is one."""
    try:
        noted = json.loads(run.process_path.read_text(encoding="utf-8"))
        process = psutil.Process(int(noted["pid"]))
        if process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - float(noted["started"])) > 1:
            return None
        return process
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None


def is_alive(run: Worked) -> bool:
    """Whether a trainer is at work on a run."""
    return process_of(run) is not None
