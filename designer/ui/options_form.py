"""A form of settings, drawn from the fields' own titles, descriptions and bounds."""

from __future__ import annotations

import typing
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from PySide6.QtWidgets import QGridLayout, QWidget

from designer.ui.editors import BoolEditor, ParamEditor, editor_for
from designer.ui.widgets import ElidedLabel, column, label, row
from nodes.sdk.spec import Param


def param_of(section: type[BaseModel], name: str) -> Param:
    """A field of a settings section as a parameter, so that it gets the same editor as a node's."""
    field: FieldInfo = section.model_fields[name]
    limits = {type(m): m for m in field.metadata}
    low = limits[Ge].ge if Ge in limits else limits[Gt].gt if Gt in limits else None
    high = limits[Le].le if Le in limits else limits[Lt].lt if Lt in limits else None
    choices = typing.get_args(field.annotation)
    kinds: dict[Any, str] = {int: "int", float: "float", bool: "bool", str: "str"}
    return Param(
        name=name,
        type="choice" if choices else kinds[field.annotation],  # type: ignore[arg-type]
        default=field.default,
        minimum=low,
        maximum=high,
        choices=choices,
        help=field.description or "",
    )


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
