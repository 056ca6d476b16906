"""`netwright merge-driver`: git merges documents node by node, and shows their differences in words."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import typer

from designer.cli.output import console, errors
from designer.graph.errors import DocumentError, NetwrightError
from designer.graph.merge import merge
from designer.graph.plain_text import plain_text
from designer.graph.storage import read, write

ATTRIBUTES = "*.netwright merge=netwright diff=netwright"


def merge_files(base: Path, ours: Path, theirs: Path, path: str) -> None:
    """Merges into `ours`. Exit code 1, git's sign of a conflict, when something is left to decide.

    A side that cannot be read leaves `ours` as it is: git then marks the file as conflicting.
    """
    name = path or ours.name
    try:
        merged = merge(read(base), read(ours), read(theirs))
    except DocumentError as error:
        errors.print(f"{name} was not merged: {error} Your own version was kept.", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    write(merged.data, ours)
    if not merged.conflicts:
        return
    errors.print(
        f"{name}: merged, but for {len(merged.conflicts)} conflict(s), where ours was kept. The file opens as it is; "
        "decide these, save, and `git add` it:",
        markup=False,
        soft_wrap=True,
    )
    for one in merged.conflicts:
        errors.print(f"  {one.text}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def show_text(file: Path) -> None:
    """The document in words, for `git diff`; a file that cannot be read as one is shown as it is."""
    try:
        text = plain_text(read(file))
    except DocumentError:
        text = file.read_text(encoding="utf-8", errors="replace")
    sys.stdout.write(text)


def install() -> None:
    """Registers the driver with the git repository of this folder, and says what was done."""
    root = Path(_git("rev-parse", "--show-toplevel"))
    command = "netwright" if shutil.which("netwright") else f"{shlex.quote(sys.executable)} -m designer"
    settings = {
        "merge.netwright.name": "Netwright documents, node by node",
        "merge.netwright.driver": f"{command} merge-driver %O %A %B --path %P",
        "diff.netwright.textconv": f"{command} merge-driver --text",
    }
    for key, value in settings.items():
        _git("config", "--local", key, value)
    file = root / ".gitattributes"
    lines = file.read_text(encoding="utf-8") if file.exists() else ""
    if ATTRIBUTES not in lines.splitlines():
        file.write_text(lines + "\n" * bool(lines and not lines.endswith("\n")) + ATTRIBUTES + "\n", encoding="utf-8")
        console.print(f"Wrote to {file}: {ATTRIBUTES}\nCommit it, so that it counts for everybody.", soft_wrap=True)
    else:
        console.print(f"{file} has the line already: {ATTRIBUTES}", soft_wrap=True)
    console.print(f"Set in the configuration of {root}, which every clone needs once for itself:", soft_wrap=True)
    for key, value in settings.items():
        console.print(f"  {key} = {value}", markup=False, highlight=False, soft_wrap=True)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise NetwrightError("git was not found. Install it, then run this again.") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise NetwrightError(f"git {arguments[0]} failed: {said}. Run this inside a git repository.")
    return done.stdout.strip()
