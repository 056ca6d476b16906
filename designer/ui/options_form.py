"""A form of settings, drawn from the fields' own titles, descriptions and bounds."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from PySide6.QtWidgets import QGridLayout, QWidget

from designer.graph.settings_param import param_of
from designer.ui.editors import BoolEditor, ParamEditor, editor_for
from designer.ui.widgets import ElidedLabel, column, label, row


class OptionsForm(QWidget):
    """Two columns of labelled editors for all fields of a section; a choice shows its values as they are written."""

    def __init__(self, section: type[BaseModel]) -> None:
        super().__init__()
        self.editors: dict[str, ParamEditor] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        place, switched = 0, False
        for name, info in section.model_fields.items():
            editor = self.editors[name] = editor_for(param_of(section, name))
            editor.set_value(info.default)
            switch = isinstance(editor, BoolEditor)
            title = info.title or name
            text = label(title) if switch else ElidedLabel(title, "faint")
            text.setBuddy(editor)
            editor.setAccessibleName(title)
            cell = QWidget()
            cell.setToolTip(info.description or "")
            cell.setLayout(row(text, 1, editor, gap=4) if switch else column(text, editor, gap=2))
            place += place % 2 if switch and not switched else 0  # switches begin a row of their own
            switched = switched or switch
            grid.addWidget(cell, place // 2, place % 2)
            place += 1
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)

    def values(self) -> dict[str, Any]:
        """What is chosen, by field."""
        return {name: editor.value() for name, editor in self.editors.items()}
