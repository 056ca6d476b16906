"""A model in somebody's Python file: the file runs in a process of its own, once the user has said they trust it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from designer.importing.table import ImportFailed
from nodes.sdk import user_files

LONGEST = 600.0
"""Seconds that the file may take to build the model, and torch to trace it."""
STEP = 0.2


class NotTrusted(ImportFailed):
    """A Python file that the user has not said they trust, or that changed since."""


def import_python(
    path: Path,
    name: str,
    size: tuple[int, int, int],
    weights: Path,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """What `child.main` makes of a file: `document` and `report` of a `ModelImport`, and its `lines`.

    Args:
        path: the file.
        name: of a module, a class or a function without arguments in it; "" for the only one there is.
        size: channels, height and width of the images.
        weights: where the weights are written.
        cancelled: asked while it runs; the process is ended when it says so.

    Raises:
        NotTrusted: when the user has not trusted it as it is now.
        ImportFailed: when it fails, with its own message and line.
    """
    if not path.is_file():
        raise ImportFailed(f"{path}: there is no such file.")
    if not user_files.is_trusted(path):
        raise NotTrusted(f"{path}: importing runs this file's code. Read it, and trust it if you do.")
    with tempfile.TemporaryDirectory(prefix="netwright-") as place:
        answer = Path(place) / "answer.json"
        sizes = "x".join(map(str, size))
        command = [
            sys.executable, "-P", "-m", "designer.importing.child", str(path.resolve()), name, sizes,
            str(weights.resolve()), str(answer),
        ]  # fmt: skip
        said = _run(command, cancelled, path)
        if not answer.is_file():
            lines = [line for line in said.strip().splitlines() if line.strip()] or ["it ended without a word"]
            raise ImportFailed(f"{path}: the process that runs it ended: {lines[-1][:200]}.")
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in found:
        raise ImportFailed(found["error"])
    return found


def _run(command: list[str], cancelled: Callable[[], bool], path: Path) -> str:
    """What the process wrote to stderr."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
            waited = 0.0
            while True:
                try:
                    process.wait(STEP)
                    break
                except subprocess.TimeoutExpired:
                    waited += STEP
                    if waited > LONGEST or cancelled():
                        process.kill()
                        process.wait()
                        if waited > LONGEST:
                            raise ImportFailed(f"{path}: it took over {LONGEST:g} s and was ended.") from None
                        raise ImportFailed(f"{path}: the import was cancelled.") from None
        log.seek(0)
        return log.read()
