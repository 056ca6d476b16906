"""Errors of exports."""

from __future__ import annotations

from designer.graph.errors import NetwrightError


class ExportError(NetwrightError):
    """A model that could not be exported; nothing was left on disk. `node` is the node at fault, when one is known."""

    def __init__(self, message: str, node: str | None = None) -> None:
        self.node = node
        super().__init__(message)
