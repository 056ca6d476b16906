"""The engine's language: one JSON value a line.

    request   {"id": 7, "method": "propagate", "params": {"document": {...}}}
    answer    {"id": 7, "result": ...}
              {"id": 7, "error": {"kind", "message", "node"}}
              {"id": 7, "cancelled": true}
    event     {"event": "ready", "version", "torch", "device"}
              {"event": "progress", "id": 7, "fraction": 0.4, "text": "..."}

Answers may come out of order. A newer `propagate` cancels older ones.
"""

from __future__ import annotations

import json
from typing import Any

METHODS = ("catalogue", "propagate", "expand", "export_pytorch", "export_onnx", "templates", "shutdown")


def encode(message: dict[str, Any]) -> bytes:
    """One line, newline included."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def decode(line: bytes | str) -> dict[str, Any]:
    """A message. Raises ValueError for anything but one JSON object."""
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("a message is a JSON object")
    return value
