"""The runs of a folder at a glance: state, best figure, notes; moved to the trash and back. Imports no torch."""

from __future__ import annotations

import json
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from designer.graph.compare import fingerprint
from designer.graph.errors import NetwrightError
from designer.graph.storage import write_text
from designer.train.events import METRICS
from designer.train.queue import queue_of, remove_from_queue
from designer.train.run import RunError, RunFolder, is_alive

TRASH = ".trash"
BEST = ("mask_map", "map", "miou", "top1")
"""The figure that counts for a run is the first of these that it has."""
STATES = {
    "start": "running", "step": "running", "resumed": "running", "paused": "paused", "stopped": "stopped",
    "finished": "finished", "error": "failed",
}  # fmt: skip
"""What an event says about its run's state from then on."""
ACTIVE = ("starting", "running", "paused")


@dataclass(frozen=True)
class RunInfo:
    """One run.

    Attributes:
        path: its folder.
        name: of its document.
        state: `queued`, `starting`, `running`, `paused`, `stopped`, `finished`, `failed`, or `died` (the process is
            gone and never said why).
        metric: name of the figure that counts, "" before the first evaluation.
        best: its best value.
        epoch: epochs done; `epochs` of so many.
        started: seconds since 1970; 0 before it began.
        seconds: from its start to its newest event, pauses included.
        document: fingerprint of its document.
        device: that it trained on.
        note: the user's own words.
    """

    path: Path
    name: str
    state: str
    metric: str = ""
    best: float | None = None
    epoch: int = 0
    epochs: int = 0
    started: float = 0.0
    seconds: float = 0.0
    document: str = ""
    device: str = ""
    note: str = ""

    def matches(self, words: str) -> bool:
        """Whether all the words are somewhere in its name, folder, state, document, device or note."""
        text = " ".join((self.path.name, self.name, self.state, self.document, self.device, self.note)).lower()
        return all(word in text for word in words.lower().split())


class RunList:
    """Reads the runs of a folder; what has not changed since is not read again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Any, RunInfo]] = {}
        self._digests: dict[Path, _Digest] = {}
        self._ended: dict[Path, tuple[int, int]] = {}

    def read(self, root: Path) -> list[RunInfo]:
        """The runs of a folder, newest first; none when there is no such folder."""
        found = [RunFolder(path) for path in root.iterdir() if path.name != TRASH] if root.is_dir() else []
        waiting = {name: place for place, name in enumerate(queue_of(root))}
        infos = [self._info(run, run.path.name in waiting) for run in found if run.graph_path.is_file()]
        return sorted(infos, key=lambda info: info.started or info.path.stat().st_mtime, reverse=True)

    def _info(self, run: RunFolder, queued: bool) -> RunInfo:
        process = _stamp(run.process_path)
        alive = self._ended.get(run.path) != process and is_alive(run)
        if not alive:  # a process that has ended does not come back; a new one is written down anew
            self._ended[run.path] = process
        key = (*(_stamp(p) for p in (run.events_path, run.note_path)), queued, alive)
        known = self._known.get(run.path)
        if known is None or known[0] != key:
            digest = self._digests.setdefault(run.path, _Digest())
            self._known[run.path] = known = key, run_info(run, queued=queued, alive=alive, digest=digest)
        return known[1]


class _Digest:
    """What counts of a run's events; `read` goes on where it stopped, so a long run is not read again and again."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.evaluations: list[dict[str, Any]] = []
        self._newest: deque[bytes] = deque(maxlen=40)
        self._place, self._rest = 0, b""

    def read(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                file.seek(self._place)
                fresh = file.read()
        except OSError:
            return
        self._place += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        for line in lines:
            if line.startswith((b'{"type": "start"', b'{"type": "metrics"')) and (event := _event(line)):
                (self.starts if event["type"] == "start" else self.evaluations).append(event)
        self._newest.extend(lines[-40:])

    def newest(self) -> list[dict[str, Any]]:
        """The last events, oldest first."""
        return [event for line in self._newest if (event := _event(line))]


def run_info(
    run: RunFolder, *, queued: bool = False, alive: bool | None = None, digest: _Digest | None = None
) -> RunInfo:
    """What is known of a run from its folder.

    Args:
        run: the run.
        queued: whether it waits in the queue.
        alive: whether its trainer is at work; asked here when left out.
        digest: what was read of its events before.
    """
    alive = is_alive(run) if alive is None else alive
    digest = digest or _Digest()
    digest.read(run.events_path)
    starts, newest = digest.starts, digest.newest()
    evaluations = [event["values"] for event in digest.evaluations]
    state, metric = "idle", ""
    for event in newest:
        state = STATES.get(event["type"], state)
    if state == "idle" and starts:
        state = "running"
    begun = not newest or _stamp(run.process_path)[1] > newest[-1]["time"] * 1e9
    if alive and state not in ACTIVE and begun:  # else its end was told, and the process is about to leave
        state = "starting"
    elif not alive and (queued or state in ("idle", *ACTIVE)):
        state = "queued" if queued else "died"
    metric = next((m for m in BEST if any(m in values for values in evaluations)), "")
    config, steps = _config(run), [e for e in newest if "epoch" in e]
    epochs = int(config.get("training", {}).get("epochs", 0))
    done = int(steps[-1]["epoch"]) if steps else 0
    return RunInfo(
        run.path, str(config.get("name", run.path.name)), state, metric,
        max((values[metric] for values in evaluations if values.get(metric) is not None), default=None),
        epochs if state == "finished" and not _ended_early(newest) else done, epochs,
        float(starts[0]["time"]) if starts else 0.0,
        float(newest[-1]["time"]) - float(starts[0]["time"]) if starts and newest else 0.0,
        _document(run), str(starts[-1].get("device", "")) if starts else "", read_note(run),
    )  # fmt: skip


def _ended_early(events: list[dict[str, Any]]) -> bool:
    """Whether patience ended the run; its last event then has fewer epochs than were wanted."""
    return any(e["type"] == "warning" and "(patience)" in str(e.get("message")) for e in events)


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:  # torn by a kill
        return None
    return event if isinstance(event, dict) and "type" in event and "time" in event else None


def _config(run: RunFolder) -> dict[str, Any]:
    try:
        config = json.loads(run.config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _document(run: RunFolder) -> str:
    try:
        return str(json.loads(run.environment_path.read_text(encoding="utf-8"))["document"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        return fingerprint(run.document())
    except NetwrightError:
        return ""


def _made_with(run: RunFolder) -> dict[str, Any]:
    """The facts of `environment.json` that may explain a difference; empty for a run that never began."""
    try:
        made = json.loads(run.environment_path.read_text(encoding="utf-8"))
        return {
            "torch": made["packages"]["torch"], "netwright": made["netwright"], "python": made["python"],
            "made on": made["device"], "platform": made["platform"], "data fingerprint": made["data"],
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


# -- notes and the trash ---------------------------------------------------------------------------------------------


def read_note(run: RunFolder) -> str:
    """The user's own words about a run."""
    try:
        return run.note_path.read_text(encoding="utf-8")
    except OSError:
        return ""


def write_note(run: RunFolder, text: str) -> None:
    """Keeps the user's words in the run's folder; no words, no file."""
    if text.strip():
        write_text(run.note_path, text)
    else:
        run.note_path.unlink(missing_ok=True)


def move_to_trash(run: RunFolder) -> RunFolder:
    """Moves a run into `.trash` beside it. Returns where it is now.

    Raises:
        RunError: while it is being trained, or when the folder cannot be moved.
    """
    if is_alive(run):
        raise RunError(f"{run.path.name} is being trained. Stop it first, then delete it.")
    remove_from_queue(run.path.parent, run.path.name)
    return _moved(run.path, run.path.parent / TRASH / run.path.name)


def restore(run: RunFolder) -> RunFolder:
    """Takes a run out of the trash again. Returns where it is now; raises RunError when it cannot be moved."""
    return _moved(run.path, run.path.parent.parent / run.path.name)


def empty_trash(root: Path) -> None:
    """Deletes for good what is in the trash of a runs folder. Raises RunError when the disk refuses."""
    try:
        if (root / TRASH).is_dir():
            shutil.rmtree(root / TRASH)
    except OSError as error:
        raise RunError(f"{root / TRASH}: the trash cannot be emptied: {error.strerror}.") from None


def in_trash(root: Path) -> int:
    """How many runs are in the trash of a runs folder."""
    return len(list((root / TRASH).iterdir())) if (root / TRASH).is_dir() else 0


def _moved(source: Path, target: Path) -> RunFolder:
    if target.exists():
        raise RunError(f"{target} is there already. Rename one of the two folders.")
    try:
        target.parent.mkdir(exist_ok=True)
        source.rename(target)
    except OSError as error:
        raise RunError(f"{source} cannot be moved to {target.parent}: {error.strerror}.") from None
    return RunFolder(target)


def compare_settings(infos: list[RunInfo]) -> list[tuple[str, list[str]]]:
    """Settings of training and data that are not equal in all these runs, and what they were made with: name, and the
    value of each.
    """
    configs = [_config(RunFolder(info.path)) for info in infos]
    made = [_made_with(RunFolder(info.path)) for info in infos]
    rows = []
    for values in (
        *([config.get(section, {}) for config in configs] for section in ("training", "data")),
        made,
    ):
        for name in dict.fromkeys(key for each in values for key in each):
            row = [each.get(name) for each in values]
            if any(value != row[0] for value in row):
                rows.append((name, ["–" if value is None else str(value) for value in row]))
    return rows


def metric_title(metric: str) -> str:
    """What a figure is called, such as `mAP50-95`."""
    return METRICS.get(metric, metric)
