"""The bar above the canvas that says what happened and offers what to do next: it takes the place of message boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QSizePolicy

from designer.ui import glyphs, theme
from designer.ui.widgets import button, clear, label, restyle, row, tool, widgets_in

Tone = Literal["info", "success", "warning", "danger"]
_GLYPHS = {
    "info": "information-outline",
    "success": "check-circle-outline",
    "warning": "alert-outline",
    "danger": "alert-circle-outline",
}
SHOW_MS = 8000
"""How long a message that asks nothing stays."""


@dataclass(frozen=True)
class Choice:
    """A button of a message. Pressing it closes the message first."""

    text: str
    act: Callable[[], object]
    primary: bool = False


@dataclass(frozen=True)
class Message:
    """`key` names the matter: a newer message of the same key replaces the older one."""

    text: str
    tone: Tone = "info"
    choices: tuple[Choice, ...] = ()
    key: str = ""
    stays: bool = False


class MessageBar(QFrame):
    """Shows one message at a time; those that wait for an answer come back when a passing one has gone."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("message_bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._waiting: list[Message] = []
        self._glyph = QLabel()
        self._text = label("", wrap=True, select=True)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._choices = row()
        self._close = tool("close", "Dismiss this message")
        self._close.clicked.connect(self.dismiss)
        box = row(self._glyph, self._text, self._choices, self._close, margins=(12, 6, 8, 6))
        box.setStretch(1, 1)
        self.setLayout(box)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.dismiss)
        self.hide()
        theme.manager.changed.connect(self._on_theme)

    @property
    def message(self) -> Message | None:
        """The message on show."""
        return self._waiting[-1] if self._waiting else None

    def text(self) -> str:
        return self.message.text if self.message else ""

    def buttons(self) -> list[QPushButton]:
        """The choices of the message on show."""
        return [widget for widget in widgets_in(self._choices) if isinstance(widget, QPushButton)]

    def say(self, text: str, tone: Tone = "info", *choices: Choice, key: str = "", stays: bool | None = None) -> None:
        """Show a message. One with choices, and a bad one, stays until it is answered or dismissed."""
        stays = bool(choices) or tone == "danger" if stays is None else stays
        self.withdraw(key) if key else None
        self._waiting = [m for m in self._waiting if m.stays]
        self._waiting.append(Message(text, tone, choices, key, stays))
        self._show_top()

    def withdraw(self, key: str) -> None:
        """Take back the message of this matter, if it is still there: the matter is settled."""
        kept = [m for m in self._waiting if m.key != key]
        if len(kept) != len(self._waiting):
            self._waiting = kept
            self._show_top()

    def dismiss(self) -> None:
        if self._waiting:
            self._waiting.pop()
        self._show_top()

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._show_top()

    def _show_top(self) -> None:
        self._timer.stop()
        message = self.message
        self.setVisible(message is not None)
        if message is None:
            return
        restyle(self, "tone", message.tone)
        self._glyph.setPixmap(glyphs.icon(_GLYPHS[message.tone], message.tone).pixmap(QSize(18, 18)))
        self._text.setText(message.text)
        self.setAccessibleName(message.text)
        clear(self._choices)
        for choice in message.choices:
            made = button(choice.text, "primary" if choice.primary else "")
            made.clicked.connect(lambda _checked=False, c=choice, m=message: self._choose(c, m))
            self._choices.addWidget(made)
        if not message.stays:
            self._timer.start(SHOW_MS)

    def _choose(self, choice: Choice, message: Message) -> None:
        if message in self._waiting:
            self._waiting.remove(message)
        self._show_top()
        choice.act()
