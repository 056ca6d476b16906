"""The command tree. The work of each command is in a module beside this one, imported when it runs: --help is quick."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from designer import __version__
from designer.cli.document_commands import document_app
from designer.cli.exchange_commands import exchange_app, inspect
from designer.cli.output import clear_errors, console
from designer.cli.sweep_commands import sweep_app
from designer.cli.training_commands import training_app

app = typer.Typer(
    help="Design torch vision models: draw them, see every shape, train them, export PyTorch or ONNX.",
    rich_markup_mode="rich",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for commands in (document_app, training_app, exchange_app):
    app.add_typer(commands)
app.add_typer(sweep_app, name="sweep")


def main() -> None:
    """Entry point of the `netwright` command; a document instead of a command opens it in the window."""
    words = sys.argv[1:]
    app(["gui", *words] if words and words[0].endswith(".netwright") else words)


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
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("netwright-demo"),
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.", show_default="6")] = None,
) -> None:
    """Design, train, evaluate and export a small detector, start to end."""
    from designer.cli.demo import run_demo

    with clear_errors():
        run_demo(out, epochs)
