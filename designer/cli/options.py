"""Arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(help="A .netwright document.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
