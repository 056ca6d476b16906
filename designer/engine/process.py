"""One engine process with its pipes. Writing never waits, and what it says on stderr is passed on and remembered."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO

# -P keeps the current folder off the path: a torch.py beside the user's document must not be run.
COMMAND = (sys.executable, "-P", "-m", "designer.engine")


class EngineProcess:
    """A started process. `lines` gives what it answers until it ends."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows opens a console otherwise
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._said: deque[str] = deque(maxlen=20)
        # Threads, because a pipe that nobody empties blocks whoever fills it, and the window must not be blocked.
        self._threads = [
            threading.Thread(target=self._send, name="engine-writer", daemon=True),
            threading.Thread(target=self._pass_on, name="engine-stderr", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process.poll() is None else None

    def write(self, line: bytes) -> None:
        """Queues a line. One for a process that has died goes nowhere."""
        self._lines.put(line)

    def lines(self) -> Iterator[bytes]:
        yield from iter(_pipe(self._process.stdout).readline, b"")

    def wait(self) -> int:
        """Waits for the end, lets go of the pipes and returns the exit code."""
        code = self._process.wait()
        self._lines.put(None)
        for thread in self._threads:
            thread.join(1)
        for pipe in (self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()
        return code

    def stop(self, seconds: float = 1.0) -> None:
        """Ends the input, which is the engine's sign to leave; kills it when it does not."""
        self._lines.put(None)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The last line it said on stderr, such as the message of an exception."""
        return next((line for line in reversed(self._said) if line.strip()), "")

    def _send(self) -> None:
        pipe = _pipe(self._process.stdin)
        with contextlib.suppress(OSError, ValueError):  # it has died; whoever reads its answers sees that
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()
        with contextlib.suppress(OSError):
            pipe.close()

    def _pass_on(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed at the end, while a grandchild still holds it open
            for line in _pipe(self._process.stderr):
                text = line.decode(errors="replace").rstrip()
                self._said.append(text)
                with contextlib.suppress(Exception):  # under pythonw there is none; a console may not know a letter
                    print(text, file=sys.stderr)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe
