"""What can go wrong with a component: its declaration (for its author) or its inputs (for who wires it)."""

from __future__ import annotations


class ComponentError(Exception):
    """A declaration that cannot be used. The message names the argument and what to write instead.

    Args:
        message: one or two sentences.
        file: the source file, when known.
        line: its line, 1-based; 0 when unknown.
    """

    def __init__(self, message: str, file: str = "", line: int = 0) -> None:
        self.message, self.file, self.line = message, file, line
        where = f"{file}:{line}: " if file else ""
        super().__init__(where + message)


class BadInput(Exception):
    """Inputs or parameters that a component cannot take, found before any tensor is made.

    Args:
        message: what does not fit, with both sizes.
        port: wire-level name of the input at fault, or the parameter's name; empty when it is the node as a whole.
        code: `missing`, `rank`, `kind`, `size`, `param`, `stride` or `unknown`.
        other: the input it disagrees with, when there is one.
        dim: the letter of the dims string that disagrees (`H`, `C`), when there is one.
    """

    def __init__(self, message: str, port: str = "", code: str = "size", other: str = "", dim: str = "") -> None:
        self.message, self.port, self.code, self.other, self.dim = message, port, code, other, dim
        super().__init__(message)
