"""A sweep is a folder: a frozen document, the values to try, a study, and a run for each trial. Imports no torch.

`sweep.json` is what was asked for, `study.db` the study (SQLite), `runs/` the trials' runs, `trials.json` what the
runner says for readers. A process of its own (`sweep_runner.py`) works on it and survives whoever started it.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from designer.graph.model import GraphData
from designer.graph.space import Dimension, grid
from designer.graph.storage import read, write, write_text
from designer.train.run import RunError, RunFolder, is_alive, record_process, start_detached

SAMPLERS = {"tpe": "TPE", "random": "Random", "grid": "Grid"}
PRUNERS = {"median": "Median", "hyperband": "Hyperband", "none": "None"}
Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["median", "hyperband", "none"]


class SweepConfig(BaseModel):
    """What was asked for.

    Attributes:
        name: of the document.
        space: the values that are tried.
        metric: the figure of an evaluation that counts; "" is the one that chooses a run's best checkpoint.
        direction: whether more of it is better.
        trials: how many.
        jobs: trained at once.
    """

    name: str
    space: list[Dimension] = Field(min_length=1)
    metric: str = ""
    direction: Literal["maximize", "minimize"] = "maximize"
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    trials: int = Field(20, ge=1, le=100_000)
    jobs: int = Field(1, ge=1, le=64)
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """One trial as the runner tells it.

    Attributes:
        number: from 0.
        state: `running`, `finished`, `pruned` or `failed`.
        values: of each target.
        metric: best figure so far.
        reason: why it failed or was pruned.
        run: name of its folder in `runs/`.
        epoch: epochs done.
        started: seconds since 1970.
        seconds: how long it took; 0 while it runs.
    """

    number: int
    state: str
    values: dict[str, Any]
    metric: float | None = None
    reason: str = ""
    run: str = ""
    epoch: int = 0
    started: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class SweepStatus:
    """How far a sweep is.

    Attributes:
        state: `running`, `stopping`, `stopped`, `finished`, `failed`, or `died` (the process is gone).
        message: why it failed.
        metric: name of the figure that counts, once it is known.
        best: number of the best trial.
        importance: share of each target in how the figure differs, once that can be told.
    """

    state: str
    message: str = ""
    metric: str = ""
    best: int | None = None
    trials: list[Trial] = field(default_factory=list)
    importance: dict[str, float] = field(default_factory=dict)

    def trial(self, number: int | None) -> Trial | None:
        """The trial of a number."""
        return next((trial for trial in self.trials if trial.number == number), None)

    @property
    def ended(self) -> int:
        """How many trials are over."""
        return sum(trial.state != "running" for trial in self.trials)


class SweepFolder:
    """Where everything of one sweep is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.graph_path = path / "graph.netwright"
        self.config_path = path / "sweep.json"
        self.study_path = path / "study.db"
        self.trials_path = path / "trials.json"
        self.process_path = path / "process.json"
        self.control_path = path / "control.json"
        self.log_path = path / "sweep.log"
        self.runs = path / "runs"

    @classmethod
    def create(cls, root: Path, data: GraphData, config: SweepConfig) -> SweepFolder:
        """Freezes a document and what to try into a new folder under `root`.

        Raises:
            SpaceError: for a grid that cannot be counted.
            RunError: when the folder cannot be made.
        """
        if config.sampler == "grid":
            points = sum(1 for _ in grid(config.space))
            config = config.model_copy(update={"trials": min(config.trials, points)})
        stem = re.sub(r"[^\w-]+", "-", config.name.strip().lower()).strip("-") or "sweep"
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        path, number = root / f"{stem}-{stamp}", 2
        while path.exists():
            path, number = root / f"{stem}-{stamp}-{number}", number + 1
        try:
            path.mkdir(parents=True)
        except OSError as error:
            text = f"{path}: the sweep's folder cannot be made: {error.strerror}. Choose another place."
            raise RunError(text) from None
        sweep = cls(path)
        write(data, sweep.graph_path)
        sweep.write_config(config)
        return sweep

    @classmethod
    def open(cls, path: Path | str) -> SweepFolder:
        """An existing sweep. Raises RunError when the folder is none."""
        sweep = cls(Path(path))
        if not sweep.config_path.is_file() or not sweep.graph_path.is_file():
            raise RunError(f"{path} is no sweep: it has no sweep.json. `netwright sweep FILE --param ...` makes one.")
        return sweep

    def document(self) -> GraphData:
        """The document as it was when the sweep began."""
        return read(self.graph_path)

    def config(self) -> SweepConfig:
        """What was asked for. Raises RunError for a file that cannot be read."""
        try:
            return SweepConfig.model_validate_json(self.config_path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{self.config_path} cannot be read: {reason}. Start a new sweep.") from None

    def write_config(self, config: SweepConfig) -> None:
        write_text(self.config_path, config.model_dump_json(indent=1) + "\n")

    def run(self, trial: Trial) -> RunFolder:
        """The run of a trial. Raises RunError when it has none."""
        return RunFolder.open(self.runs / (trial.run or "none"))

    def status(self) -> SweepStatus:
        """What the runner said last, and whether it is still there."""
        try:
            told = json.loads(self.trials_path.read_text(encoding="utf-8"))
            status = SweepStatus(**{**told, "trials": [Trial(**trial) for trial in told["trials"]]})
        except (OSError, ValueError, KeyError, TypeError):
            return SweepStatus("running" if is_alive(self) else "died")
        if status.state in ("running", "stopping") and not is_alive(self):
            return SweepStatus(**{**vars(status), "state": "died"})
        return status


def start_sweep(sweep: SweepFolder) -> subprocess.Popen[bytes]:
    """Starts the runner of a sweep, or goes on with it; it goes on when its starter ends.

    Raises:
        RunError: when one is at work on it already.
    """
    if is_alive(sweep):
        raise RunError(f"{sweep.path} is being worked on already.")
    command = [sys.executable, "-P", "-m", "designer.train.sweep_runner", "--sweep", str(sweep.path.resolve())]
    process = start_detached(command, sweep.log_path)
    record_process(sweep, process.pid)
    return process


def sweeps_in(root: Path) -> list[SweepFolder]:
    """The sweeps of a folder, newest first; none when there is no such folder."""
    found = [SweepFolder(path) for path in root.iterdir()] if root.is_dir() else []
    found = [sweep for sweep in found if sweep.config_path.is_file() and sweep.graph_path.is_file()]
    return sorted(found, key=lambda sweep: sweep.config_path.stat().st_mtime, reverse=True)


def direction_of(metric: str) -> Literal["maximize", "minimize"]:
    """Losses shall be small, every other figure large."""
    return "minimize" if "loss" in metric else "maximize"
