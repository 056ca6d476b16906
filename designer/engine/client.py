"""The other end of the engine: starts the process, sends requests, starts it again when it dies. Imports no torch."""

from __future__ import annotations

import atexit
import itertools
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from designer.engine.process import COMMAND, EngineProcess
from designer.engine.protocol import decode, encode, failure
from designer.graph.errors import NetwrightError

ASKED = 3
"""Times a request is asked. One during which the process died so often is taken to be what kills it."""
STARTS = 3
"""Starts in a row that end before the engine is ready, after which no more is tried."""
DEATHS, WINDOW = 8, 60.0
"""So many deaths in so many seconds, whatever the reason, and no more is tried."""

log = logging.getLogger(__name__)


class EngineError(NetwrightError):
    """An answer that says the engine could not do it; `kind` and `node` are its own."""

    def __init__(self, message: str, kind: str = "", node: str | None = None) -> None:
        self.kind, self.node = kind, node
        super().__init__(message)


@dataclass
class _Open:
    """A request without an answer yet."""

    message: dict[str, Any]
    deaths: int = 0
    answer: dict[str, Any] | None = None
    answered: threading.Event = field(default_factory=threading.Event)


class EngineClient:
    """Talks to one engine process and keeps it alive.

    Every request gets exactly one answer, also when the process dies: what it had not answered is asked again; a
    request during which it died three times is answered with an error of kind `dead`, as are all once the process
    cannot be kept alive, which the event `dead` reports.

    Args:
        on_message: called with every answer and event, from a thread of the client.
        on_exit: called with the exit code when the process ends without being asked to, from the same thread.
        command: what to start, by default `python -m designer.engine`.
    """

    def __init__(
        self,
        on_message: Callable[[dict[str, Any]], None] = lambda _: None,
        on_exit: Callable[[int], None] = lambda _: None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._on_message, self._on_exit, self._command = on_message, on_exit, command
        self._ids = itertools.count(1)
        self._lock = threading.RLock()
        self._open: dict[int, _Open] = {}
        self._closing = threading.Event()
        self._dead = ""
        self._ready = False
        self._starts = 0
        self._ended: deque[float] = deque(maxlen=DEATHS)
        self._process = EngineProcess(command)
        self._thread = threading.Thread(target=self._supervise, name="engine-reader", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        return self._process.pid

    def request(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Sends a request and returns its id at once; the answer goes to `on_message`.

        Raises:
            EngineError: when the client is closed.
        """
        return int(self._send(method, params or {}).message["id"])

    def call(self, method: str, params: dict[str, Any] | None = None, timeout: float = 60.0) -> Any:
        """Sends a request and waits for its result; for scripts and tests.

        Args:
            method: see `protocol`.
            params: of the method.
            timeout: seconds, a start of the process included.

        Raises:
            EngineError: the engine's own error, a cancelled request, or no answer in time.
        """
        waiting = self._send(method, params or {})
        if not waiting.answered.wait(timeout):
            self.cancel(waiting.message["id"])
            raise EngineError(f"The engine did not answer {method!r} within {timeout:g} s.", "timeout")
        answer = waiting.answer or {}
        if answer.get("cancelled"):
            raise EngineError(f"{method!r} was cancelled.", "cancelled")
        if error := answer.get("error"):
            raise EngineError(error["message"], error.get("kind", ""), error.get("node"))
        return answer["result"]

    def cancel(self, request: int) -> None:
        """Tells the engine that nobody waits for a request any more; it is answered as cancelled, or after all."""
        with self._lock:
            if request in self._open:
                self._process.write(encode({"method": "cancel", "params": {"id": request}}))

    def close(self) -> None:
        """Ends the process and waits for it: a second to leave by itself, then it is killed."""
        atexit.unregister(self.close)
        self._closing.set()
        with self._lock:
            self._process.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(5)
        self._answer_all("The engine was closed.", "closed")

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, method: str, params: dict[str, Any]) -> _Open:
        with self._lock:
            if self._closing.is_set():
                raise EngineError("The engine was closed.", "closed")
            number = next(self._ids)
            waiting = self._open[number] = _Open({"id": number, "method": method, "params": params})
            if self._dead:
                # Not from this thread: whoever asks has not got the id yet.
                threading.Thread(target=self._take, args=(failure(number, "dead", self._dead),), daemon=True).start()
            else:
                self._process.write(encode(waiting.message))
        return waiting

    # -- the thread that reads, and starts the process again -----------------------------------------------------------

    def _supervise(self) -> None:
        while True:
            for line in self._process.lines():
                try:
                    message = decode(line)
                except ValueError:
                    log.warning("The engine sent a line that is no message: %r", line[:200])
                else:
                    self._take(message)
            code = self._process.wait()
            if self._closing.is_set() or not self._restart(code):
                return

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("event") == "ready":
            self._ready = True
        waiting = None
        if "event" not in message:
            with self._lock:
                waiting = self._open.pop(message.get("id", -1), None)
        try:
            if waiting is not None or "event" in message or message.get("id") is None:
                self._on_message(message)
        except Exception:  # a listener that fails, such as a window being closed, must not end this thread
            log.exception("A listener failed on a message of the engine")
        if waiting is not None:
            waiting.answer = message
            waiting.answered.set()

    def _restart(self, code: int) -> bool:
        """Starts the process again after a death. Returns False when there is no use in it."""
        try:
            self._on_exit(code)
        except Exception:
            log.exception("A listener failed on the end of the engine")
        self._starts = 0 if self._ready else self._starts + 1
        self._ended.append(time.monotonic())
        recent = sum(self._ended[-1] - t < WINDOW for t in self._ended)
        if self._starts >= STARTS or recent >= DEATHS:
            self._give_up(code)
            return False
        self._answer_deadly(code)
        # The first death is mended at once; then ever slower, so that a loop of deaths leaves the machine usable.
        if recent > 1 and self._closing.wait(min(4.0, 0.25 * 2 ** (recent - 1))):
            return False
        with self._lock:
            if self._closing.is_set():
                return False
            self._ready = False
            try:
                self._process = EngineProcess(self._command)
            except OSError as error:
                log.error("The engine cannot be started: %s", error)
                self._give_up(code)
                return False
            stale = self._ask_again()
        for number in stale:
            self._take({"id": number, "cancelled": True})
        return True

    def _ask_again(self) -> list[int]:
        """Sends what is open to the new process, but of several `propagate` only the newest; returns the others."""
        shapes = [n for n, waiting in self._open.items() if waiting.message["method"] == "propagate"]
        for number, waiting in self._open.items():
            if number not in shapes[:-1]:
                self._process.write(encode(waiting.message))
        return shapes[:-1]

    def _answer_deadly(self, code: int) -> None:
        with self._lock:
            for waiting in self._open.values():
                waiting.deaths += 1
            deadly = [(n, w.message["method"]) for n, w in self._open.items() if w.deaths >= ASKED]
        for number, method in deadly:
            text = f"The engine process ended {ASKED} times ({_ending(code)}) while it worked on {method!r}. "
            self._take(failure(number, "dead", text + "Undo the last change, or take out components of your own."))

    def _give_up(self, code: int) -> None:
        said = self._process.last_words()
        with self._lock:
            self._dead = f"The engine process does not stay alive ({_ending(code)}). {said}".rstrip() + (
                " Restart it, or reinstall Netwright if that does not help."
            )
        self._answer_all(self._dead, "dead")
        self._take({"event": "dead", "message": self._dead})

    def _answer_all(self, text: str, kind: str) -> None:
        with self._lock:
            numbers = list(self._open)
        for number in numbers:
            self._take(failure(number, kind, text))


def _ending(code: int) -> str:
    """An exit code in words: `killed by SIGSEGV`, `exit code 1`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
