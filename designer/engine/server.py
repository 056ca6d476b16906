"""The engine process: reads requests from stdin, answers on stdout. Holds torch, as the trainer does.

A thread reads; the main thread works. stdout belongs to the protocol alone: whatever a component prints goes to stderr.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from designer import __version__
from designer.engine.protocol import METHODS, decode, encode
from designer.graph.errors import GraphError, NetwrightError
from designer.graph.model import GraphData


class Server:
    """Answers one client. `serve` returns when the input ends or `shutdown` is asked."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target
        self._lock = threading.Lock()
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._newest: dict[str, int] = {}
        self._cache: Any = None

    def serve(self) -> None:
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        self._announce()
        while (request := self._queue.get()) is not None:
            self._answer(request)

    def send(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._target.write(encode(message))
            self._target.flush()

    def _announce(self) -> None:
        import torch

        from designer.engine.propagate import Cache
        from nodes.sdk.discover import library

        library()
        self._cache = Cache()
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.send({"event": "ready", "version": __version__, "torch": torch.__version__, "device": device})

    def _read(self) -> None:
        """Queues requests; runs in its own thread so that a newer one can cancel the one at work."""
        for line in iter(self._source.readline, b""):
            try:
                request = decode(line)
                number, method = int(request["id"]), str(request["method"])
            except (ValueError, KeyError, TypeError) as error:
                text = f"A line that is no request was ignored: {error}."
                self.send({"id": None, "error": {"kind": "protocol", "message": text, "node": None}})
                continue
            self._newest[method] = number
            self._queue.put(request)
        self._queue.put(None)

    def _answer(self, request: dict[str, Any]) -> None:
        number, method = request["id"], request["method"]
        from designer.engine.propagate import Cancelled

        try:
            if method not in METHODS:
                raise NetwrightError(f"The engine has no method {method!r}.")
            if method == "shutdown":
                self._queue.put(None)
            handler: Callable[..., Any] = getattr(self, f"_{method}")
            self.send({"id": number, "result": handler(number, **request.get("params", {}))})
        except Cancelled:
            self.send({"id": number, "cancelled": True})
        except Exception as error:  # one bad request must not end the engine
            self.send({"id": number, "error": self._error(error)})

    def _error(self, error: Exception) -> dict[str, Any]:
        node = next((p.node for p in error.problems if p.node), None) if isinstance(error, GraphError) else None
        if isinstance(error, NetwrightError):
            return {"kind": type(error).__name__, "message": str(error), "node": getattr(error, "node", None) or node}
        text = str(error).splitlines()[0] if str(error) else "no reason given"
        return {"kind": "internal", "message": f"The engine failed: {type(error).__name__}: {text}", "node": node}

    # -- methods: one each, named like the request -------------------------------------------------------------------

    def _catalogue(self, number: int) -> Any:
        from nodes.sdk.discover import library

        broken = [vars(b) for b in library().broken]
        return {"components": library().catalogue.to_json(), "broken": broken}

    def _propagate(self, number: int, document: dict[str, Any]) -> Any:
        from designer.engine.propagate import Cancelled, propagate

        def stale() -> bool:
            return self._newest["propagate"] != number

        if stale():
            raise Cancelled
        return propagate(GraphData.model_validate(document), cache=self._cache, cancelled=stale).to_json()

    def _expand(self, number: int, document: dict[str, Any], node: str) -> Any:
        from designer.engine.expand import expand_node

        return expand_node(GraphData.model_validate(document), node, self._cache)

    def _export_pytorch(
        self, number: int, document: dict[str, Any], path: str, weights: str = "", **options: Any
    ) -> Any:
        from designer.export import export_pytorch

        self._progress(number, 0.1, "Writing the PyTorch folder")
        return export_pytorch(GraphData.model_validate(document), Path(path), weights or None, **options).to_json()

    def _export_onnx(self, number: int, document: dict[str, Any], path: str, weights: str = "", **options: Any) -> Any:
        from designer.export import export_onnx

        self._progress(number, 0.1, "Exporting to ONNX and comparing with onnxruntime")
        return export_onnx(GraphData.model_validate(document), Path(path), weights or None, **options).to_json()

    def _templates(self, number: int) -> Any:
        from designer.graph.templates import templates

        return [{"name": t.name, "title": t.title, "summary": t.summary, "task": t.task} for t in templates()]

    def _shutdown(self, number: int) -> Any:
        return True

    def _progress(self, number: int, fraction: float, text: str) -> None:
        self.send({"event": "progress", "id": number, "fraction": fraction, "text": text})


def main() -> None:
    """Entry point of `python -m designer.engine`."""
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    # From here on descriptor 1 is stderr, also for C code; a component that prints cannot break the protocol.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    Server(source, target).serve()
