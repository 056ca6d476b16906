"""Written code as ruff formats it, its imports sorted."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from designer.export.errors import ExportError


def format_folder(folder: Path) -> None:
    """Formats every Python file of a folder in place.

    Raises:
        ExportError: when ruff cannot read what was written.
    """
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        line = [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "120", "--no-cache", "-q", "."]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise ExportError(f"The written code cannot be formatted: {done.stdout or done.stderr}. Please report it.")
    shutil.rmtree(folder / ".ruff_cache", ignore_errors=True)


def format_code(text: str) -> str:
    """The text of one file, formatted."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "code.py"
        file.write_text(text, encoding="utf-8")
        format_folder(Path(place))
        return file.read_text(encoding="utf-8")
