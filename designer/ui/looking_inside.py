"""Looking inside composites in the window: the engine says what is in them and which shapes the parts have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from designer.graph.document import Document

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


def look_inside(window: MainWindow, document: Document, node_id: str) -> None:
    """Asks the engine for the parts of a composite, then for their shapes, and shows both on the canvas."""
    inside = window.canvas.inside

    def entered(answer: Mapping[str, Any]) -> None:
        if not inside.enter(document, node_id, answer) or (whole := inside.whole) is None:
            return
        question = {"document": whole.data.model_dump(mode="json", exclude={"groups"})}
        window.engine.ask("propagate", question, lambda result: inside.show_result(whole, result), refused)

    def refused(error: Mapping[str, Any]) -> None:
        window.messages.say(str(error.get("message", "")), "danger", key="inside")

    window.engine.ask("expand", {"document": document.data.model_dump(), "node": node_id}, entered, refused)
