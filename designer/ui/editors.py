"""One editor for each type of parameter: the inspector takes them from `editor_for` and knows no type itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QPaintEvent, QValidator, QWheelEvent
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QDoubleSpinBox,
    QLineEdit,
    QSpinBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)
from shiboken6 import isValid

from designer.ui import wording
from designer.ui.widgets import Switch, restyle, row
from nodes.sdk.spec import Param

_INT_LIMIT = 2**31 - 1
FIELD_MIN_WIDTH = 72
"""Qt's own minimum fits the longest number of the range, which nobody types."""


class CalmSpinBox(QSpinBox):
    """A spin box that the wheel changes only when it has the focus, so that scrolling past it is harmless."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(FIELD_MIN_WIDTH)
        self.setKeyboardTracking(False)
        self.lineEdit().setTextMargins(6, 0, 0, 0)  # the style sheet's padding does not reach the text
        self.setRange(-_INT_LIMIT, _INT_LIMIT)

    def wheelEvent(self, event: QWheelEvent) -> None:
        super().wheelEvent(event) if self.hasFocus() else event.ignore()


class CalmDoubleSpinBox(QDoubleSpinBox):
    """A number box that writes 0.0005 as people do, and whose arrows step a tenth of the value's size."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(FIELD_MIN_WIDTH)
        self.setKeyboardTracking(False)
        self.lineEdit().setTextMargins(6, 0, 0, 0)
        self.setDecimals(12)
        self.setRange(-1e12, 1e12)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)

    def stepBy(self, steps: int) -> None:
        if self.stepType() == QDoubleSpinBox.StepType.DefaultStepType:
            super().stepBy(steps)
            return
        # Qt's own adaptive step is one unit of the last of the 12 decimals for a value of 0.
        size = 10.0 ** math.floor(math.log10(abs(self.value()))) if self.value() else 0.1
        self.setValue(round(self.value() + steps * size / 10, 12))

    def textFromValue(self, value: float) -> str:
        return f"{value:.10g}"

    def valueFromText(self, text: str) -> float:
        return float(self._bare(text))

    def validate(self, text: str, position: int) -> object:
        """Accept what float() reads, such as 1e-4, besides plain digits."""
        bare = self._bare(text)
        try:
            value = float(bare)
        except ValueError:
            partial = all(c in "+-.eE0123456789" for c in bare)
            return (QValidator.State.Intermediate if partial else QValidator.State.Invalid), text, position
        inside = self.minimum() <= value <= self.maximum()
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), text, position

    def _bare(self, text: str) -> str:
        return text.removesuffix(self.suffix()).replace(",", ".").strip()

    def wheelEvent(self, event: QWheelEvent) -> None:
        super().wheelEvent(event) if self.hasFocus() else event.ignore()


class CalmComboBox(QComboBox):
    """A combo box that the wheel changes only when it has the focus; a text too long for it ends in …"""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(FIELD_MIN_WIDTH)

    def wheelEvent(self, event: QWheelEvent) -> None:
        super().wheelEvent(event) if self.hasFocus() else event.ignore()

    def shown_text(self) -> str:
        """The current text as it fits."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        room = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        return self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideRight, room.width())

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.isEditable():
            super().paintEvent(event)
            return
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        option.currentText = self.shown_text()  # Qt cuts it off in the middle of a letter
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class ParamEditor(QWidget):
    """The base of all editors: shows a value, says when the user has changed it.

    Signals:
        edited(object): the user set another value, one that fits the parameter.
    """

    edited = Signal(object)

    def __init__(self, param: Param) -> None:
        super().__init__()
        self.param = param
        self._field = self._make()
        self._field.setAccessibleName(wording.title(param.name))
        self._field.setAccessibleDescription(param.help)
        self._field.setToolTip(param.help)
        self.setFocusProxy(self._field)
        self.setLayout(row(1, self._field) if isinstance(self._field, Switch) else row(self._field))

    def _make(self) -> QWidget:
        """The widget that takes the focus, wired to `_report`."""
        raise NotImplementedError

    def value(self) -> Any:
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show `value` without saying that the user changed it."""
        self._field.blockSignals(True)
        try:
            self._show(value)
        finally:
            self._field.blockSignals(False)

    def _show(self, value: Any) -> None:
        raise NotImplementedError

    def _report(self, *_: object) -> None:
        value = self.value()
        if self.param.check(value) is None:
            self.edited.emit(value)


class IntEditor(ParamEditor):
    _field: CalmSpinBox

    def _make(self) -> QWidget:
        box = CalmSpinBox()
        low, high = self.param.minimum, self.param.maximum
        box.setRange(
            -_INT_LIMIT if low is None else math.ceil(low), _INT_LIMIT if high is None else min(int(high), _INT_LIMIT)
        )
        box.setSingleStep(int(self.param.step or 1))
        if self.param.unit:
            box.setSuffix(f" {self.param.unit}")
        box.valueChanged.connect(self._report)
        return box

    def set_zero_text(self, text: str) -> None:
        """A word for 0, where that is the least and means something else than a number."""
        self._field.setSpecialValueText(text)

    def value(self) -> int:
        return self._field.value()

    def _show(self, value: Any) -> None:
        self._field.setValue(int(value or 0))


class FloatEditor(ParamEditor):
    _field: CalmDoubleSpinBox

    def _make(self) -> QWidget:
        box = CalmDoubleSpinBox()
        low, high = self.param.minimum, self.param.maximum
        box.setRange(-1e12 if low is None else low, 1e12 if high is None else high)
        if self.param.step:
            box.setStepType(QDoubleSpinBox.StepType.DefaultStepType)
            box.setSingleStep(self.param.step)
        if self.param.unit:
            box.setSuffix(f" {self.param.unit}")
        box.valueChanged.connect(self._report)
        return box

    def value(self) -> float:
        return self._field.value()

    def _show(self, value: Any) -> None:
        self._field.setValue(float(value or 0))


class ChoiceEditor(ParamEditor):
    _field: CalmComboBox

    def _make(self) -> QWidget:
        box = CalmComboBox()
        for choice in self.param.choices:
            box.addItem(str(choice), choice)
        box.currentIndexChanged.connect(self._report)
        return box

    def set_texts(self, texts: Mapping[Any, str]) -> None:
        """Show other words than the values themselves."""
        for index, choice in enumerate(self.param.choices):
            self._field.setItemText(index, texts.get(choice, str(choice)))

    def value(self) -> Any:
        return self._field.currentData()

    def _show(self, value: Any) -> None:
        # -1 shows nothing for a value that is no choice, rather than a wrong one.
        choices = list(self.param.choices)
        self._field.setCurrentIndex(choices.index(value) if value in choices else -1)


class BoolEditor(ParamEditor):
    _field: Switch

    def _make(self) -> QWidget:
        switch = Switch()
        switch.toggled.connect(self._report)
        return switch

    def value(self) -> bool:
        return self._field.isChecked()

    def _show(self, value: Any) -> None:
        self._field.setChecked(bool(value))


class TextEditor(ParamEditor):
    _field: QLineEdit

    def _make(self) -> QWidget:
        edit = QLineEdit()
        edit.editingFinished.connect(self._report)
        return edit

    def value(self) -> str:
        return self._field.text()

    def _show(self, value: Any) -> None:
        self._field.setText("" if value is None else str(value))


class SuggestEditor(TextEditor):
    """Text with a list to search that is fetched when the keyboard first comes in.

    Signals:
        wanted(object): call this with the list.
    """

    wanted = Signal(object)

    def _make(self) -> QWidget:
        edit = super()._make()
        edit.installEventFilter(self)
        self._asked = False
        return edit

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusIn and not self._asked:
            self._asked = True
            self.wanted.emit(self.set_suggestions)
        return super().eventFilter(watched, event)

    def set_suggestions(self, names: Sequence[str]) -> None:
        if not isValid(self):  # another node was selected meanwhile
            return
        completer = QCompleter(list(names), self)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setMaxVisibleItems(12)
        popup = completer.popup()
        assert popup is not None
        popup.setMinimumWidth(260)
        completer.activated.connect(self._report)
        self._field.setCompleter(completer)


class IntsEditor(ParamEditor):
    """Whole numbers with commas between them; what does not fit turns the border red and is not sent."""

    _field: QLineEdit

    def _make(self) -> QWidget:
        edit = QLineEdit()
        edit.setPlaceholderText("3, 5, 7")
        edit.textEdited.connect(self._mark)
        edit.editingFinished.connect(self._finish)
        return edit

    def value(self) -> list[int] | None:
        """The numbers, or None while the text is none."""
        try:
            return [int(part) for part in self._field.text().strip("[]() ").replace(",", " ").split()]
        except ValueError:
            return None

    def _show(self, value: Any) -> None:
        self._field.setText(", ".join(str(v) for v in value or ()))
        self._mark()

    def _problem(self) -> str | None:
        value = self.value()
        if value is None:
            return f"{wording.title(self.param.name)}: write whole numbers with commas between them, such as 3, 5, 7."
        return self.param.check(value)

    def _mark(self, _text: str = "") -> None:
        problem = self._problem()
        restyle(self._field, "invalid", "true" if problem else "false")
        self._field.setToolTip(problem or self.param.help)

    def _finish(self) -> None:
        if self._problem() is None:
            self._report()


_EDITORS: dict[str, type[ParamEditor]] = {
    "int": IntEditor,
    "float": FloatEditor,
    "choice": ChoiceEditor,
    "bool": BoolEditor,
    "str": TextEditor,
    "ints": IntsEditor,
}


def editor_for(param: Param) -> ParamEditor:
    """A new editor for this parameter; every type of `nodes.sdk.spec.ParamType` has one."""
    return SuggestEditor(param) if param.suggest else _EDITORS[param.type](param)
