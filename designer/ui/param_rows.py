"""The parameter list of one node: label, editor, help and reset for each setting; derived ones are read-only."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from designer.ui import theme, wording
from designer.ui.editors import ParamEditor, SuggestEditor, editor_for
from designer.ui.sweep_menu import SweepMenu
from designer.ui.widgets import ElidedLabel, column, label, row, tool
from nodes.sdk.spec import ComponentSpec, Param

EDITOR_WIDTH = 128


class SettingRow(QWidget):
    """One parameter that the user sets."""

    edited = Signal(str, object)

    def __init__(self, param: Param) -> None:
        super().__init__()
        self.param = param
        self.editor: ParamEditor = editor_for(param)
        self.editor.setFixedWidth(EDITOR_WIDTH)
        self.editor.edited.connect(lambda value: self.edited.emit(param.name, value))
        name = ElidedLabel(wording.title(param.name))
        name.setBuddy(self.editor)
        self.reset = tool("restore", f"Reset {wording.title(param.name).lower()} to {wording.written(param.default)}")
        self.reset.setIconSize(QSize(14, 14))
        self.reset.setFixedSize(22, 22)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        self.reset.clicked.connect(lambda: self.edited.emit(param.name, _plain(param.default)))
        top = row(name, self.reset, self.editor, gap=4)
        top.setStretch(0, 1)
        box = column(top, gap=2)
        if param.help:
            box.addWidget(label(wording.sentence(param.help), "faint", wrap=True))
        self.setLayout(box)

    def show_value(self, value: Any) -> None:
        if self.editor.value() != value:
            self.editor.set_value(value)
        self.reset.setVisible(not self.param.required and _plain(value) != _plain(self.param.default))


class ParamRows(QWidget):
    """All parameters of a component.

    Signals:
        edited(str, object): a parameter's name and the value that the user gave it.
    suggestions_wanted(str, object): the keyboard is in a parameter with values to choose from; call with their list.
    sweep_wanted(str): this parameter shall be swept.
    """

    edited = Signal(str, object)
    suggestions_wanted = Signal(str, object)
    sweep_wanted = Signal(str)

    def __init__(self, spec: ComponentSpec) -> None:
        super().__init__()
        self.rows: dict[str, SettingRow] = {}
        self._derived: dict[str, ElidedLabel] = {}
        box = column(gap=12)
        for param in spec.settings:
            setting = SettingRow(param)
            setting.edited.connect(self.edited)
            if isinstance(setting.editor, SuggestEditor):
                setting.editor.wanted.connect(partial(self.suggestions_wanted.emit, param.name))
            if param.type != "str":
                SweepMenu(setting, partial(self.sweep_wanted.emit, param.name))
            self.rows[param.name] = setting
            box.addWidget(setting)
        for param in spec.params:
            if param.derived:
                box.addLayout(self._derived_row(param))
        if not spec.params:
            box.addWidget(label("Nothing to set.", "faint"))
        self.setLayout(box)
        rows = list(self.rows.values())
        for first, second in itertools.pairwise(rows):
            QWidget.setTabOrder(first.editor, second.editor)

    def _derived_row(self, param: Param) -> QHBoxLayout:
        value = ElidedLabel("–", "muted")
        value.setFont(theme.mono_font())
        value.set_fixed_width(EDITOR_WIDTH)
        value.setToolTip("Filled in from the shapes of the wires.")
        self._derived[param.name] = value
        name = ElidedLabel(wording.title(param.name), "muted")
        name.setToolTip(param.help)
        made = row(name, value)
        made.setStretch(0, 1)
        return made

    def show_values(self, params: Mapping[str, Any]) -> None:
        """Show a node's parameters; those that it does not mention are at their default."""
        for name, setting in self.rows.items():
            setting.show_value(params.get(name, _plain(setting.param.default)))

    def show_derived(self, values: Mapping[str, Any]) -> None:
        """Show what propagation filled in."""
        for name, shown in self._derived.items():
            shown.set_full_text(wording.written(values[name]) if name in values else "–")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
