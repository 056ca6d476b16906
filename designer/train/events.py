"""What a trainer says, as JSON lines: the writer, and a reader that follows the file. Imports no torch."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, TextIO

METRICS = {
    "mask_map50": "mask mAP50", "mask_map": "mask mAP50-95", "map50": "mAP50", "map": "mAP50-95",
    "top1": "top-1", "top5": "top-5", "miou": "mIoU", "pixel_accuracy": "pixel accuracy",
}  # fmt: skip
"""The main figures of an evaluation, each 0 to 1, and what they are called."""


class EventWriter:
    """Appends events; each is flushed at once, so that a reader sees it and a crash loses none.

    Types (docs/architecture.md): start, note, step, metrics, checkpoint, warning, paused, resumed, stopped, finished,
    error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        self._file: TextIO = path.open("a", encoding="utf-8")
        if torn:  # a trainer was killed in the middle of a line
            self._file.write("\n")

    def write(self, type: str, **fields: Any) -> None:
        event = {"type": type, "time": time.time(), **fields}
        self._file.write(json.dumps(_finite(event), default=str) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _finite(value: Any) -> Any:
    """NaN and infinity as None: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return value


class EventTail:
    """Reads events as they are written. A line that is not finished yet, or torn, is left for later or skipped.

    Args:
        path: the file.
        most_steps: of more steps in one call, as in a long run that is opened again, so many evenly spaced and the
            last are given; reading 100,000 would take a window half a second.
    """

    def __init__(self, path: Path, most_steps: int | None = None) -> None:
        self._path, self._most_steps = path, most_steps
        self._place = 0
        self._rest = b""

    def read(self) -> list[dict[str, Any]]:
        """The events since the last call, oldest first; on the first call, all so far.

        Steps and metrics that a resumed run did again are given once: a `start` with `resumed_from` takes back the
        later ones of the same call. A reader that already has them gets that `start` and drops them itself.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                fresh = file.read()
        except OSError:
            return []
        self._place += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        events: list[dict[str, Any]] = []
        for line in self._thinned(lines):
            event = _parse(line)
            if event is None:
                continue
            if event["type"] == "start" and event.get("resumed_from") is not None:
                step = event["resumed_from"]
                events = [e for e in events if e["type"] not in ("step", "metrics") or e.get("step", 0) <= step]
            events.append(event)
        return events

    def _thinned(self, lines: list[bytes]) -> list[bytes]:
        places = [i for i, line in enumerate(lines) if line.startswith(_STEP)]
        if self._most_steps is None or len(places) <= self._most_steps:
            return lines
        kept = {*places[:: -(-len(places) // self._most_steps)], places[-1]}
        return [line for i, line in enumerate(lines) if i in kept or not line.startswith(_STEP)]


_STEP = b'{"type": "step"'


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "type" in event else None
