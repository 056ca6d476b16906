"""The commands by which models and weights come in and go out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from designer.cli.options import File, FileOrRun, Json, there
from designer.cli.output import clear_errors

exchange_app = typer.Typer()

Weights = Annotated[
    Path | None,
    typer.Option(help="A run folder, a checkpoint or a .safetensors file.", show_default=False, callback=there),
]


@exchange_app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="An .onnx, .safetensors, .pt or .pth file.", show_default=False)],
    json: Json = False,
) -> None:
    """Say what is in a model file: inputs, outputs, operators, tensors, metadata. Runs no code of it."""
    from designer.cli.inspecting import inspect_file

    with clear_errors():
        inspect_file(file, json)


@exchange_app.command()
def weights(
    file: File,
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A .safetensors, a .pt of plain tensors, or a run folder.", show_default=False, callback=there
        ),
    ],
    write: Annotated[bool, typer.Option("--write", help="Make the document start from what fits.")] = False,
    json: Json = False,
) -> None:
    """Say what of a checkpoint fits a document: taken, left over, missing."""
    from designer.cli.weights import weights_of

    with clear_errors():
        weights_of(file, checkpoint, write, json)


@exchange_app.command()
def finetune(
    base: FileOrRun,
    data: Annotated[str, typer.Option(help="KIND:PATH, such as yolo:data.yaml, or shapes:2.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The document to write.", show_default=False)],
    weights: Annotated[
        str, typer.Option(help="A checkpoint, or published ones such as torchvision:resnet50; a run has its own.")
    ] = "",
    task: Annotated[
        Literal["", "detect", "segment", "semantic", "classify"],
        typer.Option(help="By default as before, where the data fits."),
    ] = "",
    channels: Annotated[int, typer.Option(min=1, help="Of the new images.")] = 3,
    freeze: Annotated[bool, typer.Option("--freeze", help="Keep the early layers as they are.")] = False,
    json: Json = False,
) -> None:
    """Write a document that goes on from a trained one on other data: classes, task or channels may differ."""
    from designer.cli.weights import finetune as fine_tune

    with clear_errors():
        fine_tune(base, data, out, weights, task, channels, freeze, json)


@exchange_app.command(name="import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="An ONNX file, a Python file, or a model table in YAML.", show_default=False, callback=there
        ),
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


@exchange_app.command()
def export(
    file: FileOrRun,
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
