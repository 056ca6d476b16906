"""`python -m designer.train.sweep_runner --sweep DIR`: tries values by Optuna; each trial is an ordinary run.

The study and the runs on disk are the truth: a runner that was killed goes on where they are. Trials that were at work
are followed if their trainer still is, else resumed from their last checkpoint. Imports no torch.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL

from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.space import Dimension, apply_values, grid, value_of
from designer.graph.storage import write_text
from designer.train import control
from designer.train.events import EventTail
from designer.train.run import RunFolder, is_alive, process_of, record_process, start_training
from designer.train.run_list import BEST
from designer.train.sweep import SweepFolder, SweepStatus, Trial

POLL, TELL = 0.2, 0.5
_STATES = {
    TrialState.RUNNING: "running", TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}  # fmt: skip
_FEW = 5
"""Finished trials before it is said which parameter matters."""


@dataclass
class Active:
    """A trial whose run is at work."""

    trial: optuna.Trial
    run: RunFolder
    tail: EventTail
    process: Popen[bytes] | None
    best: float | None = None
    epoch: int = 0
    pruned: bool = False
    ended_as: str = ""
    error: str = ""
    known: set[str] = field(default_factory=set)

    def at_work(self) -> bool:
        return self.process.poll() is None if self.process is not None else is_alive(self.run)


class Runner:
    """Works on one sweep until its trials are done or somebody stops it."""

    def __init__(self, sweep: SweepFolder) -> None:
        self.sweep, self.config = sweep, sweep.config()
        self.data = sweep.document()
        self.study = make_study(sweep)
        self.metric = str(self.study.user_attrs.get("metric", self.config.metric))
        self.active: list[Active] = []
        self.stopping = False
        self._told = 0.0
        self._importance: dict[str, float] = {}
        self._measured = -1

    def work(self) -> None:
        """Starts trials, follows them, and tells how far it is."""
        if not self.study.get_trials(deepcopy=False):
            self._enqueue_first()
        for trial in self._left_running():
            self._take_up(trial)
        while self._fill() or self.active:
            self.stopping = self.stopping or control.take(self.sweep) == "stop"
            for active in list(self.active):
                if self._follow(active):
                    self.active.remove(active)
            self.tell("stopping" if self.stopping else "running")
            time.sleep(POLL)
        self.tell("stopped" if self.stopping else "finished", now=True)

    # -- beginning trials --------------------------------------------------------------------------------------------

    def _enqueue_first(self) -> None:
        """A grid is known beforehand; otherwise the document's own values, if the space has them, come first."""
        if self.config.sampler == "grid":
            for _, point in zip(range(self.config.trials), grid(self.config.space), strict=False):
                self.study.enqueue_trial({target: _stored(value) for target, value in point.items()})
            return
        own = {d.target: value_of(self.data, d.target) for d in self.config.space}
        if all(d.holds(own[d.target]) for d in self.config.space):
            self.study.enqueue_trial({target: _stored(value) for target, value in own.items()})

    def _left_running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _fill(self) -> bool:
        """Begin trials until there are as many as shall run at once. False when none is to begin any more."""
        while not self.stopping and len(self.active) < self.config.jobs:
            begun = [t for t in self.study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
            if len(begun) >= self.config.trials:
                return False
            self._begin(self.study.ask())
        return not self.stopping

    def _begin(self, trial: optuna.Trial) -> None:
        values = {d.target: suggest(trial, d) for d in self.config.space}
        trial.set_user_attr("values", values)
        if (twin := self._twin(values)) is not None:
            trial.set_user_attr("run", twin.user_attrs.get("run", ""))
            trial.set_user_attr("epoch", twin.user_attrs.get("epoch", 0))
            trial.set_user_attr("reason", f"The same values as trial {twin.number + 1}.")
            self.study.tell(trial, twin.value)
            return
        document = Document(self.data.model_copy(deep=True), _catalogue())
        try:
            apply_values(document, values, "Trial")
            if errors := [p.message for p in document.problems() if p.severity == "error"]:
                raise NetwrightError(errors[0])
            run = RunFolder.create(self.sweep.runs, document.data, f"trial-{trial.number + 1:03}")
            trial.set_user_attr("run", run.path.name)
            process = start_training(run)
        except NetwrightError as error:
            self._fail(trial, str(error))
            return
        self.active.append(Active(trial, run, EventTail(run.events_path), process))

    def _twin(self, values: dict[str, Any]) -> FrozenTrial | None:
        """A finished trial of the same values; a run with the same seed would only repeat it."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return next((trial for trial in done if trial.user_attrs.get("values") == values), None)

    def _take_up(self, frozen: FrozenTrial) -> None:
        """A trial that an earlier runner left: its run is followed, or resumed, or has ended meanwhile."""
        trial = optuna.Trial(self.study, frozen._trial_id)
        path = self.sweep.runs / str(frozen.user_attrs.get("run", ""))
        if "run" not in frozen.user_attrs or not (path / "graph.netwright").is_file():
            self._fail(trial, "The sweep was ended before this trial began.")
            return
        run = RunFolder(path)
        active = Active(trial, run, EventTail(run.events_path), None)
        at_work = is_alive(run)
        for event in active.tail.read():
            self._take(active, event)
        if not at_work and active.pruned:
            active.ended_as = "stopped"
        elif not at_work and active.ended_as not in ("finished", "error"):
            active.ended_as, active.process = "", start_training(run, resume=True)
        self.active.append(active)

    # -- following them ----------------------------------------------------------------------------------------------

    def _follow(self, active: Active) -> bool:
        """Take what a run says. True when it is over and its trial was told."""
        at_work = active.at_work()  # asked first: what it wrote before it ended is then always read
        for event in active.tail.read():
            self._take(active, event)
        if at_work:
            if self.stopping and not active.run.control_path.exists():
                control.write(active.run, "stop")  # again: a trainer that is starting forgets an older command
            return False
        if self.stopping and active.ended_as not in ("finished", "error"):
            return True  # the trial stays open; the next runner resumes its run
        self._end(active)
        return True

    def _take(self, active: Active, event: dict[str, Any]) -> None:
        match event["type"]:
            case "start" | "resumed":
                active.ended_as = ""
            case "step":
                active.epoch = int(event["epoch"])
            case "metrics":
                active.epoch = int(event["epoch"]) + 1
                self._report(active, event["values"], active.epoch)
            case "finished" | "stopped" | "error" as ending:
                active.ended_as = ending
                active.error = f"{event.get('message', '')} {event.get('hint', '')}".strip()

    def _report(self, active: Active, values: dict[str, Any], epoch: int) -> None:
        active.known |= {name for name, value in values.items() if isinstance(value, (int, float))}
        if not self.metric:
            self.metric = next((name for name in BEST if name in values), "")
            self.study.set_user_attr("metric", self.metric)
        value = values.get(self.metric)
        if not isinstance(value, (int, float)):
            return
        more = self.config.direction == "maximize"
        if active.best is None or (value > active.best if more else value < active.best):
            active.best = float(value)
        active.trial.report(active.best, epoch)
        if not active.pruned and not self.stopping and active.trial.should_prune():
            active.pruned = True
            control.write(active.run, "stop")

    def _end(self, active: Active) -> None:
        trial = active.trial
        trial.set_user_attr("epoch", active.epoch)
        if active.ended_as == "error":
            self._fail(trial, active.error)
        elif active.ended_as == "":
            code = active.process.returncode if active.process is not None else None
            how = f" (exit code {code})" if code is not None else ""
            self._fail(trial, f"The trainer ended unexpectedly{how}; {active.run.log_path.name} may say why.")
        elif active.best is None:
            known = ", ".join(sorted(active.known)) or "none"
            self._fail(trial, f"Its evaluations have no figure {self.metric!r}; they have: {known}.")
        elif active.ended_as == "stopped":
            reason = f"Pruned after {active.epoch} epochs." if active.pruned else "Its run was stopped by hand."
            trial.set_user_attr("reason", reason)
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, active.best)

    def _fail(self, trial: optuna.Trial, reason: str) -> None:
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL)

    # -- telling -----------------------------------------------------------------------------------------------------

    def tell(self, state: str, message: str = "", *, now: bool = False) -> None:
        """Write `trials.json`, now and then."""
        if not now and time.monotonic() - self._told < TELL:
            return
        self._told = time.monotonic()
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.state in _STATES]
        done = [t for t in trials if t.state == TrialState.COMPLETE]
        best = self.study.best_trial.number if done else None
        status = SweepStatus(
            state, message, self.metric, best, list(map(self._told_of, trials)), self._shares(len(done))
        )
        text = json.dumps(asdict(status), default=str)
        if not self.sweep.trials_path.exists() or text != self.sweep.trials_path.read_text(encoding="utf-8"):
            write_text(self.sweep.trials_path, text)

    def _told_of(self, trial: FrozenTrial) -> Trial:
        active = next((a for a in self.active if a.trial.number == trial.number), None)
        attrs, began, ended = trial.user_attrs, trial.datetime_start, trial.datetime_complete
        seen = trial.intermediate_values
        metric = trial.value if trial.state == TrialState.COMPLETE else (seen[max(seen)] if seen else None)
        return Trial(
            trial.number, _STATES[trial.state], attrs.get("values", {}), metric, attrs.get("reason", ""),
            attrs.get("run", ""), active.epoch if active is not None else int(attrs.get("epoch", 0)),
            began.timestamp() if began else 0.0, (ended - began).total_seconds() if began and ended else 0.0,
        )  # fmt: skip

    def _shares(self, done: int) -> dict[str, float]:
        """How much each parameter matters, by PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255)."""
        if done >= _FEW and done != self._measured:
            self._measured = done
            try:
                evaluator = optuna.importance.PedAnovaImportanceEvaluator()
                found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
            except (ImportError, ValueError, RuntimeError):  # all values alike, for one
                found = {}
            self._importance = {k: round(float(v), 4) for k, v in found.items()}
        return self._importance


def make_study(sweep: SweepFolder) -> optuna.Study:
    """The study of a sweep, made when it is not there yet."""
    config = sweep.config()
    address = URL.create("sqlite", database=str(sweep.study_path.resolve())).render_as_string()
    epochs = sweep.document().training.epochs
    pruners: dict[str, Any] = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(1, epochs // 5)),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(max_resource=epochs),
        "none": optuna.pruners.NopPruner,
    }
    study = optuna.create_study(
        storage=address, study_name="sweep", direction=config.direction, load_if_exists=True,
        pruner=pruners[config.pruner](),
    )  # fmt: skip
    seed = config.seed + len(study.get_trials(deepcopy=False))  # a sweep that goes on draws other values
    study.sampler = (
        optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        if config.sampler == "tpe"
        else optuna.samplers.RandomSampler(seed=seed)
    )
    return study


def suggest(trial: optuna.Trial, dimension: Dimension) -> Any:
    """A value of a dimension for a trial."""
    d = dimension
    if d.kind == "choice":
        kept = {_stored(choice): choice for choice in d.choices}
        return kept[trial.suggest_categorical(d.target, list(kept))]
    if d.kind == "int":
        return trial.suggest_int(d.target, int(d.low), int(d.high), step=int(d.step or 1), log=d.log)
    return trial.suggest_float(d.target, d.low, d.high, step=d.step or None, log=d.log)


def _stored(value: Any) -> Any:
    """A value that a study can hold; lists as text."""
    return json.dumps(value) if isinstance(value, (list, tuple)) else value


def _catalogue() -> Any:
    """The components as the last engine knew them; None where there was none, then the trainer finds what is wrong."""
    from designer.engine.catalogue_cache import load_catalogue

    return load_catalogue()


def main() -> int:
    """Works on the sweep of the command line."""
    parser = argparse.ArgumentParser(prog="python -m designer.train.sweep_runner", description="Works on one sweep.")
    parser.add_argument("--sweep", type=Path, required=True, help="the sweep's folder")
    sweep = SweepFolder.open(parser.parse_args().sweep)
    other = process_of(sweep)
    if other is not None and other.pid != os.getpid():
        print(f"{sweep.path} is being worked on by process {other.pid} already.", file=sys.stderr)
        return 2
    record_process(sweep, os.getpid())
    sweep.control_path.unlink(missing_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")
    runner = None
    try:
        runner = Runner(sweep)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_args, r=runner: setattr(r, "stopping", True))
        runner.work()
    except Exception as error:
        traceback.print_exc()  # into sweep.log
        message = f"The sweep failed: {type(error).__name__}: {error}. The whole story is in {sweep.log_path}."
        if runner is not None:
            runner.tell("failed", message, now=True)
        else:
            write_text(sweep.trials_path, json.dumps(asdict(SweepStatus("failed", message))))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
