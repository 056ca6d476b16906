"""Import in the window: the engine reads another program's model, which opens as a new document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QFileDialog

from designer.graph.model import GraphData
from designer.ui import wording

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

SUFFIXES = (".yaml", ".yml")


def ask_import(window: MainWindow) -> None:
    """Let the user pick a model table."""
    start = str(Path.home())
    path, _ = QFileDialog.getOpenFileName(window, "Import a model", start, "Model tables (*.yaml *.yml)")
    if path:
        import_file(window, Path(path))


def import_file(window: MainWindow, path: Path) -> None:
    """Asks the engine to read a model table, and opens what it drew."""
    window.messages.say(f"Importing {path.name}…", key="import")

    def done(result: Mapping[str, Any]) -> None:
        window.workspace.open_data(GraphData.model_validate(result["document"]))
        notes = list(result["notes"])
        shown = " ".join(notes[:2]) + (f" And {wording.plural(len(notes) - 2, 'more note')}." if len(notes) > 2 else "")
        text = f"Imported {path.name}: {wording.plural(result['layers'], 'layer')}. {shown}".strip()
        window.messages.say(text, "warning" if notes else "info", key="import", stays=bool(notes))

    def refused(error: Mapping[str, Any]) -> None:
        window.messages.say(str(error.get("message", "")), "danger", key="import")

    window.engine.ask("import_table", {"path": str(path)}, done, refused)
