"""Errors of data sets."""

from __future__ import annotations

from pathlib import Path

from designer.graph.errors import NetwrightError


class DataError(NetwrightError):
    """A data set that cannot be used: which file, which line, what was expected.

    Args:
        message: what is wrong and what to do.
        path: the file or folder at fault.
        line: 1-based; 0 when no line can be named.
    """

    def __init__(self, message: str, path: str | Path = "", line: int = 0) -> None:
        self.what, self.path, self.line = message, str(path), line
        where = f"{path}:{line}: " if line else f"{path}: " if str(path) else ""
        super().__init__(where + message)
