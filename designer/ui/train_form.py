"""The Train tab's form: the data and the training section of the document, drawn from the fields' own descriptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QFrame, QGridLayout, QLineEdit, QScrollArea, QWidget

from designer.graph.document import Document
from designer.graph.model import GraphData
from designer.graph.settings_param import param_of
from designer.graph.training import AUGMENTATION, OPTIMIZERS, DataSettings, TrainingSettings
from designer.ui import wording
from designer.ui.editors import CalmComboBox, ChoiceEditor, IntEditor, ParamEditor, editor_for
from designer.ui.inspector_pages import image_input
from designer.ui.run_on import RunOn
from designer.ui.sweep_menu import SweepMenu
from designer.ui.widgets import ElidedLabel, button, column, row, tool
from nodes.sdk.spec import Param

BASIC = ("epochs", "batch", "learning_rate", "optimizer", "device")
IMAGE_CHANGES = (*AUGMENTATION, "crop_area", "close_mosaic")
SHAPES_FIELDS = ("classes", "train_images", "val_images", "max_objects")
DEVICES = (("auto", "Auto"), ("cpu", "CPU"), ("cuda", "CUDA GPU"), ("mps", "Apple GPU"))
_CHOICES = {
    **OPTIMIZERS, "cosine": "Cosine", "step": "Step",
    "linear": "Linear", "one-cycle": "One cycle", "constant": "Constant",
    "ddp": "Copies", "fsdp": "Spread (FSDP)", "off": "Off", "ram": "Memory", "disk": "Disk",
}  # fmt: skip
KINDS = ("shapes", "coco", "yolo", "voc", "masks", "folder")


ZERO = {"batch": "Auto", "nominal_batch": "Off", "patience": "Never", "unfreeze_after": "Never"}
"""What 0 is called."""
USED: dict[str, Callable[[GraphData], bool]] = {
    "nesterov": lambda data: data.training.optimizer in ("sgd", "muon"),
    "warmup_epochs": lambda data: data.training.schedule != "one-cycle",
    "ema_decay": lambda data: data.training.ema,
    "accumulate": lambda data: not data.training.nominal_batch,
    "pretrained_factor": lambda data: any(node.weights for node in data.nodes),
    "unfreeze_after": lambda data: any(node.frozen for node in data.nodes),
    "amp": lambda data: data.training.device != "cpu",
}
"""Settings that have no effect with the document as it is are not shown."""


class TrainForm(QScrollArea):
    """Every editor writes into the document, so that the form is undone, saved and opened with it.

    Signals:
    rate_wanted(): find a learning rate.
    sweep_wanted(str): this setting (`training.NAME`) shall be swept.
    """

    sweep_wanted = Signal(str)
    rate_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._document: Document | None = None
        self.editors: dict[str, ParamEditor] = {}
        self._used: list[str] = []
        self._advanced: dict[str, QWidget] = {}
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 1)
        self._cell = 0
        self.kind = CalmComboBox()
        for kind in KINDS:
            self.kind.addItem(wording.data_kind(kind), kind)
        self.kind.currentIndexChanged.connect(self._on_kind)
        self._place("Data", self.kind, "Where the images and their labels come from.", wide=True)
        self._place_path()
        for name in BASIC[:2]:
            self._place_setting(name)
        self.find_rate = tool("chart-bell-curve", "Find a learning rate: sweep it on the data")
        self.find_rate.clicked.connect(self.rate_wanted)
        self._place_setting("learning_rate", self.find_rate)
        self.image = editor_for(
            Param("image", "int", 640, 32, 4096, 32, unit="px", help="Height and width of the images.")
        )
        self.image.edited.connect(lambda size: self._on_image(int(size)))
        self._place("Image size", self.image, "Height and width that images are fitted into.")
        self._place_setting("optimizer")
        self.device = CalmComboBox()
        for value, text in DEVICES:
            self.device.addItem(text, value)
        self.device.currentIndexChanged.connect(lambda _i: self._set_training("device", self.device.currentData()))
        self._place("Device", self.device, "Auto takes a GPU when there is one.")
        self.run_on = RunOn()
        self._place("Run on", self.run_on, "", wide=True)
        self.more = button("More settings", "ghost", "tune-variant")
        self.more.setCheckable(True)
        self.more.toggled.connect(self._on_more)
        self._place_advanced()
        page = QWidget()
        page.setProperty("look", "page")
        page.setLayout(column(self._grid, 1, margins=(12, 8, 12, 8)))
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(page)

    def set_document(self, document: Document | None) -> None:
        self._document = document
        self.setEnabled(document is not None)
        self.refresh()

    def refresh(self) -> None:
        """Show the document's settings as they are now."""
        if self._document is None:
            return
        data = self._document.data
        for name, editor in self.editors.items():
            section = data.data if name in SHAPES_FIELDS else data.training
            value = getattr(section, name)
            if editor.value() != value:
                editor.set_value(value)
        self._show_choice(self.kind, data.data.kind)
        self._show_choice(self.device, data.training.device)
        if not self.path.hasFocus():
            self.path.setText(data.data.path)
        self._path_row.setVisible(data.data.kind != "shapes")
        self.run_on.send_data.setVisible(data.data.kind != "shapes")  # shapes are drawn there as well as here
        for name in SHAPES_FIELDS:
            self._cells[name].setVisible(data.data.kind == "shapes" and self.more.isChecked())
        self._show_used(data)
        node = image_input(self._document)
        self.image.setEnabled(node is not None)
        if node is not None:
            self.image.set_value(node.params.get("width", 640))

    def _show_used(self, data: GraphData) -> None:
        """Of the further settings, those that have an effect, without gaps between them."""
        used = [name for name in self._advanced if name not in USED or USED[name](data)]
        for name, cell in self._advanced.items():
            cell.setVisible(self.more.isChecked() and name in used)
        if used != self._used:
            self._used = used
            unused = [name for name in self._advanced if name not in used]
            for place, name in enumerate((*used, *unused)):
                self._grid.addWidget(self._advanced[name], self._first + place // 2, place % 2)

    def _show_choice(self, box: CalmComboBox, value: str) -> None:
        box.blockSignals(True)
        if box.findData(value) < 0:
            box.addItem(value, value)
        box.setCurrentIndex(box.findData(value))
        box.blockSignals(False)

    def _place(
        self, name: str, field: QWidget, tip: str, *, wide: bool = False, beside: QWidget | None = None
    ) -> QWidget:
        """Put a labelled field into the next cell of the two columns, or across both; `beside` it a button."""
        text = ElidedLabel(name, "faint")
        text.setBuddy(field)
        field.setAccessibleName(name)
        field.setToolTip(tip)
        cell = QWidget()
        cell.setLayout(column(text, row(field, beside, gap=4) if beside is not None else field, gap=2))
        if wide and self._cell % 2:
            self._cell += 1
        self._grid.addWidget(cell, self._cell // 2, self._cell % 2, 1, 2 if wide else 1)
        self._cell += 2 if wide else 1
        return cell

    def _place_path(self) -> None:
        self.path = QLineEdit()
        self.path.setPlaceholderText("File or folder of the data set")
        self.path.editingFinished.connect(self._on_path)
        browse = tool("folder-open-outline", "Choose the data set")
        browse.clicked.connect(self._browse)
        holder = QWidget()
        holder.setLayout(row(self.path, browse, gap=4))
        self._path_row = self._place("Path", holder, "", wide=True)
        self.path.setAccessibleName("Data path")

    def _place_setting(self, name: str, beside: QWidget | None = None) -> QWidget:
        section = DataSettings if name in SHAPES_FIELDS else TrainingSettings
        editor = editor_for(param_of(section, name))
        editor.edited.connect(lambda value, n=name: self._set(n, value))
        self.editors[name] = editor
        if isinstance(editor, ChoiceEditor):
            editor.set_texts(_CHOICES)
        if isinstance(editor, IntEditor) and name in ZERO:
            editor.set_zero_text(ZERO[name])
        field = section.model_fields[name]
        cell = self._place(field.title or wording.title(name), editor, field.description or "", beside=beside)
        if section is TrainingSettings and editor.param.type != "str":
            SweepMenu(cell, lambda: self.sweep_wanted.emit(f"training.{name}"))
        return cell

    def _place_advanced(self) -> None:
        self._cell += self._cell % 2
        self._grid.addWidget(self.more, self._cell // 2, 0, 1, 2, Qt.AlignmentFlag.AlignLeft)
        self._cell += 2
        self._cells = {name: self._place_setting(name) for name in SHAPES_FIELDS}
        rest = [name for name in TrainingSettings.model_fields if name not in (*BASIC, *IMAGE_CHANGES)]
        self._cell += self._cell % 2
        self._first = self._cell // 2
        self._advanced = {name: self._place_setting(name) for name in rest}
        self._cell += self._cell % 2
        self.augmentation = button("Augmentation", "ghost", "auto-fix")
        self.augmentation.setCheckable(True)
        self.augmentation.toggled.connect(self._on_augmentation)
        self._grid.addWidget(self.augmentation, self._cell // 2, 0, 1, 2, Qt.AlignmentFlag.AlignLeft)
        self._cell += 2
        self._changes = [self._place_setting(name) for name in IMAGE_CHANGES]
        for cell in [*self._advanced.values(), *self._changes, *self._cells.values()]:
            cell.hide()

    def _on_augmentation(self, on: bool) -> None:
        for cell in self._changes:
            cell.setVisible(on)
        QTimer.singleShot(0, self, lambda: self.verticalScrollBar().setValue(self.augmentation.y() if on else 0))

    def _on_more(self, on: bool) -> None:
        self.more.setText("Fewer settings" if on else "More settings")
        self.refresh()
        # Once the page has its new height: bring what has just been asked for into view.
        QTimer.singleShot(0, self, lambda: self.verticalScrollBar().setValue(self.more.y() if on else 0))

    def _set(self, name: str, value: Any) -> None:
        self._set_data(**{name: value}) if name in SHAPES_FIELDS else self._set_training(name, value)

    def _set_training(self, name: str, value: Any) -> None:
        if self._document is not None and getattr(self._document.data.training, name) != value:
            self._document.set_training(**{name: value})

    def _set_data(self, **fields: Any) -> None:
        if self._document is not None:
            self._document.set_data(**fields)

    def _on_kind(self) -> None:
        self._set_data(kind=self.kind.currentData())
        self.refresh()

    def _on_path(self) -> None:
        if self._document is not None and self.path.text() != self._document.data.data.path:
            self._set_data(path=self.path.text().strip())

    def _browse(self) -> None:
        kind, start = self.kind.currentData(), self.path.text() or str(Path.home())
        if kind == "yolo":
            chosen, _ = QFileDialog.getOpenFileName(self, "Choose the data.yaml", start, "YOLO data set (*.yaml *.yml)")
        else:
            chosen = QFileDialog.getExistingDirectory(self, "Choose the data set's folder", start)
        if chosen:
            self._set_data(path=chosen)
            self.path.setText(chosen)

    def _on_image(self, size: int) -> None:
        node = image_input(self._document) if self._document else None
        if self._document is None or node is None:
            return
        with self._document.edit("Image size"):
            for name in ("height", "width"):
                self._document.set_param(node.id, name, size)
