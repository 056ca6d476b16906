"""Runs that wait for another of their folder to end: `queue.json`, one run's folder name after the other.

Nothing waits as a process. Whoever sees a run end (its own trainer as its last act, or the window) starts the next, so
the queue goes on when the window is closed, and after a crash as soon as a window looks. Imports no torch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from designer.graph.storage import write_text
from designer.train.run import RunError, RunFolder, is_alive, start_training

NAME, LOCK = "queue.json", "queue.lock"
STALE = 20.0
"""Seconds after which a lock was left by a process that is gone."""


def queue_of(root: Path) -> list[str]:
    """Names of the waiting runs' folders, the next first; those that are gone are left out."""
    try:
        names = json.loads((root / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    found = names if isinstance(names, list) else []
    return [name for name in found if isinstance(name, str) and (root / name / "graph.netwright").is_file()]


def put_in_queue(run: RunFolder) -> int:
    """Lets a run wait behind the others of its folder. Returns its place, 1 for the next."""
    with _locked(run.path.parent):
        names = [*(n for n in queue_of(run.path.parent) if n != run.path.name), run.path.name]
        _write(run.path.parent, names)
    return len(names)


def remove_from_queue(root: Path, name: str) -> None:
    """Takes a run out; one that does not wait stays as it is."""
    with _locked(root):
        if name in (names := queue_of(root)):
            _write(root, [n for n in names if n != name])


def move_in_queue(root: Path, name: str, by: int) -> None:
    """Moves a waiting run so many places back, or forward when negative."""
    with _locked(root):
        names = queue_of(root)
        if name in names:
            place = names.index(name)
            names.insert(max(0, min(len(names) - 1, place + by)), names.pop(place))
            _write(root, names)


def start_next(root: Path, *, but: str = "") -> RunFolder | None:
    """Starts the next waiting run unless one of the folder is at work; `but` names one that is just ending.

    Returns:
        The run that was started, or None.
    """
    if not queue_of(root):
        return None
    with _locked(root):
        names = queue_of(root)
        busy = (RunFolder(path) for path in root.iterdir() if path.name != but and (path / "process.json").is_file())
        if not names or any(is_alive(run) for run in busy):
            return None
        _write(root, names[1:])
        run = RunFolder(root / names[0])
        try:
            start_training(run, resume=run.last_path.is_file())
        except RunError:  # somebody started it by hand
            return None
        return run


def _write(root: Path, names: list[str]) -> None:
    if names:
        write_text(root / NAME, json.dumps(names, indent=1) + "\n")
    else:
        (root / NAME).unlink(missing_ok=True)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One process at a time: two that start the next run would start two."""
    lock = root / LOCK
    while True:
        try:
            lock.touch(exist_ok=False)
            break
        except FileExistsError:
            try:
                if time.time() - lock.stat().st_mtime > STALE:
                    lock.unlink(missing_ok=True)
            except OSError:
                continue
            time.sleep(0.02)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
