"""Every error a user can cause. Each message says what is wrong, where, and what to do.

NetwrightError
├── DocumentError       a file that cannot be read as a document (path, line)
├── CannotConnect       two ports that cannot be wired
├── UnknownNode         an id or title that is not in the document
├── EditError           an edit that cannot be applied; nothing was changed
└── GraphError          a document with problems, where a runnable one is needed (problems)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from designer.graph.problems import Problem


class NetwrightError(Exception):
    """Root of all errors that are the user's to mend; the command line prints the message and exits with 2."""


class DocumentError(NetwrightError):
    """A file that cannot be read as a document.

    Args:
        message: what is wrong and what to do.
        path: the file.
        line: 1-based line; 0 when no line can be named.
    """

    def __init__(self, message: str, path: str | Path = "", line: int = 0) -> None:
        self.message, self.path, self.line = message, str(path), line
        where = f"{path}:{line}: " if line else f"{path}: " if str(path) else ""
        super().__init__(where + message)


class CannotConnect(NetwrightError):
    """Two ports that cannot be wired; the message is the reason."""


class UnknownNode(NetwrightError):
    """A node, wire or group that is not in the document."""


class EditError(NetwrightError):
    """An edit that cannot be applied. The document is as it was."""


class GraphError(NetwrightError):
    """A document that cannot run. `problems` lists why."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message)
