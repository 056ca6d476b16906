"""A thread that does the newest request of each kind: what nobody waits for any more is not begun."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any


class Worker(threading.Thread):
    """Does requests one after the other.

    Args:
        jobs: what does a request of each kind; those that come first go first.
    """

    def __init__(self, jobs: Mapping[str, Callable[[Any], None]]) -> None:
        super().__init__(daemon=True)
        self._jobs = jobs
        self._waiting: dict[str, Any] = {}
        self._changed = threading.Condition()

    def ask(self, kind: str, request: Any) -> None:
        """Put a request into the place of an older one of its kind that waits."""
        with self._changed:
            self._waiting[kind] = request
            self._changed.notify()

    def go_on(self, kind: str, request: Any) -> None:
        """Put what is left of a request, unless a newer one waits."""
        with self._changed:
            self._waiting.setdefault(kind, request)
            self._changed.notify()

    def waits(self, kind: str) -> bool:
        """Whether a request of this kind waits."""
        return kind in self._waiting

    def run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                kind = next(kind for kind in self._jobs if kind in self._waiting)
                request = self._waiting.pop(kind)
            self._jobs[kind](request)
