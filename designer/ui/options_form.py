"""A form of settings, drawn from the fields' own titles, descriptions and bounds."""

from __future__ import annotations

import typing
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from PySide6.QtWidgets import QGridLayout, QWidget

from designer.ui.editors import ParamEditor, editor_for
from designer.ui.widgets import ElidedLabel, column
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
        for place, (name, info) in enumerate(section.model_fields.items()):
            editor = self.editors[name] = editor_for(param_of(section, name))
            editor.set_value(info.default)
            text = ElidedLabel(info.title or name, "faint")
            text.setBuddy(editor)
            editor.setAccessibleName(info.title or name)
            for widget in (text, editor):
                widget.setToolTip(info.description or "")
            cell = QWidget()
            cell.setLayout(column(text, editor, gap=2))
            grid.addWidget(cell, place // 2, place % 2)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)

    def values(self) -> dict[str, Any]:
        """What is chosen, by field."""
        return {name: editor.value() for name, editor in self.editors.items()}
