"""The inspector: the page that fits the selection, kept up to date with the document and with what the engine found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from designer.graph.document import Document
from designer.graph.problems import Fix, Problem
from designer.ui import theme
from designer.ui.inspector_node import NodePage
from designer.ui.inspector_pages import DocumentPage, ManyPage


class Inspector(QScrollArea):
    """Signals:
    fix_chosen(Fix): a fix button was pressed.
    wanted(str, dict, object): a question for the engine: method, params, and what to call with the answer.
    refused(str): why an edit cannot be made.
    library_wanted(str): the composite of this id shall be saved to the user's library.
    sweep_wanted(str): this parameter (a node's id, a dot, its name) shall be swept.
    """

    fix_chosen = Signal(Fix)
    wanted = Signal(str, dict, object)
    refused = Signal(str)
    library_wanted = Signal(str)
    sweep_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(self.horizontalScrollBarPolicy().ScrollBarAlwaysOff)
        self._document: Document | None = None
        self._selected: list[str] = []
        self._result: Mapping[str, Any] = {}
        self._problems: Sequence[Problem] = ()
        # Many changes may come at once (undo of a paste): the page is brought up to date once, after them.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._refresh)
        theme.manager.changed.connect(self._on_theme)

    @property
    def page(self) -> QWidget | None:
        """The page on show."""
        return self.widget()

    def set_document(self, document: Document | None) -> None:
        self._document, self._selected, self._result, self._problems = document, [], {}, ()
        self._rebuild()

    def catalogue_changed(self) -> None:
        """The document knows other components now."""
        self._rebuild()

    def set_selection(self, ids: Sequence[str]) -> None:
        if list(ids) != self._selected:
            if self._document is not None:
                self._document.seal()
            self._selected = list(ids)
            self._rebuild()

    def focus_first(self) -> None:
        """Put the keyboard into the first editor of the page: the first parameter, else the title."""
        page = self.page
        if isinstance(page, NodePage):
            first = next(iter(page.params.rows.values()), None) if page.params is not None else None
            (first.editor if first is not None else page.title).setFocus()

    def document_changed(self) -> None:
        """The document has changed: look again, soon."""
        self._later.start()

    def show_propagation(self, result: Mapping[str, Any], problems: Sequence[Problem]) -> None:
        """Take the engine's newest answer and all problems of the document."""
        self._result, self._problems = result, problems
        self._refresh()

    def _known(self) -> list[str]:
        ids = {node.id for node in self._document.data.nodes} if self._document else set()
        return [i for i in self._selected if i in ids]

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._rebuild()

    def _rebuild(self) -> None:
        self._later.stop()
        if self._document is None:
            self.setWidget(QWidget())
            return
        ids = self._known()
        page: QWidget
        if not ids:
            page = DocumentPage(self._document)
        elif len(ids) > 1:
            page = ManyPage(self._document, ids)
        else:
            node = self._document.node(ids[0])
            spec = self._document.spec(node)
            page = NodePage(self._document, node, spec)
            page.fix_chosen.connect(self.fix_chosen)
            page.wanted.connect(self.wanted)
            page.refused.connect(self.refused)
            page.library_wanted.connect(self.library_wanted)
            page.sweep_wanted.connect(self.sweep_wanted)
        self.setWidget(page)
        self._refresh()

    def _refresh(self) -> None:
        page = self.page
        if self._document is None or page is None:
            return
        wanted = self._known()
        shown = [page.node_id] if isinstance(page, NodePage) else page.ids if isinstance(page, ManyPage) else []
        if wanted != shown:
            self._rebuild()
        elif isinstance(page, NodePage) and page.spec != self._document.spec(page.node_id):
            kept = self.verticalScrollBar().value()
            self._rebuild()  # its composite has another definition
            self.verticalScrollBar().setValue(kept)
        elif isinstance(page, NodePage):
            page.refresh()
            mine = [p for p in self._problems if p.node == page.node_id]
            page.show_result(self._results().get(page.node_id), mine, self._inputs(page.node_id))
        elif isinstance(page, ManyPage):
            page.refresh(self._results())
        elif isinstance(page, DocumentPage):
            page.refresh(self._result.get("totals") or {})

    def _results(self) -> Mapping[str, Any]:
        return self._result.get("nodes") or {}

    def _inputs(self, node_id: str) -> dict[str, Any]:
        """The tensor on each wire into the node, by the port it goes to; None where it is not known yet."""
        assert self._document is not None
        found = {}
        for wire in self._document.data.wires:
            if wire.target == node_id:
                outputs = (self._results().get(wire.source) or {}).get("outputs") or {}
                found[wire.target_port] = outputs.get(wire.source_port)
        return dict(sorted(found.items()))
