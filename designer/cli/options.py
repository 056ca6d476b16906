"""Arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from designer.cli.output import fail


def _checked(hint: str) -> Callable[[typer.Context, Path | None], Path | None]:
    """Says at once that a path leads nowhere: most commands begin by loading torch, which takes seconds."""

    def check(context: typer.Context, path: Path | None) -> Path | None:
        if path is not None and not path.exists() and not context.resilient_parsing:
            raise fail(f"{path}: There is no such file.{hint}")
        return path

    return check


there = _checked("")
_there = _checked(" `netwright new` makes a document, `netwright train` a run.")

File = Annotated[Path, typer.Argument(help="A .netwright document.", show_default=False, callback=_there)]
PerhapsFile = Annotated[Path | None, typer.Argument(help="A .netwright document.", show_default=False, callback=_there)]
Run = Annotated[Path, typer.Argument(help="A run folder.", show_default=False, callback=_there)]
FileOrRun = Annotated[
    Path, typer.Argument(help="A .netwright document or a run folder.", show_default=False, callback=_there)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
