"""A trainer that has imported torch already and waits for its run: most of the way from Start to the first loss."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

import psutil

from designer.train.run import RunFolder, check_idle, detached, record_process

COMMAND = [sys.executable, "-P", "-m", "designer.train", "--wait"]
LEAST_MEMORY = 4 * 2**30
"""Bytes that are free before a process of about half a gigabyte is kept for later."""


class ReadyTrainer:
    """Keeps at most one waiting process. It ends when it is not wanted, or when its starter is gone."""

    def __init__(self) -> None:
        self._waiting: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> psutil.Process | None:
        """The one that waits, if one does."""
        waiting = self._alive()
        return psutil.Process(waiting.pid) if waiting is not None else None

    def prepare(self) -> None:
        """Have a process wait, unless one does or memory is short."""
        if self._alive() is None and psutil.virtual_memory().available > LEAST_MEMORY:
            self._waiting = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **detached()
            )  # type: ignore[call-overload]

    def start(self, run: RunFolder, *, resume: bool = False) -> subprocess.Popen[bytes] | None:
        """Give the run to the process that waits; None when there is none, or when the run is for another machine.

        Raises:
            RunError: when a trainer is already at work on this run.
        """
        process = self._alive()
        if process is None or run.remote_path.is_file():
            return None
        check_idle(run)
        self._waiting = None
        assert process.stdin is not None
        record_process(run, process.pid)
        try:
            process.stdin.write(json.dumps({"run": str(run.path.resolve()), "resume": resume}).encode() + b"\n")
            process.stdin.close()
        except OSError:  # it has ended just now
            run.process_path.unlink(missing_ok=True)
            return None
        return process

    def close(self) -> None:
        """Let the process end."""
        if self._waiting is not None and self._waiting.stdin is not None:
            with suppress(OSError):
                self._waiting.stdin.close()
            self._waiting = None

    def _alive(self) -> subprocess.Popen[bytes] | None:
        return self._waiting if self._waiting is not None and self._waiting.poll() is None else None
