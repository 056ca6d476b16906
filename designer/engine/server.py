"""The engine process: reads requests from stdin, answers on stdout. Holds torch, as the trainer does.

Four threads: one reads, so that a newer request can cancel the one at work; the main thread does what takes
milliseconds; one does exports, so that shapes go on while a model is exported; one looks at model files, which it does
before torch is there. stdout belongs to the protocol
alone: whatever a component prints goes to stderr.
"""

from __future__ import annotations

import gc
import inspect
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from designer import __version__
from designer.engine.protocol import METHODS, Cancelled, decode, encode, failure
from designer.graph.errors import GraphError, NetwrightError
from designer.graph.model import GraphData

SLOW = (
    "suggestions", "code", "load_weights", "finetune", "import_model", "export_pytorch", "export_onnx",
    "export_program", "export_weights",
)  # fmt: skip
"""Methods that may take seconds to minutes."""
VIEWS = ("view_model", "view_tensor")
"""Methods about other programs' model files."""
GRACE = 30.0
"""Seconds for what was asked before the input ended. There are none when the parent has died: nobody waits for it."""
IDLE = 0.3
"""Seconds without a request before torch's lazy parts are loaded ahead of need, and before rubbish is collected."""
ROUNDS = 5
"""Collections of young objects before all are looked at, which takes 70 ms with 300 nodes."""


@dataclass
class Request:
    """One request; `cancelled` is set when nobody waits for it any more."""

    id: int
    method: str
    params: dict[str, Any]
    cancelled: threading.Event = field(default_factory=threading.Event)


class Server:
    """Answers one client. `serve` returns when the input ends or `shutdown` is asked."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target
        self._writing = threading.Lock()
        self._quick: queue.Queue[Request | None] = queue.Queue()
        self._slow: queue.Queue[Request | None] = queue.Queue()
        self._views: queue.Queue[Request | None] = queue.Queue()
        self._open: dict[int, Request] = {}
        self._parent = os.getppid()
        self._cache: Any = None
        self._model_files: Any = None

    def serve(self) -> None:
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        threading.Thread(target=self._work, args=(self._views,), name="model files", daemon=True).start()
        self._announce()
        threading.Thread(target=self._work, args=(self._slow, (self._collect,)), name="exports", daemon=True).start()
        self._work(self._quick, (self._load_ahead, self._collect))

    def send(self, message: dict[str, Any]) -> None:
        line = encode(message)
        with self._writing:
            try:
                self._target.write(line)
                self._target.flush()
            except OSError:  # nobody is there to read
                os._exit(0)

    def _announce(self) -> None:
        started = time.perf_counter()
        import torch

        from designer.engine.propagate import Cache
        from nodes.sdk.discover import library

        imported = time.perf_counter()
        library()
        gc.freeze()  # the collector need not look at torch's million objects again, 0.3 s each time
        # Nor at the modules of a large document while somebody waits for its shapes: that is left to `_collect`.
        gc.set_threshold(5_000, 20, 1_000)
        self._cache = Cache()
        seconds = {"torch": round(imported - started, 3), "components": round(time.perf_counter() - imported, 3)}
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.send(
            {
                "event": "ready",
                "version": __version__,
                "torch": torch.__version__,
                "device": device,
                "seconds": seconds,
            }
        )

    @staticmethod
    def _load_ahead() -> None:
        """The first sum on the meta device imports sympy and more, for over a second; nobody should wait for it."""
        import torch

        _ = torch.empty(1, device="meta") + 1
        gc.collect()
        gc.freeze()

    @staticmethod
    def _collect() -> None:
        """Collects what refers to itself, an export's graphs among it, once enough has come together."""
        if gc.get_count()[2] >= ROUNDS:
            gc.collect()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for line in iter(self._source.readline, b""):
            if line.strip():
                self._take(line)
        self._quick.put(None)
        end = time.monotonic() + GRACE
        while time.monotonic() < end and os.getppid() == self._parent:
            time.sleep(0.05)
        os._exit(0)  # in the middle of the work, if there is any

    def _take(self, line: bytes) -> None:
        try:
            raw = decode(line)
            number, method, params = raw.get("id"), raw.get("method"), raw.get("params") or {}
            if method == "cancel" and isinstance(params, dict):
                self._cancel(params.get("id"))
                return
            if isinstance(number, bool) or not isinstance(number, int):
                raise ValueError("id must be a whole number")
            if not isinstance(method, str) or not isinstance(params, dict):
                raise ValueError("method must be text and params an object")
        except ValueError as error:
            self.send(failure(None, "protocol", f"A line that is no request was ignored: {error}."))
            return
        if method == "propagate":
            for other in list(self._open.values()):
                if other.method in (method, "receptive_field"):
                    other.cancelled.set()
        request = self._open[number] = Request(number, method, params)
        (self._slow if method in SLOW else self._views if method in VIEWS else self._quick).put(request)

    def _cancel(self, number: Any) -> None:
        request = self._open.get(number) if isinstance(number, int) else None
        if request is not None:
            request.cancelled.set()

    # -- working -----------------------------------------------------------------------------------------------------

    def _work(self, requests: queue.Queue[Request | None], idle: Sequence[Callable[[], None]] = ()) -> None:
        """Answers until there are no more; the first pause is for the first of `idle`, each later one for the last."""
        due = list(idle)
        while True:
            try:
                request = requests.get(timeout=IDLE if due else None)
            except queue.Empty:
                due.pop(0)()
                continue
            if request is None:
                return
            answer = self._answer(request)
            self._open.pop(request.id, None)
            self.send(answer)
            if request.method == "shutdown":
                return
            due = due or list(idle[-1:])

    def _answer(self, request: Request) -> dict[str, Any]:
        try:
            if request.cancelled.is_set():
                raise Cancelled
            if request.method not in METHODS:
                raise _Refused(f"There is no method {request.method!r}. There are: {', '.join(METHODS)}.")
            handler: Callable[..., Any] = getattr(self, f"_{request.method}")
            try:
                inspect.signature(handler).bind(request, **request.params)
            except TypeError as error:
                raise _Refused(f"The parameters of {request.method} do not fit: {error}.") from None
            result = handler(request, **request.params)
            # A result that came all the same is not sent once the request is stale: it would be drawn over a newer one.
            return {"id": request.id, **({"cancelled": True} if request.cancelled.is_set() else {"result": result})}
        except Cancelled:
            return {"id": request.id, "cancelled": True}
        except (Exception, SystemExit) as error:  # one bad request must not end the engine
            return _failed(request, error)

    # -- methods: one each, named like the request -------------------------------------------------------------------

    def _catalogue(self, request: Request) -> Any:
        from nodes.sdk.discover import library

        return {"components": library().catalogue.to_json(), "broken": [asdict(b) for b in library().broken]}

    def _user_files(self, request: Request, trust: Sequence[str] = (), distrust: Sequence[str] = ()) -> Any:
        from nodes.sdk import user_files
        from nodes.sdk.discover import library

        try:
            for path in trust:
                user_files.trust(Path(path))
            for path in distrust:
                user_files.distrust(Path(path))
        except OSError as error:
            raise NetwrightError(f"{error.filename}: {error.strerror}. Nothing was trusted.") from None
        library().sync_user_files()
        return {
            "folder": str(user_files.folder()),
            "files": [{"path": str(f.path), "state": f.state} for f in user_files.user_files()],
        }

    def _propagate(self, request: Request, document: dict[str, Any]) -> Any:
        from designer.engine.propagate import propagate

        data = _document(document)
        return propagate(data, cache=self._cache, cancelled=request.cancelled.is_set).to_json()

    def _expand(self, request: Request, document: dict[str, Any], node: str) -> Any:
        from designer.engine.expand import expand_node

        return expand_node(_document(document), node, self._cache)

    def _parts(self, request: Request, document: dict[str, Any]) -> Any:
        from designer.engine.parts import parts

        found = parts(_document(document), cache=self._cache, cancelled=request.cancelled.is_set)
        return {node: [part.to_json() for part in inside] for node, inside in found.items()}

    def _receptive_field(self, request: Request, document: dict[str, Any], node: str) -> Any:
        from designer.engine.receptive import reaches

        found = reaches(_document(document), node, cache=self._cache, cancelled=request.cancelled.is_set)
        return {port: reach.to_json() for port, reach in found.get(node, {}).items()}

    def _suggestions(self, request: Request, component: str, param: str) -> Any:
        from nodes.sdk.discover import library

        return library().suggestions(component, param)

    def _weights(self, request: Request, component: str, params: dict[str, Any]) -> Any:
        from designer.engine.pretrained import sources

        return sources(component, params)

    def _load_weights(self, request: Request, document: dict[str, Any], path: str, folder: str) -> Any:
        from designer.engine.load_weights import load_weights

        return load_weights(_document(document), Path(path), Path(folder)).to_json()

    def _finetune(
        self, request: Request, document: dict[str, Any], start: str, data: dict[str, Any], folder: str = "",
        **options: Any,
    ) -> Any:  # fmt: skip
        """A plan without a folder for the weights; `base` is the document that it goes on from."""
        from designer.engine.finetune import Wanted, base_document, fine_tune
        from designer.graph.training import DataSettings

        base = base_document(Path(start)) if start and Path(start).is_dir() else _document(document)
        wanted = Wanted(start, DataSettings.model_validate(data), **options)
        found = fine_tune(base, wanted, Path(folder) if folder else None)
        return {**found.to_json(), "base": base.model_dump(mode="json")}

    def _import_model(self, request: Request, path: str, trust: bool = False, **options: str) -> Any:
        from designer.importing.model import open_model

        found = open_model(
            Path(path), trust=trust, progress=partial(self._progress, request), cancelled=request.cancelled.is_set,
            **options,  # type: ignore[arg-type]
        )  # fmt: skip
        document = found.document
        return {
            "document": document.model_dump(mode="json"), "notes": found.notes, "lines": found.lines,
            "report": found.report, "layers": sum(n.component != "io.image_input" for n in document.nodes),
        }  # fmt: skip

    def _code(self, request: Request, document: dict[str, Any], nodes: list[str]) -> Any:
        from designer.export.snippet import code_of

        return code_of(_document(document), nodes)

    def _export_pytorch(self, request: Request, document: dict[str, Any], path: str, weights: str = "") -> Any:
        from designer.export import export_pytorch

        self._progress(request, 0.1, "Writing the PyTorch folder")
        return _plain(export_pytorch(_document(document), Path(path), weights or None))

    def _export_program(self, request: Request, document: dict[str, Any], path: str, weights: str = "") -> Any:
        from designer.export import export_program

        self._progress(request, 0.1, "Tracing the model and comparing")
        return _plain(export_program(_document(document), Path(path), weights or None))

    def _export_weights(self, request: Request, document: dict[str, Any], path: str, weights: str = "") -> Any:
        from designer.export import export_weights

        return _plain(export_weights(_document(document), Path(path), weights or None))

    def _export_onnx(
        self, request: Request, document: dict[str, Any], path: str, weights: str = "", **options: Any
    ) -> Any:
        from designer.export import export_onnx
        from designer.graph.onnx_options import onnx_options

        chosen = onnx_options(**options)
        self._progress(request, 0.1, "Exporting to ONNX and comparing with onnxruntime")
        return _plain(export_onnx(_document(document), Path(path), weights or None, options=chosen))

    def _view_model(self, request: Request, path: str, graph: str = "") -> Any:
        return self._opened().show(Path(path), graph)

    def _view_tensor(self, request: Request, path: str, name: str) -> Any:
        return self._opened().figures(Path(path), name, request.cancelled.is_set)

    def _opened(self) -> Any:
        from designer.model_files.opened import OpenedFiles

        self._model_files = self._model_files or OpenedFiles()
        return self._model_files

    def _templates(self, request: Request) -> Any:
        from designer.graph.templates import templates

        return [{"name": t.name, "title": t.title, "summary": t.summary, "task": t.task} for t in templates()]

    def _shutdown(self, request: Request) -> Any:
        return True

    def _progress(self, request: Request, fraction: float, text: str) -> None:
        self.send({"event": "progress", "id": request.id, "fraction": fraction, "text": text})


class _Refused(Exception):
    """A request that breaks the protocol."""


def _document(raw: dict[str, Any]) -> GraphData:
    try:
        return GraphData.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise _Refused(f"The document cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def _plain(report: Any) -> Any:
    """A report as JSON: its own `to_json`, or its fields."""
    if hasattr(report, "to_json"):
        return report.to_json()
    return asdict(report) if is_dataclass(report) and not isinstance(report, type) else report


def _failed(request: Request, error: BaseException) -> dict[str, Any]:
    if isinstance(error, _Refused):
        return failure(request.id, "protocol", str(error))
    if isinstance(error, NetwrightError):
        node = getattr(error, "node", None)
        if isinstance(error, GraphError):
            node = next((p.node for p in error.problems if p.node), None)
        return failure(request.id, type(error).__name__, str(error), node)
    text = (str(error).splitlines() or ["no reason given"])[0]
    said = f"{type(error).__name__}: {text}"
    return failure(request.id, "internal", f"{request.method} failed in a way that was not foreseen. {said}")


def main() -> None:
    """Entry point of `python -m designer.engine`."""
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    # From here on descriptor 1 is stderr, also for C code; a component that prints cannot break the protocol, and one
    # that reads input gets none.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    # Ctrl-C in a terminal reaches the whole group; the parent decides, and the end of its pipe is the sign to leave.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Server(source, target).serve()
    # Without waiting for the export thread, nor for whatever threads a component has started.
    target.flush()
    os._exit(0)
