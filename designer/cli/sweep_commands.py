"""The commands of `netwright sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import typer.core

from designer.cli.options import Json, PerhapsFile
from designer.cli.output import clear_errors, fail


class SweepGroup(typer.core.TyperGroup):
    """`sweep FILE ...` is `sweep run FILE ...`: what begins with no subcommand is a sweep to run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


sweep_app = typer.Typer(
    help="Try values of a document's parameters: `netwright sweep FILE --param ...`, list, best.",
    cls=SweepGroup, no_args_is_help=True,
)  # fmt: skip


@sweep_app.command("run")
def sweep_run(
    file: PerhapsFile = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="NODE.PARAMETER or training.SETTING, with =1..4, =1e-4..1e-1:log or =a,b,c; else sensible values.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many trials.", show_default="20")] = None,
    metric: Annotated[str, typer.Option(help="map, top1, val_loss, ...; by default the run's main figure.")] = "",
    sampler: Annotated[Literal["tpe", "random", "grid"], typer.Option(help="How values are chosen.")] = "tpe",
    pruner: Annotated[
        Literal["median", "hyperband", "none"], typer.Option(help="How bad trials end early.")
    ] = "median",
    jobs: Annotated[int | None, typer.Option(min=1, help="Trials at once.", show_default="1")] = None,
    seed: Annotated[int, typer.Option(help="Of the values that are chosen.")] = 0,
    sweeps: Annotated[Path, typer.Option(help="Folder that holds the sweeps.")] = Path("sweeps"),
    resume: Annotated[Path | None, typer.Option(help="Go on with this sweep's folder.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Try values of a document's parameters; each trial is a run. Ctrl+C stops, --resume goes on."""
    from designer.cli.sweeps import resume_sweep, run_sweep

    with clear_errors():
        if (file is None) == (resume is None):
            raise fail("Say what to sweep over: a .netwright document, or --resume SWEEP.")
        if resume is not None:
            if param or metric:
                raise fail("A resumed sweep keeps what it tries. Leave --param and --metric out, or start a new sweep.")
            resume_sweep(resume, trials, jobs, json)
            return
        options = {"metric": metric, "sampler": sampler, "pruner": pruner, "seed": seed}
        run_sweep(file, param or [], sweeps, {**options, "trials": trials or 20, "jobs": jobs or 1}, json)


@sweep_app.command("list")
def sweep_list(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the sweeps, or a sweep's.")] = Path("sweeps"),
    json: Json = False,
) -> None:
    """List the sweeps of a folder, or the trials of a sweep."""
    from designer.cli.sweeps import list_sweeps

    with clear_errors():
        list_sweeps(folder, json)


@sweep_app.command("best")
def sweep_best(
    sweep: Annotated[Path, typer.Argument(help="A sweep's folder.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Write the best trial's document here.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Say which trial is the best, and write its document."""
    from designer.cli.sweeps import best_of

    with clear_errors():
        best_of(sweep, out, json)
