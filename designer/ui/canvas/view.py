"""The canvas widget: what the window knows of the canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QCursor,
    QKeyEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QMenu, QVBoxLayout
from shiboken6 import isValid

from designer.graph.document import Document
from designer.graph.grouping import group_nodes, title_for
from designer.graph.redefine import rename_composite
from designer.ui import theme as themes
from designer.ui.canvas.editing import EditedCanvas
from designer.ui.canvas.finding import FindBar
from designer.ui.canvas.heat import HeatLegend
from designer.ui.canvas.insides import Inside
from designer.ui.canvas.items import HEADER, WIDTH, CanvasPort
from designer.ui.canvas.look import Look
from designer.ui.canvas.menus import context_menu, matches
from designer.ui.canvas.minimap import Minimap
from designer.ui.canvas.picture import ask_and_save
from designer.ui.canvas.placing import SIDES
from designer.ui.canvas.search import SearchPopup
from nodes.sdk.spec import Catalogue

READABLE, OPENED = 0.4, 0.5
"""A document that would be smaller than the first when it is shown whole opens at its beginning, at the second."""
OVERLAY_GAP = 12
"""Pixels between the edge of the canvas and what stands over it."""


@dataclass(frozen=True)
class Where:
    """A place of the canvas: the scene point in the middle, the scale, and the ids of the selected nodes."""

    middle: QPointF
    zoom: float
    selected: tuple[str, ...]


class CanvasView(EditedCanvas):
    """Shows a document and edits it.

    Signals:
        node_activated(str): a node was double-clicked.
        zoom_changed(float): percent.
        inside_wanted(Document, str): a composite was opened: the engine's `expand` of that node in that document goes
            to `inside.enter`, after which `inside.show_result` takes the shapes of `inside.whole`.
        inside_left(): the document is on show again.
        window_wanted(str): the window's action of this name was chosen.
    """

    node_activated = Signal(str)
    zoom_changed = Signal(float)
    inside_wanted = Signal(Document, str)
    inside_left = Signal()
    window_wanted = Signal(str)

    def __init__(
        self, document: Document | None, catalogue: Catalogue | None, theme: themes.Theme | None = None
    ) -> None:
        super().__init__(catalogue, Look(theme or themes.current()))
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.viewer)
        self.setFocusProxy(self.viewer)
        self._fit_when_shown = True
        self._search_start: CanvasPort | None = None
        self._reselected = QTimer(self)
        self._reselected.setSingleShot(True)
        self._reselected.setInterval(0)
        self._reselected.timeout.connect(self._on_selection)
        self.search = SearchPopup(self, self._on_found)
        self.minimap = Minimap(self, self.mirror)
        self.mirror.on_touched = self.minimap.document_changed
        self.minimap.resized.connect(self._place_overlays)
        self.inside = Inside(self)
        self.legend = HeatLegend(self, self.mirror.look)
        self.find_bar = FindBar(self, self.mirror, self._on_found_node)
        self._connect()
        self.set_document(document)

    def _connect(self) -> None:
        self.viewer.scene().selectionChanged.connect(self._on_selection)
        self.viewer.zoom_changed.connect(lambda scale: self.zoom_changed.emit(scale * 100))
        self.graph.said.connect(self.status)
        self.graph.opened.connect(self._on_opened)
        self.viewer.title_double_clicked.connect(lambda node_id: self.edit_title(node_id))
        self.viewer.fold_clicked.connect(self.fold)
        self.viewer.frame_double_clicked.connect(self.edit_words)
        self.graph.added.connect(self._on_added)
        self.graph.search_wanted.connect(self.open_search)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def set_document(self, document: Document | None) -> None:
        """Shows another document, or none."""
        self.search.close()
        self.find_bar.hide()
        self.inside.forget()
        self.mirror.show(document)
        self.selection_changed.emit([])
        self._fit_when_shown = not self.isVisible()
        self.show_start()

    def set_catalogue(self, catalogue: Catalogue | None) -> None:
        """Takes over the components; ports may appear on nodes that were drawn without."""
        chosen = self.selected_ids()
        self.mirror.catalogue = catalogue
        self.mirror.rebuild()
        self.select(chosen)

    def set_theme(self, theme: themes.Theme) -> None:
        self.mirror.set_look(Look(theme))
        self._show_legend()

    def show_propagation(self, result: Mapping[str, Any]) -> None:
        """Shows the engine's answer: shapes on wires, sizes and problems on nodes."""
        if self.inside.levels:
            self.inside.outer_result = result
        else:
            self.mirror.show_result(result)
            self._show_legend()

    def set_heat(self, kind: str) -> None:
        """Colours cards by `params`, `macs` or `activation_bytes`, or with "" by category again."""
        self.mirror.set_heat(kind)
        self._show_legend()

    def _show_legend(self) -> None:
        self.legend.show_heat(self.mirror.result, self.mirror.heat, self.mirror.look)
        self._place_overlays()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._fit_when_shown:
            self._fit_when_shown = False
            self.show_start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_overlays()

    def _place_overlays(self) -> None:
        """What stands over the canvas keeps to its corner."""
        gap = OVERLAY_GAP
        self.minimap.move(self.width() - self.minimap.width() - gap, self.height() - self.minimap.height() - gap)
        self.legend.move(gap, self.height() - self.legend.height() - gap)
        self.inside.crumbs.move(gap, gap)
        self.find_bar.adjustSize()
        self.find_bar.move(self.width() - self.find_bar.width() - gap, gap)

    # -- where we look -------------------------------------------------------------------------------------------------

    def centre_on(self, node_id: str) -> None:
        """Brings a node to the middle, near enough to be read."""
        if (item := self.nodes.get(node_id)) is not None:
            self.viewer.look_at(item.scene_card().center(), max(self.viewer.zoom, 0.7))

    def find_node(self) -> None:
        """Opens the line that finds nodes."""
        if self.nodes:
            self.find_bar.open_bar()
            self._place_overlays()

    def _on_found_node(self, node_id: str) -> None:
        self.select([node_id])
        self.centre_on(node_id)

    def fit(self) -> None:
        """Shows the whole document."""
        self.glide.finish()
        if self.nodes:
            self.viewer.show_rect(self.mirror.area())
        else:
            self.viewer.look_at(QPointF(0, 0), 1.0)

    def arrange(self, way: str = "right") -> None:
        """Places the selected nodes, or all, and shows them on their way there."""
        chosen = len(self.selected_ids()) > 1
        before = {item: item.pos() for item in self.nodes.values()}
        super().arrange(way)
        if not chosen:
            self.fit()
        self.glide.start(before)

    def show_start(self) -> None:
        """Shows the whole document where it can then be read, else its beginning, large enough for the shapes."""
        self.fit()
        if self.viewer.zoom >= READABLE or not self.nodes:
            return
        area = self.mirror.area()
        first = min((item.scene_card() for item in self.nodes.values()), key=lambda card: card.left())
        wide, high = self.viewer.viewport().width() / OPENED, self.viewer.viewport().height() / OPENED
        down = area.center().y() if area.height() < high else first.center().y()
        self.viewer.look_at(QPointF(area.left() + wide / 2 - 24 / OPENED, down), OPENED)

    def where(self) -> Where:
        """Where the canvas looks and what is selected, to come back to."""
        return Where(self.viewer.middle, self.viewer.zoom, tuple(self.selected_ids()))

    def look_again(self, where: Where) -> None:
        """Goes back to where it looked."""
        self.select(where.selected)
        self.viewer.look_at(where.middle, where.zoom)

    def fit_selection(self) -> None:
        """Shows the selected nodes as large as they fit, up to 100 %."""
        whole = QRectF()
        for node_id in self._chosen():
            whole = whole.united(self.nodes[node_id].scene_card())
        if whole.isEmpty():
            self.fit()
        else:
            self.viewer.show_rect(whole.adjusted(-40, -40, 40, 40))

    def zoom_100(self) -> None:
        self.viewer.look_at(self.viewer.middle, 1.0)

    def _on_selection(self) -> None:
        if self.mirror.is_applying:
            self._reselected.start()  # a thousand nodes that are removed are told as one
        elif isValid(self) and all(isValid(item) for item in self.nodes.values()):  # not while the window is torn down
            self.selection_changed.emit(self.selected_ids())

    # -- adding --------------------------------------------------------------------------------------------------------

    def open_search(self, start: CanvasPort | None = None, at: QPointF | None = None) -> None:
        """Opens the search for a component to put at a scene point, wired to a port if one is given."""
        catalogue = (self.document.catalogue if self.document is not None else None) or self.mirror.catalogue
        if self.document is None or catalogue is None:
            return
        if self.graph.library is not None:
            catalogue = self.graph.library.with_entries(catalogue)
        self._search_start = start
        places = (place for place in (at, self.pointer, self.viewer.middle) if place is not None)
        self.search.open_at(QCursor.pos(), next(places), catalogue, start)

    def _on_found(self, component: str, at: QPointF) -> None:
        start, self._search_start = self._search_start, None
        if start is not None:
            # The pointer let go of the wire where the new node's port shall be.
            at = at + QPointF((-WIDTH if start.is_input else WIDTH) / 2, 0)
        self.graph.add(component, at, start)

    def _on_added(self, node_id: str) -> None:
        self.select([node_id])
        self.viewer.setFocus()

    def add_at_centre(self, component: str) -> str | None:
        """Adds a component in the middle of what is seen, moved aside while something is there. Returns its id."""
        at = self.viewer.middle
        while any(item.scene_card().adjusted(-8, -8, 8, 8).contains(at) for item in self.nodes.values()):
            at += QPointF(0, HEADER + 24)
        return self.graph.add(component, at)

    def _on_opened(self, node_id: str) -> None:
        spec = self.nodes[node_id].spec
        if spec is not None and spec.composite and self.inside.whole is not None:
            self.inside_wanted.emit(self.inside.whole, node_id)
        elif not self.inside.levels:
            self.node_activated.emit(node_id)

    def open_inside(self) -> None:
        """Shows the inside of the selected composite."""
        found = [i for i in self._chosen() if (spec := self.nodes[i].spec) is not None and spec.composite]
        if found:
            self._on_opened(found[0])
        else:
            self.status.emit("Select a composite, such as a backbone: only those are made of parts.")

    def select(self, ids: Iterable[str]) -> None:
        wanted = list(ids)
        if self.inside.levels and not (self.nodes.keys() | self.mirror.frames.keys()) >= set(wanted):
            self.inside.leave_to(0)  # what is to be seen is in the document
        super().select(wanted)

    def group_selection(self) -> None:
        """Makes one node of the selected ones; its title, and that of the composite, is typed in place."""
        if (ids := self.selected_ids()) and (
            made := self.graph.edit(lambda d: group_nodes(d, ids, title_for(d, ids)).id)
        ) is not None:
            self.select([made])
            self.edit_title(made, lambda text: self._on_group_named(made, text))

    def rename(self) -> None:
        """Opens the title of the selected node for typing, where it stands."""
        if frames := self.selected_frames():
            self.edit_words(frames[0].id)
        elif ids := self.selected_ids():
            self.edit_title(ids[0])

    def _on_group_named(self, node_id: str, text: str) -> None:
        if node_id in self.nodes:
            self.graph.edit(lambda d: rename_composite(d, d.node(node_id).component, text, node_id))

    def edit_title(self, node_id: str, take: Callable[[str], object] | None = None) -> None:
        """Opens a node's title for typing; `take` gets it in place of the node."""
        if self.graph.looks_into:
            self._on_opened(node_id)
            return
        item = self.nodes[node_id]
        self.titles.open_at(
            item.mapRectToScene(item.title_box()), item.name, take or (lambda text: self._on_title(node_id, text))
        )

    def _on_title(self, node_id: str, text: str) -> None:
        if node_id in self.nodes:
            self.graph.edit(lambda document: document.rename(node_id, text))

    # -- keys and menu -------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys work without a window's menu too; there, its actions take them first."""
        for name, action in self.menu_commands().items():
            if matches(event, name):
                action()
                event.accept()
                return
        if event.key() == Qt.Key.Key_Escape and self.inside.levels:
            self.inside.leave()
        elif not self.nudge_by_key(event):
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            return  # Ctrl and the right button cut wires
        item = self.viewer.item_at(self.viewer.viewport().mapFromGlobal(event.globalPos()))
        if item is not None and not item.isSelected():
            self.viewer.scene().clearSelection()
            item.setSelected(True)
        self._menu_at = self.viewer.mapToScene(self.viewer.viewport().mapFromGlobal(event.globalPos()))
        self.menu(item is not None).exec(event.globalPos())
        self._menu_at = None

    def menu(self, on_item: bool = False) -> QMenu:
        """The context menu for what is selected, opened on an item or beside all."""
        return context_menu(self, on_item)

    def menu_commands(self) -> dict[str, Callable[[], object]]:
        """What the context menu and the keys do: the canvas's own actions, and two that need the window."""
        asked = {name: partial(self.window_wanted.emit, name) for name in ("unpack", "copy_code")}
        return {"undo": self.undo, "redo": self.redo, **self.commands(), **asked}

    def commands(self) -> dict[str, Callable[[], object]]:
        """What the window's actions of these names do on the canvas."""
        return {
            "cut": self.cut,
            "copy": self.copy,
            "paste": self.paste,
            "duplicate": self.duplicate,
            "delete": self.delete_selected,
            "take_out": self.take_out,
            "rename": self.rename,
            "select_all": self.select_all,
            "bypass": self.toggle_bypass,
            "freeze": self.toggle_freeze,
            "arrange": self.arrange,
            "arrange_down": partial(self.arrange, "down"),
            "arrange_levels": partial(self.arrange, "levels"),
            "open_inside": self.open_inside,
            "group": self.group_selection,
            "frame": self.frame_selection,
            "unframe": self.unframe,
            "fold": self.fold_selected,
            "note": self.add_note,
            **{f"align_{side}": partial(self.align, side) for side in SIDES},
            "spread_across": partial(self.spread, True),
            "spread_down": partial(self.spread, False),
            "snap": self.toggle_snap,
            "fit": self.fit,
            "fit_selection": self.fit_selection,
            "zoom_100": self.zoom_100,
            "find_node": self.find_node,
            "export_picture": partial(ask_and_save, self),
            "minimap": self.minimap.toggle,
        }
