"""What the canvas can do to its document, by menu, key or call: each is one undo step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent

from designer.graph.clipboard import can_paste, copy_nodes, paste_nodes
from designer.graph.document import Document
from designer.graph.layout import layout, layout_down, layout_levels, strides_in
from designer.graph.reroute import led, move_along, set_points
from designer.graph.rewire import remove_and_join
from designer.ui import wording
from designer.ui.canvas.frames import NOTE_LEAST, NOTE_WIDTH
from designer.ui.canvas.items import HEADER
from designer.ui.canvas.placing import Places, Side, align, spread
from designer.ui.canvas.selecting import SelectingCanvas

SHIFT = 32.0
"""How far a pasted copy lies from its original."""
NUDGE = 8.0
"""How far an arrow key moves nodes; ten times that with Shift."""
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class EditedCanvas(SelectingCanvas):
    """The viewer, its items and the edits."""

    # -- editing -------------------------------------------------------------------------------------------------------

    def delete_selected(self) -> None:
        """Deletes the selected nodes, wires, notes, points of wires and open frames as one step.

        The nodes of an open frame stay, those of a folded one go with it.
        """
        ids, wires = self.selected_ids(), self.selected_wires()
        notes = [frame.content for frame in self.selected_frames() if not frame.is_folded]
        chosen = {i: points for i, points in self.selected_points().items() if i not in wires}
        left = {i: [at for k, at in enumerate(self.wires[i].points) if k not in points] for i, points in chosen.items()}
        if not (ids or wires or notes or left):
            return

        def delete(document: Document) -> None:
            count = len(ids) + len(wires) + len(notes) or len(left)
            note = f"frame {notes[0].title}" if notes and notes[0].nodes else "note" if notes else "points of a wire"
            one = document.node(ids[0]).title if ids else "wire" if wires else note
            kind = "items" if wires or notes else "nodes"
            with document.edit(f"Delete {one}" if count == 1 else f"Delete {count} {kind}"):
                set_points(document, left)
                for wire in wires:
                    document.disconnect(wire)
                for group in notes:
                    document.remove_group(group)
                if ids:
                    document.remove(*ids)

        self.graph.edit(delete)

    def take_out(self) -> None:
        """Deletes the selected nodes and joins the wires that came in with those that went out."""
        ids = self.selected_ids()
        if ids:
            self.graph.edit(lambda document: remove_and_join(document, ids))

    def copy(self) -> None:
        """Puts what is selected on the clipboard, as the text of a document; also nodes inside a composite."""
        if self.document is not None and (ids := self._taken()):
            QGuiApplication.clipboard().setText(copy_nodes(self.document, ids))
            self._pasted = 0
        else:
            self.status.emit("Select nodes, frames or notes to copy them.")

    def cut(self) -> None:
        if self.has_selection and (ids := self._taken()):
            self.copy()
            self.select(ids)
            self.delete_selected()

    def paste(self) -> None:
        """Adds what is on the clipboard at the pointer, else beside its originals; a little further each time."""
        text = QGuiApplication.clipboard().text()
        if not can_paste(text):
            self.status.emit("The clipboard holds no nodes. Copy nodes on a canvas first.")
            return
        at = self.pointer
        if at is not None and at != self._pasted_at:
            self._pasted, self._pasted_at = 0, at
        elif at is None:
            self._pasted += 1
        self._paste(text, SHIFT * self._pasted, at)
        if at is not None:
            self._pasted += 1

    def duplicate(self) -> None:
        if self.document is not None and self.has_selection and (ids := self._taken()):
            self._paste(copy_nodes(self.document, ids), SHIFT)

    def _paste(self, text: str, shift: float, at: QPointF | None = None) -> None:
        corner = (round(at.x()), round(at.y())) if at is not None else None
        made = self.graph.edit(lambda document: paste_nodes(document, text, (shift, shift), corner))
        if made:
            self.select(made)
            self._show(made)

    def toggle_bypass(self) -> None:
        """Takes the selected nodes out of the model's run, or back in."""
        self._toggle("disabled", Document.set_disabled, "Bypass", "Enable")

    def toggle_freeze(self) -> None:
        """Holds the weights of the selected nodes, or lets them learn again."""
        self._toggle("frozen", Document.set_frozen, "Freeze", "Unfreeze")

    def _toggle(self, field: str, setter: Callable[[Document, str, bool], None], on_name: str, off_name: str) -> None:
        ids = self.selected_ids()

        def toggle(document: Document) -> None:
            on = not all(getattr(document.node(i), field) for i in ids)
            what = f"{len(ids)} nodes" if len(ids) > 1 else document.node(ids[0]).title
            with document.edit(f"{on_name if on else off_name} {what}"):
                for node_id in ids:
                    setter(document, node_id, on)

        if ids:
            self.graph.edit(toggle)

    def undo(self) -> None:
        self.graph.edit(Document.undo)

    def redo(self) -> None:
        self.graph.edit(Document.redo)

    def arrange(self, way: str = "right") -> None:
        """Places the selected nodes, or all when fewer than two are, as one step.

        Args:
            way: `right`, `down`, or `levels` for a row for each stride.
        """
        ids = self.selected_ids()
        chosen = set(ids if len(ids) > 1 else self.nodes)
        if self.document is None or not chosen:
            return
        sizes = {i: (self.nodes[i].width, self.nodes[i].height) for i in chosen}
        data = self.document.data
        part = data.model_copy(
            update={
                "nodes": [n for n in data.nodes if n.id in chosen],
                "wires": [w for w in data.wires if w.source in chosen and w.target in chosen],
            }
        )
        if way == "levels":
            places = layout_levels(part, sizes, strides_in(self.mirror.result))
        else:
            places = (layout_down if way == "down" else layout)(part, sizes)
        # A part stays where it was; the whole starts at the origin.
        dx = dy = 0.0
        if len(chosen) < len(data.nodes):
            dx = min(self.nodes[i].x() for i in chosen) - min(x for x, _ in places.values())
            dy = min(self.nodes[i].y() for i in chosen) - min(y for _, y in places.values())
        moved = {i: (x + dx, y + dy) for i, (x, y) in places.items()}

        def act(document: Document) -> None:
            with document.edit(f"Move {len(moved)} nodes"):
                set_points(document, {wire.id: [] for wire in led(document, chosen)})  # they led round what has moved
                document.move(moved)

        self.graph.edit(act)
        self.mirror.place_labels()

    def frame_selection(self) -> None:
        """Puts a titled frame around the selected nodes; they leave the frames that they were in."""
        ids = self.selected_ids()

        def act(document: Document) -> str:
            with document.edit("Frame " + (f"{len(ids)} nodes" if len(ids) > 1 else document.node(ids[0]).title)):
                _leave(document, set(ids))
                return document.add_group("Frame", ids).id

        if ids and (made := self.graph.edit(act)) is not None:
            self.select([made])
            self.edit_words(made)

    def unframe(self) -> None:
        """Takes the selected nodes, and those of selected frames, out of their frames; one that is left empty goes."""
        ids = set(self.selected_ids()).union(*(frame.content.nodes for frame in self.selected_frames()))
        if not any(ids & set(group.nodes) for group in (self.document.data.groups if self.document else ())):
            self.status.emit("None of the selected nodes is in a frame.")
            return

        def act(document: Document) -> None:
            with document.edit("Unframe"):
                _leave(document, ids)

        self.graph.edit(act)

    def add_note(self, at: QPointF | None = None) -> None:
        """Puts a note at a scene point, else at the pointer or in the middle, and opens it for typing."""
        places = (place for place in (at, self.pointer, self.viewer.middle) if place is not None)
        place = self.free_place(next(places), QRectF(0, 0, NOTE_WIDTH, NOTE_LEAST))
        made = self.graph.edit(lambda document: document.add_group("Note", [], x=round(place.x()), y=round(place.y())))
        if made is not None:
            self.edit_words(made.id)

    def free_place(self, at: QPointF, box: QRectF) -> QPointF:
        """The next place from a scene point downwards where a box around it would lie on no card."""
        cards = [item.scene_card().adjusted(-8, -8, 8, 8) for item in self.nodes.values()]
        while any(card.intersects(box.translated(at)) for card in cards):
            at += QPointF(0, HEADER / 2)
        return at

    def edit_words(self, frame_id: str) -> None:
        """Opens a frame's title or a note for typing."""
        frame = self.mirror.frames[frame_id]

        def take(text: str) -> None:
            if frame_id in self.mirror.frames:
                self.graph.edit(lambda document: document.set_group(frame.content, title=text))

        self.titles.open_at(frame.scene_bar(), frame.content.title, take)

    def colour_selection(self, colour: str) -> None:
        """Gives the selected nodes and frames a colour, or with "" that of their category."""
        ids, frames = self.selected_ids(), self.selected_frames()

        def act(document: Document) -> None:
            with document.edit("Colour"):
                for node_id in ids if not frames else ():
                    document.set_color(node_id, colour)
                for frame in frames:
                    document.set_group(frame.content, color=colour)

        if ids or frames:
            self.graph.edit(act)

    def align(self, side: Side) -> None:
        """Puts one side of the selected cards on a line."""
        self._place(lambda cards: align(cards, side), 2, "Align")

    def spread(self, across: bool) -> None:
        """Gives the selected nodes equal gaps, side by side or under each other."""
        self._place(lambda cards: spread(cards, across), 3, "Spread")

    def _place(self, where: Callable[[Mapping[str, QRectF]], Places], least: int, verb: str) -> None:
        cards = {i: self.nodes[i].scene_card() for i in self.selected_ids()}
        if len(cards) < least:
            self.status.emit(f"Select {wording.plural(least, 'node')} or more first.")
            return

        def act(document: Document) -> None:
            with document.edit(f"{verb} {len(cards)} nodes"):
                document.move(where(cards))

        self.graph.edit(act)

    def toggle_snap(self) -> None:
        """Nodes that are dragged keep to the dots of the grid, or no longer."""
        self.viewer.snap = not self.viewer.snap
        self.status.emit(f"Snap to grid {'on' if self.viewer.snap else 'off'}")

    def nudge_by_key(self, event: QKeyEvent) -> bool:
        """An arrow key moves the selected nodes, or the view when there are none. Returns whether it was one."""
        if event.key() not in _ARROWS:
            return False
        x, y = _ARROWS[Qt.Key(event.key())]
        step = NUDGE * (10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        self._nudge(x * step, y * step)
        return True

    def _nudge(self, dx: float, dy: float) -> None:
        """Moves the selected nodes; a run of key presses is one step."""
        if self.document is not None and (ids := self.selected_ids()):
            places = {i: (self.nodes[i].x() + dx, self.nodes[i].y() + dy) for i in ids}
            move_along(self.document, places)
        else:
            self.viewer.pan_by(QPointF(dx, dy) * 4)


def _leave(document: Document, ids: set[str]) -> None:
    """Takes nodes out of the frames that they are in."""
    for group in list(document.data.groups):
        left = [n for n in group.nodes if n not in ids]
        if group.nodes and not left:
            document.remove_group(group)
        elif len(left) < len(group.nodes):
            document.set_group(group, nodes=left)
