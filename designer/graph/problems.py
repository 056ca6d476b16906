"""What is wrong with a document, in words, with the edits that would mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "advice"]

_SINGLE = {"map": "a map", "vector": "a vector", "wave": "a wave", "spectrogram": "a spectrogram", "any": "anything"}


def kind_words(kind: str) -> str:
    """What flows through a port, as it stands in a sentence: `a map`, `tokens`, `mask predictions`."""
    return _SINGLE.get(kind, kind.replace("_", " "))


@dataclass(frozen=True)
class Fix:
    """A one-click remedy: a label for the button, and edits for `Document.apply`."""

    label: str
    edits: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Problem:
    """One thing to tell the user.

    Attributes:
        severity: an `error` keeps the document from running; a `warning` does not; `advice` is about the design.
        message: what is wrong, where, and what to do.
        node: id of the node to select, or None when it is about the whole document.
        port: wire-level input at fault, if one is.
        code: stable word for tests and filters, such as `size` or `cycle`.
        fixes: remedies, best first.
        detail: what torch itself said, if anything.
    """

    severity: Severity
    message: str
    node: str | None = None
    port: str | None = None
    code: str = ""
    fixes: tuple[Fix, ...] = ()
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "message": self.message,
            "node": self.node,
            "port": self.port,
            "code": self.code,
            "fixes": [{"label": f.label, "edits": list(f.edits)} for f in self.fixes],
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Problem:
        fixes = tuple(Fix(f["label"], tuple(f["edits"])) for f in data.get("fixes", ()))
        return cls(**{**data, "fixes": fixes})
