"""The window's line to the engine process: Qt signals for callbacks from a thread, shapes asked for after edits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from designer.engine.catalogue_cache import load_catalogue, save_catalogue
from designer.engine.client import EngineClient
from designer.graph.changes import Change, GroupAdded, GroupChanged, GroupRemoved, NodeChanged, WireChanged
from designer.graph.document import Document
from nodes.sdk.spec import Catalogue

DEBOUNCE_MS = 30
"""Edits closer together than this are propagated together."""

_LOOKS_ONLY = {"position", "x", "y", "note", "color"}


@dataclass
class _Waiting:
    """Who asked for a request's answer."""

    method: str
    done: Callable[[Any], None]
    failed: Callable[[Mapping[str, Any]], None]
    progress: Callable[[float, str], None] | None


class EngineLink(QObject):
    """Owns the engine process for the life of the window.

    Signals:
        ready(dict): the engine is up: `version`, `torch`, `device`.
        catalogue_changed(Catalogue): the components, from the cache at once and from the engine when it is up.
        propagated(dict): the newest answer about the document: `nodes`, `problems`, `totals`.
        state_changed(str, str): `starting`, `ready`, `busy`, `restarting` or `failed`, and a detail.
        died(str): the engine process ended by itself; it is started again.
        failed(str): a question about the document could not be answered; why.
    """

    ready = Signal(dict)
    catalogue_changed = Signal(Catalogue)
    propagated = Signal(dict)
    state_changed = Signal(str, str)
    died = Signal(str)
    failed = Signal(str)
    _message = Signal(dict)
    _exited = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._document: Document | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._newest_propagate = 0
        self._asked = 0.0
        self._detail = ""
        self.state = "starting"
        self.catalogue: Catalogue | None = None
        self._message.connect(self._on_message)
        self._exited.connect(self._on_exit)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.propagate_now)
        self._client: EngineClient | None = None

    # -- the process -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Show the cached catalogue at once and start the engine process."""
        cached = load_catalogue()
        if cached is not None:
            self._take_catalogue(cached)
        # The client's callbacks come from its reader thread; a signal brings them to this one.
        self._client = EngineClient(self._message.emit, self._exited.emit)
        self.propagate_now()

    def restart(self) -> None:
        """Start a new process after the client gave up."""
        self.stop()
        self._waiting.clear()
        self._set_state("starting", "")
        self.start()

    def stop(self) -> None:
        self._timer.stop()
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def is_started(self) -> bool:
        """Whether questions can be asked, though the process may still be starting."""
        return self._client is not None

    @property
    def pid(self) -> int | None:
        """The engine's process id, while there is one."""
        return self._client.pid if self._client is not None else None

    # -- questions -------------------------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        params: dict[str, Any],
        done: Callable[[Any], None],
        failed: Callable[[Mapping[str, Any]], None],
        progress: Callable[[float, str], None] | None = None,
    ) -> int | None:
        """Send a request; exactly one of `done(result)` and `failed(error)` is called, later. Returns its number.

        `error` has `kind` and `message`; a request that a newer one made stale is dropped without a word.
        """
        if self._client is None:
            failed({"kind": "stopped", "message": "The engine is not running."})
            return None
        if method == "propagate":  # the client asks only the newest again after a restart
            self._waiting = {i: w for i, w in self._waiting.items() if w.method != "propagate"}
        request = self._client.request(method, params)
        self._waiting[request] = _Waiting(method, done, failed, progress)
        self._tell_busy()
        return request

    def cancel(self, request: int | None) -> None:
        """Take a question back: neither `done` nor `failed` is called from now on."""
        if request is not None and self._waiting.pop(request, None) is not None and self._client is not None:
            self._client.cancel(request)
            self._tell_busy()

    def set_document(self, document: Document | None) -> None:
        """Follow this document: its shapes are computed now and after every edit that can change them."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._document = document
        self._newest_propagate += 1
        if document is not None:
            self._unsubscribe = document.subscribe(self._on_change)
            self.propagate_now()

    def propagate_now(self) -> None:
        """Ask for the shapes without waiting for more edits."""
        self._timer.stop()
        if self._document is None or self._client is None:
            return
        self._newest_propagate += 1
        self._asked = time.monotonic()
        mine = self._newest_propagate
        data = self._document.data.model_dump(mode="json", exclude={"groups"})
        self.ask("propagate", {"document": data}, lambda result: self._on_propagated(mine, result), self._on_failed)

    def _on_change(self, change: Change) -> None:
        looks = isinstance(change, (GroupAdded, GroupRemoved, GroupChanged, WireChanged))
        looks = looks or (isinstance(change, NodeChanged) and change.field in _LOOKS_ONLY)
        if not looks:
            # The first edit goes out as soon as it is whole; those that follow at once (a drag) wait for each other.
            resting = time.monotonic() - self._asked > DEBOUNCE_MS / 1000
            self._timer.start(0 if resting else DEBOUNCE_MS)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._on_event(message)
            return
        waiting = self._waiting.pop(message.get("id", -1), None)
        self._tell_busy()
        if waiting is None or message.get("cancelled"):
            return
        if "error" in message:
            waiting.failed(message["error"])
        else:
            waiting.done(message["result"])

    def _on_event(self, message: dict[str, Any]) -> None:
        if message["event"] == "ready":
            self._set_state("ready", f"torch {message.get('torch', '')} on {message.get('device', 'cpu')}")
            self.ready.emit(message)
            self.ask("catalogue", {}, self.take_catalogue, self._on_failed)
        elif message["event"] == "dead":
            self._set_state("failed", str(message["message"]))
        elif message["event"] == "progress":
            waiting = self._waiting.get(message.get("id", -1))
            if waiting is not None and waiting.progress is not None:
                waiting.progress(float(message.get("fraction", 0)), str(message.get("text", "")))

    def take_catalogue(self, result: Mapping[str, Any]) -> None:
        """Take the engine's answer to `catalogue`, asked for by this or by others."""
        catalogue = Catalogue.from_json(result["components"])
        save_catalogue(catalogue)
        self._take_catalogue(catalogue)

    def _take_catalogue(self, catalogue: Catalogue) -> None:
        if self.catalogue is None or catalogue.to_json() != self.catalogue.to_json():
            self.catalogue = catalogue
            self.catalogue_changed.emit(catalogue)

    def _on_propagated(self, request: int, result: dict[str, Any]) -> None:
        if request == self._newest_propagate:
            self.propagated.emit(result)

    def _on_failed(self, error: Mapping[str, Any]) -> None:
        """The engine could not answer about the document: a fault of the program, so it is said in full."""
        self.failed.emit(str(error.get("message", "")))

    def _on_exit(self, code: int) -> None:
        self._set_state("restarting", f"The engine process ended with code {code} and is started again.")
        self.died.emit(str(code))

    def _tell_busy(self) -> None:
        slow = any(w.method not in ("propagate", "catalogue") for w in self._waiting.values())
        if self.state in ("ready", "busy"):
            self._set_state("busy" if slow else "ready", self._detail)

    def _set_state(self, state: str, detail: str) -> None:
        self._detail = detail
        if state != self.state:
            self.state = state
            self.state_changed.emit(state, detail)
