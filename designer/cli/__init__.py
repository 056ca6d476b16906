"""`netwright` on the command line: the same document, engine, trainer and exporters that the window uses."""

from __future__ import annotations

from designer.cli.app import main

__all__ = ["main"]
