"""How the commands speak: rich tables for people, JSON for programs, one clear message for an error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 160
"""Columns of what goes to a file or another program: the line of a table is better not broken there."""

console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
errors = Console(stderr=True)


def print_json(data: Any) -> None:
    """Facts for a program: one JSON value on stdout and nothing else."""
    json.dump(data, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]], right: Iterable[str] = ()) -> None:
    """Prints a table; columns named in `right` hold numbers and are set flush right."""
    columns, right = list(columns), set(right)
    drawn = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    console.print(drawn)


def count(number: float) -> str:
    """`3,157,200`."""
    return f"{number:,.0f}"


def giga(macs: float) -> str:
    """Multiply-accumulates in units of 10^9, three figures."""
    return f"{macs / 1e9:.3g}"


def megabytes(size: float) -> str:
    return f"{size / 2**20:.1f} MB"


def fail(message: str) -> typer.Exit:
    """Says what is wrong on stderr; raise what it returns to leave with exit code 2."""
    errors.print("[bold red]Error[/] ", end="")
    errors.print(message, markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(2)


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turns what a user can cause into its message and exit code 2. Anything else is a bug and keeps its traceback."""
    from designer.graph.errors import NetwrightError

    try:
        yield
    except NetwrightError as error:
        raise fail(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise fail(f"{where}{error.strerror or error}") from None
