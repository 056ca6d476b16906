"""`netwright sweep`: starts the runner that the window starts too, and shows what it says."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from designer.cli.output import console, errors, print_json, table
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.space import Dimension, find_parameter, parse_dimension, written
from designer.graph.storage import write
from designer.train import control
from designer.train.run_list import metric_title
from designer.train.sweep import (
    SweepConfig,
    SweepFolder,
    SweepStatus,
    Trial,
    direction_of,
    start_sweep,
    sweeps_in,
)


def run_sweep(file: Path | None, params: list[str], root: Path, options: dict[str, Any], as_json: bool) -> None:
    """Makes a sweep of a document and works on it until it ends."""
    from designer.cli.runs import before_training
    from designer.engine.catalogue_cache import save_catalogue
    from nodes.sdk.discover import library

    assert file is not None
    catalogue = library().catalogue
    save_catalogue(catalogue)  # with it the runner finds most documents that cannot run without starting a trainer
    document = Document.load(file, catalogue)
    if not params:
        raise NetwrightError(
            "Say which parameters to sweep over, such as --param training.learning_rate or --param Backbone.depth=18,34"
        )
    space = []
    for text in params:
        name, _, values = text.partition("=")
        space.append(parse_dimension(find_parameter(document, name.strip()), values))
    if len(space) > len({dimension.target for dimension in space}):
        raise NetwrightError("A parameter is named twice. Write its values behind one --param.")
    before_training(document.data)
    config = SweepConfig(
        name=document.data.name, space=space, direction=direction_of(options["metric"]), **options
    )  # fmt: skip
    follow(SweepFolder.create(root, document.data, config), as_json)


def resume_sweep(path: Path, trials: int | None, jobs: int | None, as_json: bool) -> None:
    """Goes on with a sweep, with more trials if so wished."""
    sweep = SweepFolder.open(path)
    config = sweep.config()
    changed = config.model_copy(update={k: v for k, v in (("trials", trials), ("jobs", jobs)) if v is not None})
    if changed != config:
        sweep.write_config(changed)
    follow(sweep, as_json)


def follow(sweep: SweepFolder, as_json: bool) -> None:
    """Starts the runner and shows each trial as it ends. Ctrl+C stops the sweep; its trials keep their checkpoints."""
    config = sweep.config()
    known = {trial.number for trial in sweep.status().trials if trial.state != "running"}
    process = start_sweep(sweep)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"))
    progress = Progress(*columns, console=errors, disable=as_json or not sys.stderr.isatty())
    bar = progress.add_task("Trials", total=config.trials, facts="")
    try:
        with progress:
            while True:
                ended = process.poll() is not None
                status = sweep.status()
                for trial in status.trials:
                    if trial.state != "running" and trial.number not in known:
                        known.add(trial.number)
                        if not as_json:
                            console.print(said(trial, config.space), highlight=False, markup=False, soft_wrap=True)
                progress.update(bar, completed=status.ended, facts=_best_words(status))
                if ended:
                    break
                try:
                    time.sleep(0.2)
                except KeyboardInterrupt:
                    errors.print("Stopping; the trials at work write their checkpoints.")
                    control.write(sweep, "stop")
    except KeyboardInterrupt:  # a second time: the runner goes on stopping by itself
        raise NetwrightError(f"Left alone while it is stopping: {sweep.path}") from None
    if status.state not in ("finished", "stopped"):
        text = status.message or f"The runner ended unexpectedly; {sweep.log_path} may say why."
        raise NetwrightError(f"{text} `netwright sweep --resume {sweep.path}` goes on.")
    if as_json:
        print_json({"sweep": str(sweep.path), **asdict(status)})
        return
    if status.state == "stopped":
        console.print(f"Stopped. `netwright sweep --resume {sweep.path}` goes on.", highlight=False, soft_wrap=True)
    else:
        _say_best(sweep, status)
    console.print(f"Sweep folder: {sweep.path}", highlight=False, soft_wrap=True)


def said(trial: Trial, space: list[Dimension]) -> str:
    """One trial on a line."""
    values = ", ".join(f"{d.label} {written(trial.values[d.target])}" for d in space if d.target in trial.values)
    figure = f" {trial.metric:.4f}" if trial.metric is not None else ""
    reason = f" ({trial.reason})" if trial.reason else ""
    return f"Trial {trial.number + 1} {trial.state}{figure}: {values}{reason}"


def _best_words(status: SweepStatus) -> str:
    best = status.trial(status.best)
    return (
        f"best {metric_title(status.metric)} {best.metric:.4f}" if best is not None and best.metric is not None else ""
    )


def _say_best(sweep: SweepFolder, status: SweepStatus) -> None:
    best = status.trial(status.best)
    if best is None:
        raise NetwrightError(f"No trial of {sweep.path} has finished. `netwright sweep list {sweep.path}` says why.")
    console.print(f"Best: {said(best, sweep.config().space)}", highlight=False, markup=False, soft_wrap=True)
    if status.importance:
        labels = {d.target: d.label for d in sweep.config().space}
        shares = ", ".join(f"{labels.get(target, target)} {share:.0%}" for target, share in status.importance.items())
        console.print(f"What matters: {shares}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Its run: {sweep.runs / best.run}", highlight=False, markup=False, soft_wrap=True)


def list_sweeps(folder: Path, as_json: bool) -> None:
    """A table of the sweeps of a folder, or of one sweep's trials."""
    if (folder / "sweep.json").is_file():
        _list_trials(SweepFolder.open(folder), as_json)
        return
    found = [(sweep, sweep.config(), sweep.status()) for sweep in sweeps_in(folder)]
    if as_json:
        print_json([{"path": str(s.path), "config": c.model_dump(), "status": asdict(t)} for s, c, t in found])
        return
    rows = [
        (sweep.path.name, status.state, f"{status.ended}/{config.trials}", _best_words(status),
         "; ".join(f"{d.label} {d.text()}" for d in config.space))
        for sweep, config, status in found
    ]  # fmt: skip
    table(f"{len(rows)} sweeps in {folder}", ("sweep", "state", "trials", "best", "over"), rows)


def _list_trials(sweep: SweepFolder, as_json: bool) -> None:
    config, status = sweep.config(), sweep.status()
    if as_json:
        print_json({"sweep": str(sweep.path), "config": config.model_dump(), **asdict(status)})
        return
    rows = [
        (t.number + 1, t.state, f"{t.metric:.4f}" if t.metric is not None else "", f"{t.seconds:.0f} s" if t.seconds
         else "", *(written(t.values.get(d.target, "")) for d in config.space), t.reason)
        for t in status.trials
    ]  # fmt: skip
    names = ("trial", "state", metric_title(status.metric) or "figure", "took", *(d.label for d in config.space), "why")
    table(f"{sweep.path.name}: {status.state}", names, rows, right=names[2:4])


def best_of(path: Path, out: Path | None, as_json: bool) -> None:
    """The best trial; its document is written to `out`."""
    sweep = SweepFolder.open(path)
    status = sweep.status()
    best = status.trial(status.best)
    if best is None:
        raise NetwrightError(f"No trial of {path} has finished yet. `netwright sweep list {path}` says how far it is.")
    if out is not None:
        write(sweep.run(best).document(), out)
    if as_json:
        print_json({**asdict(best), "metric_name": status.metric, "run": str(sweep.runs / best.run)})
        return
    _say_best(sweep, status)
    if out is not None:
        console.print(f"Written: {out}", highlight=False, markup=False, soft_wrap=True)
