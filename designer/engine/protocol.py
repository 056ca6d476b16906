"""The engine's language: one JSON value a line.

    request   {"id": 7, "method": "propagate", "params": {"document": {...}}}
    answer    {"id": 7, "result": ...}
              {"id": 7, "error": {"kind", "message", "node"}}
              {"id": 7, "cancelled": true}
    event     {"event": "ready", "version", "torch", "device", "seconds"}
              {"event": "progress", "id": 7, "fraction": 0.4, "text": "..."}
              {"event": "dead", "message"}, from the client itself: the process could not be kept alive

Every request gets exactly one answer; answers may come out of order. A newer `propagate` cancels older ones; `cancel`
with `params` {"id": 7} cancels any, and is not answered itself. A line that is no request is answered with id null.
"""

from __future__ import annotations

import json
from typing import Any

METHODS = (
    "catalogue",
    "propagate",
    "expand",
    "parts",
    "receptive_field",
    "user_files",
    "suggestions",
    "weights",
    "load_weights",
    "finetune",
    "import_model",
    "code",
    "export_pytorch",
    "export_onnx",
    "export_program",
    "export_weights",
    "templates",
    "view_model",
    "view_tensor",
    "shutdown",
)


class Cancelled(Exception):
    """A newer request made this one useless, or nobody waits for it any more."""


def encode(message: dict[str, Any]) -> bytes:
    """One line, newline included."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def decode(line: bytes | str) -> dict[str, Any]:
    """A message. Raises ValueError for anything but one JSON object."""
    try:
        value = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("a message is a JSON object")
    return value


def failure(request: int | None, kind: str, message: str, node: str | None = None) -> dict[str, Any]:
    """The answer to a request that went wrong.

    Args:
        request: its id; None when the line could not be read.
        kind: `protocol`, `internal`, `dead`, or the name of a NetwrightError class.
        message: for the user: what is wrong and what to do.
        node: id of the node to look at, if there is one.
    """
    return {"id": request, "error": {"kind": kind, "message": message, "node": node}}
