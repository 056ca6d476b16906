"""Copy as code in the window: the engine writes a class of the selected nodes, which goes onto the clipboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QGuiApplication

from designer.ui import wording

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


def copy_as_code(window: MainWindow) -> None:
    """Asks the engine for the code of the selected nodes."""
    document, nodes = window.workspace.document, window.canvas.selected_ids()
    if document is None or not nodes:
        window.messages.say("Select the nodes whose code is wanted.", key="code")
        return

    def done(text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        lines = wording.plural(text.count("\n"), "line")
        window.messages.say(f"Copied {wording.plural(len(nodes), 'node')} as {lines} of code.", key="code")

    def refused(error: Mapping[str, Any]) -> None:
        window.messages.say(str(error.get("message", "")), "danger", key="code")

    question = {"document": document.data.model_dump(mode="json"), "nodes": nodes}
    window.engine.ask("code", question, done, refused)
