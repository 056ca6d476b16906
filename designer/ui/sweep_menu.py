"""“Sweep over this…” in the context menu of a setting: on its name, its field, by the mouse or the menu key."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QAbstractSpinBox, QLineEdit, QMenu, QWidget

from designer.ui import glyphs


class SweepMenu(QObject):
    """Gives `holder` and everything in it that menu; what a text field's own menu has stays in it."""

    def __init__(self, holder: QWidget, wanted: Callable[[], object]) -> None:
        super().__init__(holder)
        self._wanted = wanted
        for part in (holder, *holder.findChildren(QWidget)):
            part.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.ContextMenu or not isinstance(watched, QWidget):
            return super().eventFilter(watched, event)
        assert isinstance(event, QContextMenuEvent)
        menu = self.menu_of(watched)
        menu.popup(event.globalPos())
        return True

    def menu_of(self, part: QWidget) -> QMenu:
        """The menu that opens there."""
        text = part if isinstance(part, QLineEdit) else None
        if isinstance(part, QAbstractSpinBox):
            text = part.findChild(QLineEdit)
        menu = text.createStandardContextMenu() if text is not None else QMenu(part)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if not menu.isEmpty():
            menu.addSeparator()
        menu.addAction(glyphs.icon("chart-scatter-plot"), "Sweep over this…", self._wanted)
        return menu
