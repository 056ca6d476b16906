"""The context menu of the canvas with its keys, and the menus of colours and heat that the window has too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QActionGroup, QColor, QGuiApplication, QIcon, QKeyEvent, QKeySequence, QPixmap
from PySide6.QtWidgets import QMenu

from designer.graph.clipboard import can_paste
from designer.ui import glyphs
from designer.ui.actions import ACTIONS, keys_of
from designer.ui.canvas.heat import KINDS as HEATS

if TYPE_CHECKING:
    from designer.ui.canvas.view import CanvasView

COLOURS = {
    "Of its category": "",
    "Red": "#e5484d",
    "Orange": "#f08c00",
    "Yellow": "#d9a900",
    "Green": "#2f9e44",
    "Teal": "#0c9aa6",
    "Blue": "#3b82f6",
    "Violet": "#8b5cf6",
    "Pink": "#d6409f",
}
"""Of nodes and frames; each can be told from the canvas of both themes."""
_ORDER = (
    "-", "undo", "redo", "-", "cut", "copy", "copy_code", "paste", "duplicate", "delete", "take_out", "-",
    "rename", "open_inside", "unpack", "group", "bypass", "freeze", "-",
    "frame", "fold", "unframe", "note", "@colour", "-",
    "arrange", "select_all", "fit", "fit_selection", "zoom_100", "find_node", "minimap",
)  # fmt: skip
"""Of the context menu, after the search for a component."""
_OF_CANVAS = ("undo", "redo", "note", "select_all", "fit", "zoom_100", "find_node", "minimap")


def context_menu(view: CanvasView, on_item: bool = False) -> QMenu:
    """The context menu for what is selected: what cannot be done with it is left out.

    Args:
        view: the canvas.
        on_item: whether it is opened on a node, wire or frame; what is about the whole canvas is left out then too.
    """
    menu = QMenu(view)
    run, show = view.menu_commands(), _shown(view)
    if on_item:
        show |= dict.fromkeys(_OF_CANVAS)
    else:
        search = menu.addAction("Add component…\tTab")
        search.setIcon(glyphs.icon("plus"))
        search.triggered.connect(lambda: view.open_search())
        search.setEnabled(view.document is not None and view.mirror.catalogue is not None)
    for name in _ORDER:
        if name == "-":
            menu.addSeparator()  # Qt shows one of several, and none at the end
        elif name == "@colour" and show["colour"]:
            fill_colours(view, menu.addMenu("Colour"))
        elif name in show and show[name] is not None:
            spec = ACTIONS[name]
            # The keys are shown only: as a shortcut they would compete with the window's own action for them.
            shown = keys_of(spec)[0].toString(QKeySequence.SequenceFormat.NativeText)
            entry = menu.addAction(f"{spec.text.replace('&', '')}\t{shown}")
            entry.setIcon(glyphs.icon(spec.glyph))
            entry.triggered.connect(lambda _checked=False, do=run[name]: do())
            entry.setEnabled(bool(show[name]))
    return menu


def fill_colours(view: CanvasView, menu: QMenu) -> None:
    """Puts the colours that nodes and frames can have into a menu."""
    for name, colour in COLOURS.items():
        swatch = QPixmap(16, 16)
        swatch.fill(QColor(colour) if colour else Qt.GlobalColor.transparent)
        menu.addAction(QIcon(swatch), name).triggered.connect(partial(view.colour_selection, colour))


def fill_heat(view: CanvasView, menu: QMenu) -> None:
    """Puts the kinds of heat into a menu, of which one is chosen."""
    group = QActionGroup(menu)
    for kind, name in HEATS.items():
        pick = menu.addAction(name)
        pick.setCheckable(True)
        pick.setChecked(kind == view.mirror.heat)
        pick.triggered.connect(partial(view.set_heat, kind))
        group.addAction(pick)


def _shown(view: CanvasView) -> dict[str, bool | None]:
    """Which actions can be done now; None for those that are about something that is not selected."""
    document, chosen = view.document, view._chosen()
    some, wired = bool(view.selected_ids()), bool(view.selected_wires() or view.selected_points())
    framed, drawn = bool(view.selected_frames()), bool(view.nodes)
    specs = [view.nodes[i].spec for i in chosen]
    is_composite = any(spec is not None and spec.composite for spec in specs)
    is_in_frame = framed or any(view.nodes[i].frame is not None for i in chosen)
    about_selected = {
        "cut": some or framed,
        "copy": bool(chosen) or framed,
        "copy_code": some,
        "duplicate": some or framed,
        "delete": some or wired or framed,
        "take_out": some,
        "rename": some or framed,
        "open_inside": is_composite,
        "unpack": is_composite and some,
        "group": some,
        "frame": some,
        "fold": is_in_frame,
        "unframe": is_in_frame and not view.inside.levels,
        "bypass": some,
        "freeze": some,
        "colour": some or framed,
        "fit_selection": bool(chosen),
    }
    return {
        "undo": document is not None and document.can_undo,
        "redo": document is not None and document.can_redo,
        "paste": can_paste(QGuiApplication.clipboard().text()),
        "note": document is not None,
        **dict.fromkeys(("arrange", "select_all", "fit", "zoom_100", "find_node", "minimap"), drawn),
        **{name: True if can else None for name, can in about_selected.items()},
    }


def matches(event: QKeyEvent, name: str) -> bool:
    """Whether a key stands for this action; Backspace deletes too, here where nothing is typed."""
    pressed = QKeySequence(event.keyCombination())
    return pressed in keys_of(ACTIONS[name]) or (name == "delete" and event.key() == Qt.Key.Key_Backspace)
