"""A look inside a composite: its parts with their shapes on the canvas, to be seen and copied but not changed.

What is shown is a copy of the document with the composite unpacked, so the engine answers about the parts exactly as
they stand, and a composite among them can be opened in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from designer.graph.document import Document
from designer.graph.unpack import unpack
from designer.ui.widgets import button, label, row, tool


@dataclass
class Level:
    """One composite that is looked into.

    Attributes:
        title: of the composite.
        whole: a copy of the document in which it is unpacked.
        shown: its parts, and the nodes that it is wired to.
        around: ids of the latter.
        view: what was seen before it was opened: middle and zoom.
        chosen: what was selected then.
        result: the engine's answer about `whole`.
    """

    title: str
    whole: Document
    shown: Document
    around: set[str]
    view: tuple[QPointF, float]
    chosen: list[str]
    result: Mapping[str, Any] = field(default_factory=dict)


def level_of(
    document: Document, node_id: str, inside: Mapping[str, Any], view: tuple[QPointF, float], chosen: list[str]
) -> Level:
    """Unpacks a composite in a copy of its document.

    Args:
        document: the document that it is in.
        node_id: the composite.
        inside: what the engine's `expand` answered about it.
        view: middle and zoom of the canvas now.
        chosen: ids of what is selected now.

    Raises:
        EditError: for a composite that is bypassed.
    """
    title = document.node(node_id).title
    whole = Document(document.data.model_copy(deep=True), document.catalogue)
    parts = set(unpack(whole, node_id, inside))
    wires = [w for w in whole.data.wires if w.source in parts or w.target in parts]
    around = ({w.source for w in wires} | {w.target for w in wires}) - parts
    nodes = [n.model_copy() for n in whole.data.nodes if n.id in parts | around]
    for node in nodes:
        if node.id in parts:
            node.title = node.title.removeprefix(f"{title} ")
    data = whole.data.model_copy(update={"nodes": nodes, "wires": wires, "groups": []})
    return Level(title, whole, Document(data, document.catalogue), around, view, chosen)


class Breadcrumbs(QFrame):
    """Where we are: the document, the composites that were opened one in the other, and a way out of each."""

    def __init__(self, parent: QWidget, go: Callable[[int], None]) -> None:
        super().__init__(parent)
        self.setProperty("look", "card")
        self.setAccessibleName("Where we are")
        self._go = go
        self._row = QHBoxLayout()
        self._row.setSpacing(2)
        hint = label("Read only. To edit its parts: Escape, Ctrl+U", "muted")
        close = tool("close", "Leave (Escape)")
        close.clicked.connect(lambda: go(-2))
        self.setLayout(row(self._row, hint, close, margins=(8, 4, 4, 4), gap=10))
        self.hide()

    def show_path(self, titles: list[str]) -> None:
        """Shows the document's name and the titles under it; hides itself where there is only the document."""
        while (item := self._row.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.setParent(None)
                old.deleteLater()
        for depth, title in enumerate(titles):
            if depth:
                self._row.addWidget(label("›", "muted"))
            if depth == len(titles) - 1:
                here = label(title, "value")
                here.setContentsMargins(6, 0, 0, 0)  # as far from the mark before it as the buttons' words are
                self._row.addWidget(here)
            else:
                back = button(title, "ghost", tip=f"Back to {title}")
                back.setFocusPolicy(Qt.FocusPolicy.NoFocus)
                back.clicked.connect(lambda _checked=False, to=depth: self._go(to))
                self._row.addWidget(back)
        self.setVisible(len(titles) > 1)
        self.adjustSize()
