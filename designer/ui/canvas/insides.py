"""Goes into composites and comes out again: what the canvas shows on the way, and what it showed before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from designer.graph.changes import Change, NodeChanged, WireChanged
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.layout import layout
from designer.ui.canvas.inside import Breadcrumbs, Level, level_of

if TYPE_CHECKING:
    from designer.ui.canvas.view import CanvasView

_LOOKS = {"position", "title", "color", "note"}


class Inside:
    """The composites that are open, one in the other.

    Attributes:
        levels: from the outermost in; empty while the document itself is on show.
        outer_result: the engine's last answer about the document.
    """

    def __init__(self, view: CanvasView) -> None:
        self._view = view
        self.levels: list[Level] = []
        self.outer_result: Mapping[str, Any] = {}
        self.crumbs = Breadcrumbs(view, self.leave_to)
        self._outer: Document | None = None
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def whole(self) -> Document | None:
        """The document in which what is shown stands: that of the canvas, or a copy with the composites unpacked."""
        return self.levels[-1].whole if self.levels else self._view.document

    def enter(self, document: Document, node_id: str, answer: Mapping[str, Any]) -> bool:
        """Shows the inside of a composite. Returns whether it still stood where it was asked for."""
        view = self._view
        if document is not self.whole or all(n.id != node_id for n in document.data.nodes):
            return False  # the answer came late
        before = (view.viewer.middle, view.viewer.zoom)
        try:
            level = level_of(document, node_id, answer, before, view._chosen())
        except NetwrightError as error:
            view.status.emit(str(error))
            return False
        if not self.levels:
            self._outer, self.outer_result = document, view.mirror.result
            self._unsubscribe = document.subscribe(self._on_change)
        self.levels.append(level)
        self._show(level)
        view.show_start()
        return True

    def _show(self, level: Level) -> None:
        view = self._view
        view.graph.looks_into = level.title
        view.mirror.show(level.shown)
        sizes = {i: (item.width, item.height) for i, item in view.nodes.items()}
        level.shown.move(layout(level.shown.data, sizes))
        for node_id in level.around:
            view.nodes[node_id].is_around = True
        view.mirror.show_result(level.result)
        self._tell()

    def show_result(self, document: Document, result: Mapping[str, Any]) -> None:
        """Takes the engine's answer about `whole`; one about another is late and dropped."""
        if self.levels and document is self.whole:
            level = self.levels[-1]
            known = {node.id for node in level.shown.data.nodes}
            problems = [p for p in result.get("problems", ()) if p.get("node") in known]
            level.result = {**result, "problems": problems}
            self._view.mirror.show_result(level.result)
            self._view._show_legend()

    def leave(self) -> None:
        """Goes one level out."""
        self.leave_to(len(self.levels) - 1)

    def leave_to(self, depth: int) -> None:
        """Goes out until so many composites are open; a negative depth leaves the innermost."""
        if depth < 0:
            depth = len(self.levels) - 1
        if depth >= len(self.levels):
            return
        view, last = self._view, self.levels[depth]
        del self.levels[depth:]
        if self.levels:
            self._show(self.levels[-1])
        else:
            outer = self._outer
            self.forget()
            view.mirror.show(outer)
            view.mirror.show_result(self.outer_result)
            view._show_legend()
        view.select(last.chosen)
        view.viewer.look_at(*last.view)
        view.inside_left.emit()
        view.viewer.setFocus()

    def forget(self) -> None:
        """Closes everything without showing the document: another takes its place."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._unsubscribe = self._outer = None
        self.levels = []
        self._view.graph.looks_into = ""
        self._tell()

    def _on_change(self, change: Change) -> None:
        """The document was changed elsewhere: what is shown may not be its inside any more."""
        looks = isinstance(change, WireChanged) or (isinstance(change, NodeChanged) and change.field in _LOOKS)
        if not looks:
            self.leave_to(0)

    def _tell(self) -> None:
        self.crumbs.show_path([self._name(), *(level.title for level in self.levels)])
        self.crumbs.raise_()
        self._view.selection_changed.emit([])

    def _name(self) -> str:
        return self._outer.data.name if self._outer is not None else ""
