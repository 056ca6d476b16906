"""The command tree. The work of each command is in a module beside this one, imported when it runs: --help is quick."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from designer import __version__
from designer.cli.output import clear_errors, console, fail
from designer.cli.sweep_app import sweep_app

app = typer.Typer(
    help="Design torch vision models: draw them, see every shape, train them, export PyTorch or ONNX.",
    rich_markup_mode="rich",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

data_app = typer.Typer(help="Look at a data set: what is wrong with it, its figures.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(sweep_app, name="sweep")

File = Annotated[Path, typer.Argument(help="A .netwright document.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
Devices = Annotated[int | None, typer.Option(min=1, help="GPUs, or CPU processes, a machine.", show_default=False)]
Weights = Annotated[
    Path | None,
    typer.Option(help="A run folder, a checkpoint or a .safetensors file.", show_default=False),
]


def main() -> None:
    """Entry point of the `netwright` command."""
    app()


def has_display() -> bool:
    """Whether a window can be shown: always on Windows and macOS, by the session's variables elsewhere."""
    if sys.platform in ("win32", "darwin") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Without a command, opens the window; with no display, runs the demo in the terminal."""
    if version:
        console.print(f"netwright {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        gui()


@app.command()
def gui(
    file: Annotated[Path | None, typer.Argument(help="A document to open.", show_default=False)] = None,
    profile_startup: Annotated[bool, typer.Option(help="Print how long the first frame took, and leave.")] = False,
) -> None:
    """Open the window (the default)."""
    if not has_display():
        console.print("No display found, so the same job runs here in the terminal: netwright demo")
        demo()
        return
    from designer.ui.app import main as open_window

    with clear_errors():
        raise typer.Exit(open_window(file, profile_startup=profile_startup))


@app.command()
def view(
    file: Annotated[Path, typer.Argument(help="An .onnx, .safetensors, .pt or .pth file.", show_default=False)],
) -> None:
    """Look at a model file in the window: its graph, its tensors and their figures."""
    if not has_display():
        console.print("No display found, so here is its summary: netwright inspect")
        inspect(file)
        return
    gui(file)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="An .onnx, .safetensors, .pt or .pth file.", show_default=False)],
    json: Json = False,
) -> None:
    """Say what is in a model file: inputs, outputs, operators, tensors, metadata. Runs no code of it."""
    from designer.cli.inspecting import inspect_file

    with clear_errors():
        inspect_file(file, json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("netwright-demo"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.", show_default="6")] = None,
) -> None:
    """Design, train, evaluate and export a small detector, start to end."""
    from designer.cli.demo import run_demo

    with clear_errors():
        run_demo(out, epochs)


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="The document to write.", show_default=False)],
    template: Annotated[str, typer.Option(help="See `netwright templates`.")] = "quick-start",
) -> None:
    """Write a new document from a template."""
    from designer.cli.documents import new_document

    with clear_errors():
        new_document(file, template)


@app.command()
def templates(json: Json = False) -> None:
    """List the templates."""
    from designer.cli.documents import list_templates

    with clear_errors():
        list_templates(json)


@app.command()
def components(
    name: Annotated[str, typer.Argument(help="An id, or words to search for.", show_default=False)] = "",
    json: Json = False,
) -> None:
    """List the components, or describe one."""
    from designer.cli.documents import list_components

    with clear_errors():
        list_components(name, json)


@app.command()
def check(file: File, json: Json = False) -> None:
    """Say what is wrong with a document. Exit code 2 when it cannot run."""
    from designer.cli.documents import check_document

    with clear_errors():
        check_document(file, json)


@app.command()
def summary(file: File, json: Json = False) -> None:
    """Shapes, parameters, multiply-accumulates and memory of every node."""
    from designer.cli.documents import summarise

    with clear_errors():
        summarise(file, json)


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(help="A .netwright document or a run folder.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="Another one.", show_default=False)],
    picture: Annotated[
        Path | None, typer.Option(help="Draw both as one picture, .svg or .png.", show_default=False)
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Draw it light on dark.")] = False,
    json: Json = False,
) -> None:
    """Say what differs between two documents, or the documents of two runs."""
    from designer.cli.documents import diff_documents

    with clear_errors():
        diff_documents(a, b, json, picture, dark=dark)


@app.command()
def merge_driver(
    base: Annotated[Path | None, typer.Argument(help="The common ancestor (%O).", show_default=False)] = None,
    ours: Annotated[
        Path | None, typer.Argument(help="Our edit (%A), which takes the result.", show_default=False)
    ] = None,
    theirs: Annotated[Path | None, typer.Argument(help="Their edit (%B).", show_default=False)] = None,
    path: Annotated[str, typer.Option(help="What messages call the file (%P).")] = "",
    install: Annotated[
        bool, typer.Option("--install", help="Register with the git repository of this folder.")
    ] = False,
    text: Annotated[
        Path | None, typer.Option(help="Print a document in words, for git diff.", show_default=False)
    ] = None,
) -> None:
    """Merge two edits of a document for git, node by node. Exit code 1 when conflicts are left."""
    from designer.cli import merging

    with clear_errors():
        if install:
            merging.install()
        elif text is not None:
            merging.show_text(text)
        elif base is None or ours is None or theirs is None:
            raise typer.BadParameter("Three files are needed: the ancestor, ours and theirs; or --install.")
        else:
            merging.merge_files(base, ours, theirs, path)


@app.command()
def advise(
    file: Annotated[Path, typer.Argument(help="A .netwright document.", show_default=False)],
    goal: Annotated[Literal["auto", "scratch", "fine-tune"], typer.Option(help="What the training is for.")] = "auto",
    apply: Annotated[bool, typer.Option("--apply", help="Write the advised settings into the document.")] = False,
    json: Json = False,
) -> None:
    """Advise on optimizer, rate and schedule, with the reasons."""
    from designer.cli.advise import advise_on

    with clear_errors():
        advise_on(file, goal, apply, json)


@app.command()
def anchors(
    file: File,
    write: Annotated[bool, typer.Option("--write", help="Write the fitted anchors into the document.")] = False,
    json: Json = False,
) -> None:
    """Fit the anchors of a document's heads to its training boxes."""
    from designer.cli.anchors import anchors_of

    with clear_errors():
        anchors_of(file, write, json)


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="A data set, or a .netwright document.", show_default=False)],
    json: Json = False,
) -> None:
    """List every bad file and label of a data set. Exit code 1 when there are errors."""
    from designer.cli.data import check_files

    with clear_errors():
        check_files(path, json)


@data_app.command("summary")
def data_summary(
    path: Annotated[Path, typer.Argument(help="A data set, or a .netwright document.", show_default=False)],
    size: Annotated[int, typer.Option(min=32, help="Side of the model's input; a document has its own.")] = 640,
    json: Json = False,
) -> None:
    """Images, classes, sizes of boxes, and what may spoil training."""
    from designer.cli.data import summarise_files

    with clear_errors():
        summarise_files(path, size, json)


@app.command()
def train(
    file: Annotated[Path | None, typer.Argument(help="A .netwright document.", show_default=False)] = None,
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


@app.command()
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


@app.command()
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


@app.command()
def fetch(run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)]) -> None:
    """Bring checkpoints, samples and logs of a run that trains on a host, as they are now."""
    from designer.cli.cluster import fetch_run

    with clear_errors():
        fetch_run(run)


@app.command("lr-find")
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


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the runs.")] = Path("runs"),
    search: Annotated[str, typer.Option(help="Words in a run's name, state, device or note.")] = "",
    json: Json = False,
) -> None:
    """List the runs of a folder: state, best figure, epochs."""
    from designer.cli.runs import list_runs

    with clear_errors():
        list_runs(folder, search, json)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
    speed: Annotated[bool, typer.Option(help="Measure latency and throughput too.")] = True,
    json: Json = False,
) -> None:
    """Measure a run's best checkpoint on its validation data, and its speed on this machine."""
    from designer.cli.runs import evaluate_run

    with clear_errors():
        evaluate_run(run, json, speed)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)],
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


@app.command()
def weights(
    file: File,
    checkpoint: Annotated[
        Path, typer.Argument(help="A .safetensors, a .pt of plain tensors, or a run folder.", show_default=False)
    ],
    write: Annotated[bool, typer.Option("--write", help="Make the document start from what fits.")] = False,
    json: Json = False,
) -> None:
    """Say what of a checkpoint fits a document: taken, left over, missing."""
    from designer.cli.weights import weights_of

    with clear_errors():
        weights_of(file, checkpoint, write, json)


@app.command()
def finetune(
    base: Annotated[Path, typer.Argument(help="A run folder, or a .netwright document.", show_default=False)],
    data: Annotated[str, typer.Option(help="KIND:PATH, such as yolo:data.yaml, or shapes:2.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The document to write.", show_default=False)],
    weights: Annotated[
        str, typer.Option(help="A checkpoint, or published ones such as torchvision:resnet50; a run has its own.")
    ] = "",
    task: Annotated[
        Literal["", "detect", "segment", "classify"], typer.Option(help="By default as before, where the data fits.")
    ] = "",
    channels: Annotated[int, typer.Option(min=1, help="Of the new images.")] = 3,
    freeze: Annotated[bool, typer.Option("--freeze", help="Keep the early layers as they are.")] = False,
    json: Json = False,
) -> None:
    """Write a document that goes on from a trained one on other data: classes, task or channels may differ."""
    from designer.cli.weights import finetune as fine_tune

    with clear_errors():
        fine_tune(base, data, out, weights, task, channels, freeze, json)


@app.command(name="import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="An ONNX file, a Python file, or a model table in YAML.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="The document; here by default.", show_default=False)] = None,
    scale: Annotated[str, typer.Option(help="Table: which of its scales, such as n.")] = "",
    object_: Annotated[
        str, typer.Option("--object", help="Python: the module, class or function that gives the model.")
    ] = "",
    size: Annotated[str, typer.Option(help="The image where the file leaves it free: 640, 480x640, 3x480x640.")] = "",
    trust: Annotated[bool, typer.Option("--trust", help="Python: you have read the file and let it run.")] = False,
    json: Json = False,
) -> None:
    """Draw another program's model as a document, weights carried: ONNX, a torch module, or a YOLO table."""
    from designer.cli.importing import import_model

    with clear_errors():
        import_model(file, out, scale, object_, size, trust, json)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A .netwright document or a run folder.", show_default=False)],
    to: Annotated[
        Literal["pytorch", "onnx", "pt2", "weights"],
        typer.Option(help="A PyTorch folder, an ONNX file, a torch.export program, or safetensors."),
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="Where to; beside the document by default.", show_default=False)
    ] = None,
    weights: Weights = None,
    opset: Annotated[int, typer.Option(help="ONNX: version of the operators.")] = 20,
    batch: Annotated[int, typer.Option(help="ONNX: images at once; 0 leaves it free.")] = 0,
    free_size: Annotated[bool, typer.Option("--free-size", help="ONNX: any height and width, by the stride.")] = False,
    no_nms: Annotated[bool, typer.Option("--no-nms", help="ONNX: end at the heads, with every candidate.")] = False,
    precision: Annotated[Literal["fp32", "fp16", "int8"], typer.Option(help="ONNX: int8 needs the data set.")] = "fp32",
    calibration: Annotated[int, typer.Option(help="ONNX: training images for the ranges of int8.")] = 128,
    measure: Annotated[int, typer.Option(help="ONNX: validation images for metrics before and after.")] = 0,
    slim: Annotated[bool, typer.Option("--slim", help="ONNX: simplify with onnxslim.")] = False,
    openvino: Annotated[bool, typer.Option("--openvino", help="ONNX: write OpenVINO's files too.")] = False,
    json: Json = False,
) -> None:
    """Write readable PyTorch code, a verified ONNX file, a torch.export program, or the weights alone."""
    from designer.cli.exporting import export_model

    options = {
        "opset": opset, "batch": batch, "free_size": free_size, "post": not no_nms, "precision": precision,
        "calibration": calibration, "measure": measure, "slim": slim, "openvino": openvino,
    }  # fmt: skip
    with clear_errors():
        export_model(file, to, out, weights, options, json)
