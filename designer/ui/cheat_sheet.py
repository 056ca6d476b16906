"""The sheet of all keys and gestures: actions as the menus have them, then what the mouse does on the canvas."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from designer.ui.actions import MENUS, Actions
from designer.ui.widgets import button, column, label, row

GESTURES = (
    ("Add a component", "Double-click, or drag from the list"),
    ("Wire two nodes", "Drag from one port to another"),
    ("Add and wire at once", "Drop a wire on empty canvas"),
    ("Put a node on a wire", "Drop it there"),
    ("Cut wires", "Ctrl+right-drag across them"),
    ("Lead a wire round something", "Double-click it, drag the point"),
    ("Fold a frame to one card", "Click its triangle"),
    ("Rename", "Double-click the title"),
    ("Select several", "Drag over empty canvas"),
    ("Add to the selection", "Shift+click or Ctrl+click"),
    ("Move the selection a little", "Arrow keys; further with Shift"),
    ("Move around", "Middle button, Alt+drag or Space+drag"),
    ("Zoom", "Wheel"),
)
_COLUMNS = 2


class CheatSheet(QDialog):
    """Opens over the window without blocking it; any click outside or Escape closes it."""

    def __init__(self, actions: Actions, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Keys and gestures")
        self.setAccessibleName("Keys and gestures")
        told: set[str] = set()  # an action that stands in two menus is told once
        groups = [(title.replace("&", ""), _keys(actions, names, told)) for title, names in MENUS.items()]
        groups = [(title, rows) for title, rows in groups if rows] + [("Canvas", list(GESTURES))]
        sides = [QVBoxLayout() for _ in range(_COLUMNS)]
        heights = [0] * _COLUMNS
        for title, rows in sorted(groups, key=lambda g: -len(g[1])):  # the longest first keeps the columns level
            side = heights.index(min(heights))
            heights[side] += len(rows) + 2
            sides[side].addLayout(_group(title, rows))
            sides[side].addSpacing(12)
        for side_box in sides:
            side_box.addStretch(1)
        inside = QWidget()
        inside.setProperty("look", "page")
        inside.setLayout(row(*sides, gap=40))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        close = button("Close")
        close.clicked.connect(self.close)
        head = row(label("Keys and gestures", "title"), 1, close)
        self.setLayout(column(head, scroll, margins=(20, 16, 20, 16), gap=12))
        window = parent.window()
        self.resize(min(860, window.width() - 80), min(680, window.height() - 80))
        self.move(window.mapToGlobal(window.rect().center()) - self.rect().center())


def _keys(actions: Actions, names: tuple[str, ...], told: set[str]) -> list[tuple[str, str]]:
    """The actions of a menu that have a key, with their words and their first key."""
    found = []
    for name in names:
        if name[0] not in "-@" and name not in told and (keys := actions[name].shortcuts()):
            told.add(name)
            found.append((actions.words(name), keys[0].toString(QKeySequence.SequenceFormat.NativeText)))
    return found


def _group(title: str, rows: list[tuple[str, str]]) -> QVBoxLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(6)
    grid.setColumnStretch(0, 1)
    for place, (words, keys) in enumerate(rows):
        shown = label(keys, "muted")
        grid.addWidget(label(words), place, 0)
        grid.addWidget(shown, place, 1, Qt.AlignmentFlag.AlignRight)
    return column(label(title, "section"), grid, gap=8)
