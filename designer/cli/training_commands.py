"""The commands that train, here and elsewhere, and use what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from designer.cli.options import File, Json, PerhapsFile, Run
from designer.cli.output import clear_errors, fail

training_app = typer.Typer()

Devices = Annotated[int | None, typer.Option(min=1, help="GPUs, or CPU processes, a machine.", show_default=False)]


@training_app.command()
def train(
    file: PerhapsFile = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run folder.", show_default=False)] = None,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    name: Annotated[str, typer.Option(help="Name of the run; made from the document's by default.")] = "",
    data: Annotated[
        str, typer.Option(help="KIND:PATH, such as yolo:data.yaml, coco:FOLDER, voc:FOLDER, folder:IMAGES, or shapes.")
    ] = "",
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch: Annotated[int | None, typer.Option(min=0, help="0 finds the most that fit into memory.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "",
    devices: Devices = None,
    strategy: Annotated[
        Literal["ddp", "fsdp"] | None, typer.Option(help="Several devices: copies of the model, or the model spread.")
    ] = None,
    num_nodes: Annotated[int | None, typer.Option(min=1, help="Machines; start this on each of them.")] = None,
    node_rank: Annotated[int | None, typer.Option(min=0, help="Which of them this is, from 0.")] = None,
    main_address: Annotated[str, typer.Option(help="Host name of the first.")] = "",
    main_port: Annotated[int | None, typer.Option(help="Where it listens; and at the next port.")] = None,
    on: Annotated[str, typer.Option(help="user@host[:folder] to train on, or a name of `netwright hosts`.")] = "",
    send_data: Annotated[bool, typer.Option(help="Copy the data set to the host; else its path is one there.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Start in the background, after the other runs.")] = False,
    json: Json = False,
) -> None:
    """Train a document, or go on with a run."""
    from designer.cli.runs import train_document
    from designer.train.launch import place_of

    given = {"epochs": epochs, "batch": batch, "learning_rate": learning_rate, "device": device or None}
    given |= {"devices": devices, "strategy": strategy}
    changes = {k: v for k, v in given.items() if v is not None}
    with clear_errors():
        place = place_of(num_nodes, node_rank, main_address, main_port)
        train_document(
            file, resume, runs, name, data, changes, json, in_queue=queue, place=place, on=on, send_data=send_data
        )


@training_app.command()
def slurm(
    file: File,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs; all machines see it.")] = Path("runs"),
    name: Annotated[str, typer.Option(help="Name of the run; made from the document's by default.")] = "",
    devices: Devices = None,
    num_nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    time: Annotated[str, typer.Option(help="Limit, as SLURM writes it; then the job is queued again.")] = "24:00:00",
    partition: Annotated[str, typer.Option(help="Queue of the cluster.")] = "",
    account: Annotated[str, typer.Option(help="Who pays.")] = "",
    sbatch: Annotated[list[str] | None, typer.Option(help="A further option of sbatch, such as --mem=64G.")] = None,
) -> None:
    """Make a run folder and print a batch script for SLURM that trains it: netwright slurm FILE > job.sh"""
    from designer.cli.cluster import slurm_script

    with clear_errors():
        slurm_script(
            file, runs, name, {} if devices is None else {"devices": devices},
            nodes=num_nodes, time=time, partition=partition, account=account, more=sbatch or [],
        )  # fmt: skip


@training_app.command()
def hosts(
    name: Annotated[str, typer.Argument(help="What to call it.", show_default=False)] = "",
    address: Annotated[str, typer.Argument(help="user@host[:folder] as ssh takes it.", show_default=False)] = "",
    command: Annotated[str, typer.Option(help="What starts Netwright there.")] = "netwright",
    remove: Annotated[bool, typer.Option("--remove", help="Forget the host of this name.")] = False,
    json: Json = False,
) -> None:
    """List the machines to train on; with a name and an address, keep one."""
    from designer.cli.cluster import edit_hosts

    with clear_errors():
        edit_hosts(name, address, command, remove, json)


@training_app.command()
def fetch(run: Run) -> None:
    """Bring checkpoints, samples and logs of a run that trains on a host, as they are now."""
    from designer.cli.cluster import fetch_run

    with clear_errors():
        fetch_run(run)


@training_app.command("lr-find")
def lr_find(
    file: File,
    data: Annotated[str, typer.Option(help="KIND:PATH, as `train` takes it; the document's by default.")] = "",
    steps: Annotated[int, typer.Option(min=20, help="From the lowest rate to the highest.")] = 200,
    write: Annotated[bool, typer.Option("--write", help="Write the suggested rate into the document.")] = False,
    json: Json = False,
) -> None:
    """Sweep the learning rate on the real data and suggest one."""
    from designer.cli.rates import find_rate_of

    with clear_errors():
        find_rate_of(file, data, steps, write, json)


@training_app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the runs.")] = Path("runs"),
    search: Annotated[str, typer.Option(help="Words in a run's name, state, device or note.")] = "",
    json: Json = False,
) -> None:
    """List the runs of a folder: state, best figure, epochs."""
    from designer.cli.runs import list_runs

    with clear_errors():
        list_runs(folder, search, json)


@training_app.command()
def evaluate(
    run: Run,
    speed: Annotated[bool, typer.Option(help="Measure latency and throughput too.")] = True,
    json: Json = False,
) -> None:
    """Measure a run's best checkpoint on its validation data, and its speed on this machine."""
    from designer.cli.runs import evaluate_run

    with clear_errors():
        evaluate_run(run, json, speed)


@training_app.command()
def predict(
    run: Run,
    images: Annotated[
        list[Path], typer.Argument(help="Image files or folders; a video; or camera:0.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the drawn images.")] = Path("predictions"),
    save: Annotated[
        list[Path] | None,
        typer.Option(
            help="Of a video or camera: .mp4 or .avi, .json (COCO), .jsonl (a line a frame).", show_default=False
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Lowest score drawn.")] = 0.25,
    save_json: Annotated[
        Path | None, typer.Option(help="A COCO file of everything that was found.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Run a trained model on images, a video or a camera, and draw what it finds."""
    from designer.cli.runs import predict_images
    from designer.train.sources import moves

    with clear_errors():
        if any(moves(source) for source in images):
            from designer.cli.video import predict_video

            predict_video(run, list(map(str, images)), save or [], out, threshold, json, save_json)
            return
        if save:
            raise fail("--save is for a video or a camera. Use --out and --save-json for images.")
        predict_images(run, images, out, threshold, json, save_json)
