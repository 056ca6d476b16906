"""The command palette: every action, node, template and recent file by a few letters of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt
from PySide6.QtGui import QIcon, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QMenu, QWidget

from designer.graph.templates import templates
from designer.ui.widgets import ElidedLabel, column, label, row

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

_ROW, _SHOWN, _WIDTH = 32, 12, 520
_ELSEWHERE = ("recent", "templates")
"""Submenus whose entries stand in the list in other words."""


@dataclass(frozen=True)
class Command:
    """One thing to do: its words, what kind of thing it is, the keys that do it as well."""

    text: str
    run: Callable[[], object]
    group: str = ""
    keys: str = ""
    icon: QIcon | None = None


def ranked(commands: Iterable[Command], words: str) -> list[Command]:
    """The commands that match, best first: at the start of a word, inside one, letters in order; else as they came."""
    wanted = words.lower().split()
    scored = []
    for place, command in enumerate(commands):
        text = f"{command.text} {command.group}".lower()
        scores = [_score(text, word) for word in wanted]
        if None not in scores:
            scored.append((sum(s or 0 for s in scores), place, command))
    return [command for _, _, command in sorted(scored, key=lambda entry: entry[:2])]


def _score(text: str, word: str) -> int | None:
    if text.startswith(word) or f" {word}" in text:
        return 0
    if word in text:
        return 1
    rest = iter(text)
    return 2 if all(letter in rest for letter in word) else None


class CommandPalette(QFrame):
    """A line with a list under it, at the top of the window; Enter or a click runs, Escape closes."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setObjectName("command_palette")
        self.setProperty("look", "card")
        self.setFixedWidth(_WIDTH)
        self._window = parent.window()
        self._commands: Sequence[Command] = ()
        self.line = QLineEdit()
        self.line.setPlaceholderText("Do something, go to a node, open a template…")
        self.line.setAccessibleName("Search commands")
        self.list = QListWidget()
        self.list.setAccessibleName("Commands found")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setLayout(column(self.line, self.list, margins=(8, 8, 8, 8), gap=6))
        self.line.textChanged.connect(self._fill)
        self.line.returnPressed.connect(self._run)
        self.list.itemClicked.connect(lambda _item: self._run())
        self.line.installEventFilter(self)

    def open_with(self, commands: Sequence[Command]) -> None:
        self._commands = commands
        self.line.clear()
        self._fill("")
        window = self._window
        self.move(window.mapToGlobal(QPoint((window.width() - _WIDTH) // 2, 64)))
        self.show()
        self.line.setFocus()

    def _fill(self, words: str) -> None:
        self.list.clear()
        self._found = ranked(self._commands, words)
        for command in self._found:
            item = QListWidgetItem()
            item.setSizeHint(QSize(0, _ROW))
            self.list.addItem(item)
            self.list.setItemWidget(item, _row(command))
        if not self._found:
            nothing = QListWidgetItem("Nothing of that name.")
            nothing.setFlags(Qt.ItemFlag.NoItemFlags)
            nothing.setSizeHint(QSize(0, _ROW))
            self.list.addItem(nothing)
        self.list.setCurrentRow(0)
        self.list.setFixedHeight(min(self.list.count(), _SHOWN) * _ROW + 4)
        self.adjustSize()

    def _run(self) -> None:
        index = self.list.currentRow()
        if 0 <= index < len(self._found):
            self.close()
            self._found[index].run()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The arrow keys move in the list while the line has the focus."""
        steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: _SHOWN, Qt.Key.Key_PageUp: -_SHOWN}
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() in steps:
            last, step = self.list.count() - 1, steps[Qt.Key(event.key())]
            wanted = self.list.currentRow() + step
            self.list.setCurrentRow(wanted % (last + 1) if abs(step) == 1 else max(0, min(last, wanted)))
            return True
        return super().eventFilter(watched, event)


def _entries(menu: QMenu) -> list[Command]:
    """What a submenu offers, with the menu's name, and whether it is ticked."""
    menu.aboutToShow.emit()  # some are filled when they open
    title = menu.title().replace("&", "").lower()
    return [
        Command(action.text().replace("&", ""), action.trigger, f"{title}, on" if action.isChecked() else title)
        for action in menu.actions()
        if action.isEnabled() and not action.isSeparator()
    ]


def window_commands(window: MainWindow) -> list[Command]:
    """What can be done in a window now: enabled actions, nodes to go to, components to add, templates, recent files."""
    actions = window.commands
    found = []
    for name in actions.names():
        action = actions[name]
        if action.isEnabled() and name != "command_palette":
            keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            found.append(Command(actions.words(name), action.trigger, "", keys, action.icon()))
    document = window.workspace.document
    if document is not None:
        for node in document.data.nodes:
            found.append(Command(node.title, partial(window.show_node, node.id), "go to node"))
    for name, menu in actions.submenus.items():
        if name not in _ELSEWHERE:
            found += _entries(menu)
    for template in templates():
        open_it = partial(window.files.open_template, template.name)
        found.append(Command(template.title, open_it, "new from template"))
    for path in window.workspace.recent():
        found.append(Command(path.name, partial(window.files.open, path), "recent file"))
    return found


def _row(command: Command) -> QWidget:
    text = ElidedLabel(command.text)
    sign = label("")
    sign.setFixedWidth(20)
    if command.icon is not None:
        sign.setPixmap(command.icon.pixmap(QSize(16, 16)))
    made = QWidget()
    made.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    box = row(sign, text, label(command.keys or command.group, "faint"), gap=8, margins=(8, 0, 8, 0))
    box.setStretch(1, 1)
    made.setLayout(box)
    return made
