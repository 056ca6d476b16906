"""Where a node's weights come from before training: drawn at random, published ones that fit, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QWidget
from shiboken6 import isValid

from designer.graph.named_files import file_source
from designer.ui.editors import CalmComboBox
from designer.ui.param_rows import EDITOR_WIDTH
from designer.ui.widgets import column, label, row

_FILE = "file…"
FILTER = "Weights (*.safetensors *.pth *.pt *.bin)"


class WeightsRow(QWidget):
    """Signals:
    chosen(str): the user chose a source, as `Node.weights` stores it.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.box = CalmComboBox()
        self.box.setAccessibleName("Weights")
        self.box.setFixedWidth(EDITOR_WIDTH + 48)
        self.box.activated.connect(self._on_choice)
        help_text = label("Loaded when training starts or the model is exported.", "faint", wrap=True)
        self.setLayout(column(row(label("Weights"), 1, self.box), help_text, gap=2))
        self._sources: tuple[str, ...] = ()
        self._value = ""
        self._fill()

    def set_sources(self, names: Sequence[str]) -> None:
        """Offer these published weights, such as `torchvision:resnet50`."""
        if isValid(self) and tuple(names) != self._sources:  # another node may have been selected meanwhile
            self._sources = tuple(names)
            self._fill()

    def show_value(self, value: str) -> None:
        if value != self._value:
            self._value = value
            self._fill()

    def _fill(self) -> None:
        self.box.clear()
        self.box.addItem("Drawn at random", "")
        for name in self._sources:
            self.box.addItem(_shown(name), name)
        if self._value and self._value not in self._sources:
            self.box.addItem(_shown(self._value), self._value)
        self.box.addItem("From a file…", _FILE)
        self.box.setCurrentIndex(max(0, self.box.findData(self._value)))
        self.box.setToolTip(self._value or "Fresh weights, drawn when training starts")

    def _on_choice(self) -> None:
        value = self.box.currentData()
        if value == _FILE:
            path, _ = QFileDialog.getOpenFileName(self, "Weights for this node", "", FILTER)
            value = file_source(path) if path else self._value
        before, self._value = self._value, value
        self._fill()
        if value != before:
            self.chosen.emit(value)


def _shown(source: str) -> str:
    kind, _, name = source.partition(":")
    return Path(name).name if kind == "file" else f"{name} ({kind})"
