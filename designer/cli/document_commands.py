"""The commands that make, check, compare and change documents, and look at data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from designer.cli.options import File, FileOrRun, Json
from designer.cli.output import clear_errors

document_app = typer.Typer()
data_app = typer.Typer(help="Look at a data set: what is wrong with it, its figures.", no_args_is_help=True)
document_app.add_typer(data_app, name="data")


@document_app.command()
def new(
    file: Annotated[Path, typer.Argument(help="The document to write.", show_default=False)],
    template: Annotated[str, typer.Option(help="See `netwright templates`.")] = "quick-start",
) -> None:
    """Write a new document from a template."""
    from designer.cli.documents import new_document

    with clear_errors():
        new_document(file, template)


@document_app.command()
def templates(json: Json = False) -> None:
    """List the templates."""
    from designer.cli.documents import list_templates

    with clear_errors():
        list_templates(json)


@document_app.command()
def components(
    name: Annotated[str, typer.Argument(help="An id, or words to search for.", show_default=False)] = "",
    json: Json = False,
) -> None:
    """List the components, or describe one."""
    from designer.cli.documents import list_components

    with clear_errors():
        list_components(name, json)


@document_app.command()
def check(file: File, json: Json = False) -> None:
    """Say what is wrong with a document. Exit code 2 when it cannot run."""
    from designer.cli.documents import check_document

    with clear_errors():
        check_document(file, json)


@document_app.command()
def summary(
    file: File,
    parts: Annotated[bool, typer.Option("--parts", help="Also of the components inside composites.")] = False,
    json: Json = False,
) -> None:
    """Shapes, parameters, multiply-accumulates and memory of every node."""
    from designer.cli.documents import summarise

    with clear_errors():
        summarise(file, json, parts)


@document_app.command()
def diff(
    a: FileOrRun,
    b: FileOrRun,
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


@document_app.command()
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


@document_app.command()
def advise(
    file: File,
    goal: Annotated[Literal["auto", "scratch", "fine-tune"], typer.Option(help="What the training is for.")] = "auto",
    apply: Annotated[bool, typer.Option("--apply", help="Write the advised settings into the document.")] = False,
    json: Json = False,
) -> None:
    """Advise on optimizer, rate and schedule, with the reasons."""
    from designer.cli.advise import advise_on

    with clear_errors():
        advise_on(file, goal, apply, json)


@document_app.command()
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
    path: Annotated[Path, typer.Argument(help="A data set, its KIND:PATH, or a document.", show_default=False)],
    json: Json = False,
) -> None:
    """List every bad file and label of a data set. Exit code 1 when there are errors."""
    from designer.cli.data import check_files

    with clear_errors():
        check_files(path, json)


@data_app.command("summary")
def data_summary(
    path: Annotated[Path, typer.Argument(help="A data set, its KIND:PATH, or a document.", show_default=False)],
    size: Annotated[int, typer.Option(min=32, help="Side of the model's input; a document has its own.")] = 640,
    json: Json = False,
) -> None:
    """Images, classes, sizes of boxes, and what may spoil training."""
    from designer.cli.data import summarise_files

    with clear_errors():
        summarise_files(path, size, json)
