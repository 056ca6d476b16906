"""Follows a training run from its folder: events as they are written, and whether its process is still there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from designer.train.events import EventTail
from designer.train.queue import queue_of
from designer.train.run import RunFolder, is_alive
from designer.train.run_list import ACTIVE, STATES

MOST_STEPS = 4000
"""Steps of a run that are read when it is opened: more than a curve has points on a screen."""
POLL_MS = 200
ENDED = ("finished", "stopped", "failed")
ALIVE_EVERY = 5
"""Polls between two looks at the process: once a second."""


class RunWatch(QObject):
    """Signals:
    events(list): events as dicts, oldest first.
    state_changed(str): `idle` (it never had a trainer), `queued` (it waits for another run), `starting`, `running`,
        `paused`, `stopped`, `finished`, `failed` (an error said why) or `died` (the process is gone, nobody knows why).
    """

    events = Signal(list)
    state_changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.run: RunFolder | None = None
        self.state = "idle"
        self.last: dict[str, Mapping[str, Any]] = {}
        self._tail: EventTail | None = None
        self._polls = 0
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def active(self) -> bool:
        """Whether the trainer is at work, or paused."""
        return self.state in ACTIVE

    def is_leaving(self, run: RunFolder) -> bool:
        """Whether this is the run on show and its end was told: its trainer may be there for seconds yet."""
        if self.run is None or run.path != self.run.path:
            return False
        told = max((event["time"] for kind, event in self.last.items() if STATES.get(kind) in ENDED), default=0.0)
        try:
            return told >= run.process_path.stat().st_mtime
        except OSError:
            return True

    def follow(self, run: RunFolder | None, *, starting: bool = False) -> None:
        """Watch this run from its first event on.

        Args:
            run: the run; None watches nothing.
            starting: its process has just been started, so what it said in an earlier life does not tell its state.
        """
        self._timer.stop()
        self.run, self.last, self._polls = run, {}, 0
        self._tail = EventTail(run.events_path, MOST_STEPS) if run is not None else None
        self.state = "starting" if starting else "idle"
        if run is not None and self._tail is not None:
            alive = starting or is_alive(run)
            state = self._take(self._tail.read())
            if not starting and alive:
                told = state in ACTIVE or (state in ENDED and self.is_leaving(run))
                self.state = state if told else "starting"
            elif not starting:
                self.state = self._left(state)
        self.state_changed.emit(self.state)
        if self.active or self.state == "queued":
            self._timer.start()

    def _left(self, state: str) -> str:
        """What a run without a trainer is, whose events left it in this state."""
        assert self.run is not None
        if self.run.path.name in queue_of(self.run.path.parent):
            return "queued"
        if state in ("idle", "queued") and never_begun(self.run):
            return "idle"
        return "died" if state in ("idle", "queued", *ACTIVE) else state

    def _poll(self) -> None:
        if self.run is None or self._tail is None:
            return
        self._polls += 1
        # Asked before the tail is read: what a process wrote before it ended is then always read first.
        alive = self._polls % ALIVE_EVERY != 0 or is_alive(self.run)
        state = self._take(self._tail.read())
        if state == "queued" and self._polls % ALIVE_EVERY == 0 and alive:
            state = "starting"
        self._set_state(state if alive else self._left(state))
        if not self.active and self.state != "queued":
            self._timer.stop()

    def _take(self, events: list[dict[str, Any]]) -> str:
        """Pass events on; the state that the last of them leaves the run in."""
        state = self.state
        for event in events:
            self.last[event["type"]] = event
            state = STATES.get(event["type"], state)
        if events:
            self.events.emit(events)
        return state

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)


def never_begun(run: RunFolder) -> bool:
    """Whether no trainer ever worked on a run: it was taken out of the queue."""
    return not run.process_path.exists()


def runs_in(folder: Path) -> list[RunFolder]:
    """The runs of a folder, newest first; none when there is no such folder."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if (path / "graph.netwright").is_file()]
    return [RunFolder(path) for path in sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)]
