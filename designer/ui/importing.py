"""Import in the window: the engine reads another program's model, which opens as a new document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QFileDialog

from designer.graph.model import GraphData
from designer.ui import wording
from designer.ui.message_bar import Choice

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

SUFFIXES = (".onnx", ".py", ".yaml", ".yml")


def ask_import(window: MainWindow) -> None:
    """Let the user pick a model."""
    kinds = "Models (*.onnx *.py *.yaml *.yml);;ONNX (*.onnx);;PyTorch modules (*.py);;Model tables (*.yaml *.yml)"
    path, _ = QFileDialog.getOpenFileName(window, "Import a model", str(Path.home()), kinds)
    if path:
        import_file(window, Path(path))


def import_file(window: MainWindow, path: Path, trust: bool = False) -> None:
    """Asks the engine to read a model, and opens what it drew.

    Args:
        window: whose engine reads, and where the document opens.
        path: the file.
        trust: the user lets a Python file run.
    """
    window.messages.say(f"Importing {path.name}…", key="import", stays=True)

    def done(result: Mapping[str, Any]) -> None:
        window.workspace.open_data(GraphData.model_validate(result["document"]))
        notes = list(result["notes"])
        shown = " ".join(notes[:2]) + (f" And {wording.plural(len(notes) - 2, 'more note')}." if len(notes) > 2 else "")
        report = " ".join(result["lines"])
        text = f"Imported {path.name}: {wording.plural(result['layers'], 'layer')}. {report} {shown}".strip()
        window.messages.say(text, "warning" if notes else "info", key="import", stays=bool(notes or report))

    def refused(error: Mapping[str, Any]) -> None:
        text = str(error.get("message", ""))
        if error.get("kind") == "NotTrusted":
            run = Choice("Trust and import", lambda: import_file(window, path, trust=True), primary=True)
            window.messages.say(text, "warning", run, key="import")
        else:
            window.messages.say(text, "danger", key="import")

    def step(_fraction: float, text: str) -> None:
        window.messages.say(f"{text}…", key="import", stays=True)

    window.engine.ask("import_model", {"path": str(path), "trust": trust}, done, refused, step)
