"""Commands about runs: train, evaluate, predict, export."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from designer.cli.output import console, count, errors, print_json, table
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.storage import write_text
from designer.train import control
from designer.train.events import METRICS, EventTail
from designer.train.hosts import parse_host
from designer.train.launch import AGAIN, Place, agree_on_run
from designer.train.queue import put_in_queue, start_next
from designer.train.remote import send_run
from designer.train.run import RunFolder, start_training
from designer.train.run_list import RunList, metric_title

if TYPE_CHECKING:
    from designer.graph.model import GraphData

ALONE = Place()


def train_document(
    file: Path | None, resume: Path | None, runs: Path, name: str, data: str, changes: dict[str, Any], as_json: bool,
    in_queue: bool = False, place: Place = ALONE, on: str = "", send_data: bool = False,
) -> None:  # fmt: skip
    """Starts the trainer process, the same one that the window starts, and shows what it says.

    With `in_queue` it starts in the background when the other runs of its folder have ended. Of several machines the
    first makes the run folder and shows what is said. `on` names a host that trains it instead,
    with the images if `send_data`.
    """
    host = parse_host(on) if on else None
    if (file is None) == (resume is None):
        raise NetwrightError("Say what to train: a .netwright document, or --resume RUN.")
    if resume is not None:
        run = RunFolder.open(resume)
        if changes or data or name or on:
            raise NetwrightError("A resumed run keeps its settings. Leave the other options out, or start a new run.")
    else:
        assert file is not None
        document = Document.load(file)
        use_data(document, data, here=host is None or send_data)
        document.set_training(**changes)
        before_training(document.data, here=host is None, data_here=host is None or send_data)
        made = None
        if place.rank == 0:
            made = RunFolder.create(runs, document.data, name or document.data.name).path
        run = RunFolder.open(agree_on_run(place, made) if made is None or place.nodes > 1 else made)
        if host is not None:
            send_run(run, host, send_data and document.data.data.kind != "shapes")
    if place.rank > 0:
        help_along(run, place, resume is not None)
        return
    if in_queue:
        enqueue(run, as_json)
        return
    metrics = follow(run, resume=resume is not None, quiet=as_json, place=place)
    if as_json:
        print_json({"run": str(run.path), "metrics": metrics})
    else:
        console.print(f"\nRun folder: {run.path}", highlight=False, soft_wrap=True)


def use_data(document: Document, data: str, *, here: bool = True) -> None:
    """Takes the data of the option `--data KIND:PATH`, where it was given; a path of this machine if `here`."""
    kind, _, path = data.partition(":")
    if kind:
        document.set_data(kind=kind, path=str(Path(path).expanduser().resolve()) if path and here else path)


def help_along(run: RunFolder, place: Place, resume: bool) -> None:
    """Trains on a machine that is not the first, until all end."""
    errors.print(f"Machine {place.rank + 1} of {place.nodes} trains {run.path}.", highlight=False, soft_wrap=True)
    if code := start_training(run, resume=resume, place=place).wait():
        raise NetwrightError(f"The run ended with code {code} here. {run.log_path} may say why.")


def enqueue(run: RunFolder, as_json: bool) -> None:
    """Lets a run wait for the others of its folder; where none is at work it starts at once."""
    place = put_in_queue(run)
    started = start_next(run.path.parent)
    if as_json:
        print_json({"run": str(run.path), "place": 0 if started else place})
    else:
        said = "Training in the background" if started else f"Waits in the queue, place {place}"
        console.print(f"{said}: {run.path}", highlight=False, soft_wrap=True)


def list_runs(folder: Path, search: str, as_json: bool) -> None:
    """A table of the runs of a folder, newest first."""
    found = [info for info in RunList().read(folder) if info.matches(search)]
    if as_json:
        print_json([asdict(info) for info in found])
        return
    rows = [
        (i.path.name, i.state, f"{i.epoch}/{i.epochs}", f"{metric_title(i.metric)} {i.best:.3f}" if i.best is not None
         else "", time.strftime("%Y-%m-%d %H:%M", time.localtime(i.started)) if i.started else "", i.device, i.note)
        for i in found
    ]  # fmt: skip
    table(f"{len(rows)} runs in {folder}", ("run", "state", "epochs", "best", "started", "device", "note"), rows)


def before_training(data: GraphData, *, here: bool = True, data_here: bool = True) -> None:
    """Raises what would stop the trainer at once, so that a bad start leaves no run folder behind.

    With `here` False it will train on another machine, whose device and memory are not known, nor its data set without
    `data_here`.
    """
    from designer.data.dataset import load_dataset
    from designer.engine.compile import compile_document
    from designer.train.checks import check_classes
    from designer.train.memory import check_batch
    from designer.train.processes import make_accelerator
    from designer.train.tasks import task_of
    from designer.train.trackers import check_tracker

    check_tracker(data.training.tracker)
    compiled = compile_document(data)
    task = task_of(compiled)
    if data_here:
        splits = load_dataset(data.data, compiled.image_size, task, data.training)
        check_classes(data, compiled, splits.class_names)
    if here:
        device = make_accelerator(data.training.device, data.training.amp, 1).device
        check_batch(data, device, data.training.devices)


def follow(run: RunFolder, *, resume: bool = False, quiet: bool = False, place: Place = ALONE) -> dict[str, Any]:
    """Trains a run and shows its progress until it ends. Ctrl+C asks it to stop and waits for its checkpoint.

    Returns:
        The last metrics.

    Raises:
        NetwrightError: what the trainer said was wrong.
    """
    tail = EventTail(run.events_path)
    tail.read()  # what an earlier trainer said
    process = start_training(run, resume=resume, place=place)
    show = _Show(quiet)
    try:
        with show.progress:
            while True:
                ended = process.poll() is not None
                for event in tail.read():
                    show.event(event)
                if ended:
                    break
                try:
                    time.sleep(0.1)
                except KeyboardInterrupt:
                    errors.print("Stopping after this step; a checkpoint is written.")
                    control.write(run, "stop")
    except KeyboardInterrupt:  # a second time, while stopping
        process.kill()
        raise
    if show.error:
        raise NetwrightError(show.error)
    if process.returncode == AGAIN:
        errors.print("Ended by a signal, after a checkpoint.")
    elif process.returncode != 0:
        raise NetwrightError(
            f"The trainer ended unexpectedly (exit code {process.returncode}). "
            f"`netwright train --resume {run.path}`: {run.resume_words()} {run.log_path} may say why."
        )
    return show.metrics


class _Show:
    """Turns events into a progress bar and lines."""

    def __init__(self, quiet: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        self.progress = Progress(*columns, console=errors, disable=quiet or not sys.stderr.isatty())
        self.bar = self.progress.add_task("Starting", total=None, facts="")
        self.quiet, self.error = quiet, ""
        self.metrics: dict[str, Any] = {}
        self.epochs = 0

    def event(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "start":
                self.epochs = event["epochs"]
                self.progress.update(self.bar, total=event["epochs"] * event["batches"], description="Training")
                again = f", resumed from step {event['resumed_from']}" if event.get("resumed_from") is not None else ""
                self._line(
                    f"Training on {event['device']}: {count(event['params'])} parameters, "
                    f"{event['images']} images{again}"
                )
            case "step":
                facts = f"loss {event['loss']:.3f}  {event['images_per_s']:.0f} images/s"
                self.progress.update(self.bar, completed=event["step"], facts=facts)
            case "metrics":
                self.metrics = event["values"]
                shown = ", ".join(f"{label} {self.metrics[k]:.3f}" for k, label in METRICS.items() if k in self.metrics)
                self._line(f"Epoch {event['epoch'] + 1} of {self.epochs}: {shown}")
            case "note":
                self._line(event["message"])
            case "warning":
                self._line(f"Warning: {event['message']}")
            case "paused" | "resumed" | "stopped":
                self._line(f"{event['type'].capitalize()} at step {event['step']}.")
            case "error":
                self.error = f"{event['message']} {event.get('hint', '')}".strip()

    def _line(self, text: str) -> None:
        if not self.quiet:
            (self.progress.console if not self.progress.disable else console).print(text, highlight=False)


def evaluate_run(path: Path, as_json: bool, speed: bool = True) -> None:
    """Metrics of the best checkpoint on its validation data, and how fast it is here."""
    run = RunFolder.open(path)
    from designer.train import trained  # torch, which takes seconds, once there is a run
    from designer.train.speed import measure_speed

    values = trained.evaluate_run(run)
    fast = measure_speed(trained.load_trained(run), run.document().training.batch) if speed else {}
    if as_json:
        print_json({"run": str(path), **values, **({"speed": fast} if speed else {})})
        return
    rows = [(label, f"{values[k]:.4f}") for k, label in METRICS.items() if k in values]
    figure = "IoU" if "miou" in values else "AP"
    rows += [(f"{figure} of {name}", f"{v:.4f}") for name, v in values.get("per_class", {}).items()]
    if speed:
        rows += [
            ("Latency of one image, median", f"{fast['latency_p50_ms']:.1f} ms"),
            ("Latency of one image, 95 %", f"{fast['latency_p95_ms']:.1f} ms"),
            (f"Images a second, batch {fast['batch']}", f"{fast['images_per_s']:.1f}"),
            ("Device", f"{fast['device']}" + (f", {fast['threads']} threads" if fast["device"] == "cpu" else "")),
        ]
    table(f"{run.path.name}: {values['images']} validation images", ("metric", "value"), rows, right=("value",))


def predict_images(
    path: Path, images: list[Path], out: Path, threshold: float, as_json: bool, save_json: Path | None = None
) -> None:
    """Draws what is found on a copy of each image, and lists it; `save_json` writes it all as a COCO file.

    Of a semantic segmenter a PNG of class indices is written beside each drawn copy, and classes are listed with their
    shares of the image.
    """
    run = RunFolder.open(path)
    for image in images:
        if not image.exists():
            raise NetwrightError(f"{image}: There is no such file.")
    from torchvision.io import write_png  # as torch it takes seconds

    from designer.data.masks import from_runs
    from designer.train import predictor, trained
    from designer.train.found import LEAST, above, coco_json
    from designer.train.plots import draw_classes, draw_found, write_classes

    model = trained.load_trained(run)
    boxes, maps = model.task in ("detect", "segment"), model.task == "semantic"
    if save_json is not None and not boxes:
        raise NetwrightError("This model finds no boxes, so there is nothing for a COCO file. Use --json.")
    facts = []
    out.mkdir(parents=True, exist_ok=True)
    for found in trained.predict(model, images):
        fact = predictor.as_json(found, model.class_names)
        if save_json is None:
            fact["found"] = above(fact["found"], threshold if boxes else 0)
        if boxes:
            fact["drawn"] = str(out / f"{found.path.stem}.png")
            masks = from_runs(found.masks) if found.masks else None
            drawn = draw_found(
                found.image, found.boxes, found.scores, found.labels, model.class_names, threshold, masks=masks
            )
            write_png(drawn.contiguous(), fact["drawn"])
        if found.classes is not None:
            fact["drawn"], fact["classes"] = (str(out / f"{found.path.stem}{end}.png") for end in ("", "-classes"))
            write_png(draw_classes(found.image, found.classes, model.class_names).contiguous(), fact["drawn"])
            write_classes(found.classes, Path(fact["classes"]))
        facts.append(fact)
        if not as_json:
            rows = above(fact["found"], threshold if boxes else 0)
            said = ", ".join(f"{r['class']} {r['score']:{'.1%' if maps else '.2f'}}" for r in rows) or "nothing"
            console.print(f"{found.path}: {said}", highlight=False, markup=False, soft_wrap=True)
    if save_json is not None:
        write_text(save_json, json.dumps(coco_json(facts, model.class_names, LEAST)))
    if as_json:
        print_json([{**fact, "found": above(fact["found"], threshold if boxes else 0)} for fact in facts])
    elif boxes or maps:
        console.print(f"Drawn images: {out}")
