"""The context menu of the canvas with its keys, and the menus of colours and heat that the window has too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QActionGroup, QColor, QGuiApplication, QIcon, QKeyEvent, QKeySequence, QPixmap
from PySide6.QtWidgets import QMenu

from designer.graph.clipboard import can_paste
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
_Keys = QKeySequence.StandardKey


def context_menu(view: CanvasView) -> QMenu:
    """The context menu for what is selected."""
    menu = QMenu(view)
    for text, action, keys, enabled in entries(view):
        if not text:
            menu.addSeparator()
            continue
        entry = menu.addAction(text)
        entry.triggered.connect(lambda _checked=False, run=action: run())
        entry.setEnabled(enabled)
        if keys is not None:
            # Shown only: as a shortcut it would compete with the window's own action for the key.
            shown = QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
            entry.setText(f"{text}\t{shown}")
    fill_colours(view, menu.addMenu("Colour"))
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


def entries(view: CanvasView) -> list[tuple[str, Callable[[], Any], Any, bool]]:
    """Text, action, key and whether it can be done now; an empty text is a line in the menu."""
    document, some = view.document, bool(view.selected_ids())
    framed, wired = bool(view.selected_frames()), bool(view.selected_wires() or view.selected_points())
    line: tuple[str, Callable[[], Any], Any, bool] = ("", lambda: None, None, True)
    return [
        ("Add component…", view.open_search, None, document is not None and view.mirror.catalogue is not None),
        line,
        ("Undo", view.undo, _Keys.Undo, document is not None and document.can_undo),
        ("Redo", view.redo, _Keys.Redo, document is not None and document.can_redo),
        line,
        ("Cut", view.cut, _Keys.Cut, some or framed),
        ("Copy", view.copy, _Keys.Copy, some or framed),
        ("Paste", view.paste, _Keys.Paste, can_paste(QGuiApplication.clipboard().text())),
        ("Duplicate", view.duplicate, "Ctrl+D", some or framed),
        ("Delete", view.delete_selected, _Keys.Delete, some or wired or framed),
        ("Take out, join wires", view.take_out, "X", some),
        line,
        ("Rename", view.rename, "F2", some or framed),
        ("Open", view.open_inside, "Ctrl+Return", some or bool(view._chosen())),
        ("Group into a composite", view.group_selection, "Ctrl+Alt+G", some),
        ("Frame", view.frame_selection, "Ctrl+G", some),
        ("Fold or unfold the frame", view.fold_selected, "Ctrl+Alt+F", some or framed),
        ("Unframe", view.unframe, "Ctrl+Shift+G", some or framed),
        ("Add note", view.add_note, "Ctrl+Shift+N", document is not None),
        ("Bypass", view.toggle_bypass, None, some),
        ("Freeze", view.toggle_freeze, None, some),
        line,
        ("Arrange", view.arrange, None, bool(view.nodes)),
        ("Select all", view.select_all, _Keys.SelectAll, bool(view.nodes)),
        ("Zoom to fit", view.fit, "F", bool(view.nodes)),
        ("Zoom to selection", view.fit_selection, "Shift+F", some),
        ("Zoom to 100 %", view.zoom_100, "Ctrl+0", bool(view.nodes)),
        ("Find a node…", view.find_node, "Ctrl+F", bool(view.nodes)),
        ("Minimap", view.minimap.toggle, "M", bool(view.nodes)),
    ]


def matches(event: QKeyEvent, keys: QKeySequence.StandardKey | str) -> bool:
    if isinstance(keys, str):
        return QKeySequence(event.keyCombination()) == QKeySequence(keys)
    return event.matches(keys) or (keys == _Keys.Delete and event.key() == Qt.Key.Key_Backspace)
