"""The other end of the engine: starts the process, sends requests, starts it again when it dies. Imports no torch."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from designer.engine.protocol import decode, encode
from designer.graph.errors import NetwrightError

RESTARTS = 5
"""Deaths in a row, none of them `STEADY` seconds after a start, before the client gives up."""
STEADY = 10.0


class EngineError(NetwrightError):
    """An answer that says the engine could not do it; `kind` and `node` are its own."""

    def __init__(self, message: str, kind: str = "", node: str | None = None) -> None:
        self.kind, self.node = kind, node
        super().__init__(message)


class EngineClient:
    """Talks to one engine process.

    Args:
        on_message: called with every answer and event, from the reader thread.
        on_exit: called with the exit code when the process ends without being asked to, from the reader thread. The
            process is then started again and what it had not answered is asked again.
    """

    def __init__(
        self,
        on_message: Callable[[dict[str, Any]], None] = lambda _: None,
        on_exit: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._on_message, self._on_exit = on_message, on_exit
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[int, dict[str, Any]] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._waiting: set[int] = set()
        self._answered = threading.Condition(self._lock)
        self._closed = False
        self._deaths = 0
        self._process = self._start()
        self._reader = threading.Thread(target=self._read, name="engine-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process.poll() is None else None

    def request(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Sends a request and returns its id; the answer goes to `on_message`."""
        with self._lock:
            return self._send(method, params or {})

    def call(self, method: str, params: dict[str, Any] | None = None, timeout: float = 60.0) -> Any:
        """Sends a request and waits for its result.

        Raises:
            EngineError: the engine's own error, a cancelled request, or no answer in `timeout` seconds.
        """
        with self._answered:
            request = self._send(method, params or {})
            self._waiting.add(request)
            done = self._answered.wait_for(lambda: request in self._answers or self._closed, timeout)
            self._waiting.discard(request)
            answer = self._answers.pop(request, None)
        if not done or answer is None:
            raise EngineError(f"The engine did not answer {method!r} within {timeout:g} s.", "timeout")
        if answer.get("cancelled"):
            raise EngineError(f"{method!r} was cancelled by a newer request.", "cancelled")
        if error := answer.get("error"):
            raise EngineError(error["message"], error.get("kind", ""), error.get("node"))
        return answer["result"]

    def close(self) -> None:
        """Ends the process; it has two seconds to leave by itself."""
        with self._answered:
            self._closed = True
            self._answered.notify_all()
        process = self._process
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()  # end of input is the engine's sign to leave
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if threading.current_thread() is not self._reader:
            self._reader.join(2)
        if process.stdout is not None:
            process.stdout.close()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[bytes]:
        # -P keeps the current folder off the path: a torch.py beside the user's document must not be run.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "designer.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def _send(self, method: str, params: dict[str, Any]) -> int:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if method == "propagate":  # a newer one makes older ones useless, also after a restart
            for old in [i for i, m in self._open.items() if m["method"] == "propagate" and i not in self._waiting]:
                del self._open[old]
        self._open[number] = message
        self._write(message)
        return number

    def _write(self, message: dict[str, Any]) -> None:
        # A pipe that is gone means the process has died; the reader sees that and asks again.
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.write(encode(message))
                self._process.stdin.flush()

    def _read(self) -> None:
        while True:
            started = time.monotonic()
            output = self._process.stdout
            if output is None:
                return
            for line in iter(output.readline, b""):
                try:
                    message = decode(line)
                except ValueError:
                    continue  # something printed past the protocol; stderr is where it belongs
                self._take(message)
            code = self._process.wait()
            if self._closed or not self._restart(code, time.monotonic() - started):
                return

    def _take(self, message: dict[str, Any]) -> None:
        with self._answered:
            request = message.get("id")
            if "event" not in message and request is not None:
                self._open.pop(request, None)
                if request in self._waiting:
                    self._answers[request] = message
                    self._answered.notify_all()
        self._on_message(message)

    def _restart(self, code: int, lived: float) -> bool:
        self._on_exit(code)
        self._deaths = 1 if lived > STEADY else self._deaths + 1
        if self._deaths > RESTARTS:
            self._give_up(code)
            return False
        if self._deaths > 1:
            time.sleep(min(2.0, 0.1 * 2**self._deaths))
        with self._lock:
            if self._closed:
                return False
            self._process = self._start()
            for message in self._open.values():
                self._write(message)
        return True

    def _give_up(self, code: int) -> None:
        text = f"The engine ended {self._deaths} times in a row (exit code {code}). Restart Netwright."
        for request in list(self._open):
            self._take({"id": request, "error": {"kind": "dead", "message": text, "node": None}})
        self._on_message({"event": "dead", "message": text})
