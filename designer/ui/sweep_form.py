"""What a sweep shall try: parameters with their values, how many trials, how they are chosen and ended early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLineEdit, QMenu, QScrollArea, QWidget

from designer.graph.document import Document
from designer.graph.space import (
    Dimension,
    Parameter,
    SpaceError,
    default_dimension,
    parameters,
    parse_dimension,
    usual,
)
from designer.train.sweep import PRUNERS, SAMPLERS, SweepConfig
from designer.ui.editors import CalmComboBox, CalmSpinBox
from designer.ui.sweep_model import short
from designer.ui.widgets import ElidedLabel, button, clear, column, label, restyle, row, tool

_FIELD_WIDTH = 164


class DimensionRow(QWidget):
    """One parameter: its name, its values as they are written, and a button that takes it out.

    Signals:
    edited(str): other values were typed.
    removed(): it shall not be swept.
    """

    edited = Signal(str)
    removed = Signal()

    def __init__(self, parameter: Parameter, text: str) -> None:
        super().__init__()
        self.parameter = parameter
        name = ElidedLabel(short(parameter.label))
        self.field = QLineEdit(text)
        self.field.setFixedWidth(_FIELD_WIDTH)
        self.field.setAccessibleName(f"Values of {parameter.label}")
        self.field.setCursorPosition(0)
        self.remove = tool("close", f"Do not sweep over {parameter.label}")
        self.remove.setFixedSize(22, 22)
        made = row(name, self.field, self.remove, gap=4)
        made.setStretch(0, 1)
        self.setLayout(made)
        self.field.textChanged.connect(self._on_text)
        self.remove.clicked.connect(self.removed)
        self._check()

    def dimension(self) -> Dimension:
        """What is written. Raises SpaceError."""
        return parse_dimension(self.parameter, self.field.text())

    def _on_text(self, text: str) -> None:
        self._check()
        self.edited.emit(text)

    def _check(self) -> None:
        try:
            self.dimension()
            problem = ""
        except SpaceError as error:
            problem = str(error)
        restyle(self.field, "invalid", "true" if problem else "false")
        self.field.setToolTip(problem or "1..4, 8..64:8, 1e-4..1e-1:log, or values with commas between them")


class SweepForm(QWidget):
    """Signals:
    changed(): there is another parameter, or one less.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._document: Document | None = None
        self._texts: dict[str, str] = {}
        self.rows: list[DimensionRow] = []
        self.add = button("Add parameter", "small", "plus", "A parameter of a node, or of the training")
        self.menu = QMenu(self.add)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.add.setMenu(self.menu)
        self.trials, self.jobs = CalmSpinBox(), CalmSpinBox()
        self.trials.setRange(1, 100_000)
        self.trials.setValue(20)
        self.jobs.setRange(1, 64)
        self.sampler, self.pruner = CalmComboBox(), CalmComboBox()
        for box, words in ((self.sampler, SAMPLERS), (self.pruner, PRUNERS)):
            for value, text in words.items():
                box.addItem(text, value)
        self._rows = column(gap=4)
        page = QWidget()
        page.setProperty("look", "page")
        page.setLayout(column(self._rows, self.add, 1, gap=6, margins=(0, 0, 4, 0)))
        self._rows_box = QScrollArea()
        self._rows_box.setWidget(page)
        self._rows_box.setWidgetResizable(True)
        self._rows_box.setFrameShape(QFrame.Shape.NoFrame)
        self._rows_box.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        settings = QGridLayout()  # number boxes and lists differ in height: in a grid their names stand in line
        settings.setHorizontalSpacing(4)
        settings.setVerticalSpacing(2)
        for place, (name, field, width, tip) in enumerate((
            ("Trials", self.trials, 70, "How many sets of values are tried"),
            ("At once", self.jobs, 58, "Trials trained at the same time"),
            ("Chosen by", self.sampler, 96, "TPE learns from the trials before; a grid tries every combination"),
            ("Ended by", self.pruner, 112, "What ends a bad trial early"),
        )):  # fmt: skip
            field.setFixedWidth(width)
            field.setAccessibleName(name)
            field.setToolTip(tip)
            settings.addWidget(label(name, "faint"), 0, place)
            settings.addWidget(field, 1, place)
        settings.setColumnStretch(4, 1)
        whole = column(self._rows_box, settings, gap=6)
        whole.setStretch(0, 1)
        self.setLayout(whole)

    def show_space(self, document: Document | None, texts: dict[str, str]) -> None:
        """Show these parameters of a document; `texts` is by target and is kept up to date."""
        self._document, self._texts = document, texts
        self._build()

    def show_config(self, document: Document, config: SweepConfig) -> None:
        """Show what a sweep tries."""
        self.show_space(document, {d.target: d.text() for d in config.space})
        self.trials.setValue(config.trials)
        self.jobs.setValue(config.jobs)
        for box, value in ((self.sampler, config.sampler), (self.pruner, config.pruner)):
            box.setCurrentIndex(box.findData(value))

    def set_editable(self, on: bool) -> None:
        """Whether it may be changed; a sweep that has begun keeps what it tries."""
        for made in (*self.rows, self.add, self.sampler, self.pruner):
            made.setEnabled(on)

    def _parameters(self) -> dict[str, Parameter]:
        return {p.target: p for p in parameters(self._document)} if self._document is not None else {}

    def _build(self) -> None:
        clear(self._rows)
        self.rows = []
        known = self._parameters()
        for target, text in self._texts.items():
            if target in known:
                self._place(known[target], text)
        if not self.rows:
            self._rows.addWidget(label("Which parameters shall be tried?", "faint"))

    def _place(self, parameter: Parameter, text: str) -> None:
        made = DimensionRow(parameter, text)
        made.edited.connect(lambda words: self._texts.__setitem__(parameter.target, words))
        made.removed.connect(lambda: self.remove(parameter.target))
        self.rows.append(made)
        self._rows.addWidget(made)

    def add_parameter(self, parameter: Parameter) -> None:
        """Sweep over a parameter too, with the values that it suggests itself."""
        self._texts.setdefault(parameter.target, default_dimension(parameter).text())
        self._build()
        added = next((r for r in self.rows if r.parameter.target == parameter.target), None)
        if added is not None:
            added.field.setFocus()
        self.changed.emit()

    def remove(self, target: str) -> None:
        """Do not sweep over a parameter."""
        self._texts.pop(target, None)
        self._build()
        self.changed.emit()

    def _fill_menu(self) -> None:
        """Training first, then the nodes in order, each with its parameters that are not in yet."""
        self.menu.clear()
        groups: dict[str, QMenu] = {}
        for parameter in self._parameters().values():
            if usual(parameter) and parameter.target not in self._texts:
                if parameter.group not in groups:
                    groups[parameter.group] = self.menu.addMenu(parameter.group)
                name = parameter.label.partition(": ")[2]
                action = groups[parameter.group].addAction(name[:1].upper() + name[1:])
                action.setToolTip(parameter.param.help)
                action.triggered.connect(lambda _checked=False, p=parameter: self.add_parameter(p))

    def options(self) -> Mapping[str, Any]:
        """Everything of a sweep but its name. Raises SpaceError when a parameter's values cannot be tried."""
        if not self.rows:
            raise SpaceError("Add a parameter to sweep over first.")
        return {
            "space": [one.dimension() for one in self.rows],
            "trials": self.trials.value(), "jobs": self.jobs.value(),
            "sampler": self.sampler.currentData(), "pruner": self.pruner.currentData(),
        }  # fmt: skip
