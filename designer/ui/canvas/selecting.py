"""The canvas's parts, and what of it is selected."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QPointF, QRectF, Signal
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QWidget

from designer.graph.document import Document
from designer.ui.canvas.frames import FrameItem
from designer.ui.canvas.gliding import Glide
from designer.ui.canvas.graph import CanvasGraph
from designer.ui.canvas.items import NodeItem
from designer.ui.canvas.look import Look
from designer.ui.canvas.mirror import Mirror
from designer.ui.canvas.renaming import TitleEditor
from designer.ui.canvas.viewer import CanvasViewer
from designer.ui.canvas.wires import WireItem
from nodes.sdk.spec import Catalogue


class SelectingCanvas(QWidget):
    """The viewer, its items and which of them are selected.

    Signals:
        selection_changed(list): ids of the selected nodes.
        status(str): something to tell in passing, such as why a wire was refused.
    """

    selection_changed = Signal(list)
    status = Signal(str)

    def __init__(self, catalogue: Catalogue | None, look: Look) -> None:
        super().__init__()
        self.viewer = CanvasViewer(look)
        self.mirror = Mirror(self.viewer, look, catalogue)
        self.graph = CanvasGraph(self.viewer, self.mirror)
        self.titles = TitleEditor(self, self.viewer)
        self.glide = Glide(self.viewer)
        self._pasted, self._pasted_at = 0, QPointF()
        self._menu_at: QPointF | None = None

    @property
    def document(self) -> Document | None:
        return self.mirror.document

    @property
    def nodes(self) -> dict[str, NodeItem]:
        """The node items by id."""
        return self.mirror.nodes

    @property
    def wires(self) -> dict[str, WireItem]:
        """The wire items by id."""
        return self.mirror.wires

    # -- selection -----------------------------------------------------------------------------------------------------

    def selected_ids(self) -> list[str]:
        """Selected nodes of the document; none while a composite is looked into, whose parts are not in it."""
        return [] if self.graph.looks_into else self._chosen()

    def _chosen(self) -> list[str]:
        """Selected nodes; a folded frame stands for all of its nodes."""
        chosen = {frame for frame in self.mirror.frames.values() if frame.is_folded and frame.isSelected()}
        return [i for i, item in self.nodes.items() if item.isSelected() or item.frame in chosen]

    def selected_wires(self) -> list[str]:
        return [wire_id for wire_id, item in self.wires.items() if item.isSelected()]

    @property
    def has_selection(self) -> bool:
        """Whether nodes, wires, frames or notes of the document are selected."""
        found = self._chosen() or self.selected_wires() or self.selected_frames() or self.selected_points()
        return not self.graph.looks_into and bool(found)

    def selected_points(self) -> dict[str, list[int]]:
        """Selected points by wire, counted from its output."""
        found = {i: [p.index for p in wire.point_items if p.isSelected()] for i, wire in self.wires.items()}
        return {wire_id: points for wire_id, points in found.items() if points}

    def selected_frames(self) -> list[FrameItem]:
        """Frames and notes that are selected themselves; their nodes may be selected without."""
        return [frame for frame in self.mirror.frames.values() if frame.isSelected()]

    def select(self, ids: Iterable[str]) -> None:
        """Selects these nodes and notes and nothing else."""
        wanted = set(ids)
        scene = self.viewer.scene()
        scene.blockSignals(True)
        scene.clearSelection()
        self._unfold_for(wanted)
        for node_id in wanted & self.nodes.keys():
            item = self.nodes[node_id]
            (item.frame if item.is_folded and item.frame is not None else item).setSelected(True)
        for note in wanted & self.mirror.frames.keys():
            self.mirror.frames[note].setSelected(True)
        scene.blockSignals(False)
        self.selection_changed.emit(self.selected_ids())

    def _unfold_for(self, wanted: set[str]) -> None:
        """Unfolds frames of which only some nodes are to be seen."""
        hidden = {item.frame for i, item in self.nodes.items() if i in wanted and item.is_folded}
        for frame in hidden:
            if frame is not None and not wanted.issuperset(frame.content.nodes):
                self.fold(frame.id)

    def fold(self, frame_id: str) -> None:
        """Folds a frame to one card, or unfolds it."""
        frame = self.mirror.frames[frame_id]
        verb = "Unfold" if frame.is_folded else "Fold"

        def act(document: Document) -> None:
            with document.edit(f"{verb} {frame.content.title}"):
                document.set_group(frame.content, folded=not frame.content.folded)

        self.graph.edit(act)

    def fold_selected(self) -> None:
        """Folds the frames that are selected or whose nodes are, or unfolds them."""
        frames = [f for f in self.selected_frames() if not f.is_note]
        frames += [f for i in self._chosen() if (f := self.nodes[i].frame) is not None and f not in frames]
        if not frames:
            self.status.emit("Select a frame, or nodes in one: Ctrl+G puts a frame around nodes.")
        for frame in dict.fromkeys(frames):
            self.fold(frame.id)

    def select_all(self) -> None:
        self.select([*self.nodes, *(i for i, frame in self.mirror.frames.items() if frame.is_note)])

    def _taken(self) -> list[str]:
        """What a copy takes: selected nodes and notes, and the nodes of selected frames."""
        frames = self.selected_frames()
        framed = (node for frame in frames for node in frame.content.nodes)
        notes = (frame.id for frame in frames if frame.is_note)
        return list(dict.fromkeys([*self._chosen(), *framed, *notes]))

    # -- places -------------------------------------------------------------------------------------------------------

    @property
    def pointer(self) -> QPointF | None:
        """Where the pointer is over the scene, or was when the menu was opened; None when it is elsewhere."""
        if self._menu_at is not None:
            return self._menu_at
        port = self.viewer.viewport()
        return self.viewer.mapToScene(port.mapFromGlobal(QCursor.pos())) if port.underMouse() else None

    def _show(self, ids: Iterable[str]) -> None:
        """Looks at items of which nothing can be seen."""
        whole = QRectF()
        for i in ids:
            whole = whole.united(self.nodes[i].scene_card() if i in self.nodes else self.mirror.frames[i].scene_box())
        seen = self.viewer.mapToScene(self.viewer.viewport().rect()).boundingRect()
        if not whole.intersects(seen):
            self.viewer.look_at(whole.center(), self.viewer.zoom)
