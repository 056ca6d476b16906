"""Fine-tuning in the window: pick a start and new data, see what would be kept and what is new, apply as one step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QCheckBox, QDialog, QFileDialog, QGridLayout, QLineEdit, QTreeWidgetItem, QWidget

from designer.graph.become import become
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from designer.graph.training import TrainingSettings
from designer.train.run import RunFolder
from designer.ui import wording
from designer.ui.editors import CalmComboBox
from designer.ui.loading_weights import tree, weights_folder
from designer.ui.run_bar import run_title
from designer.ui.run_watch import runs_in
from designer.ui.train_form import KINDS
from designer.ui.weights_row import FILTER
from designer.ui.widgets import button, column, label, row, tool

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

PLAN_AFTER_MS = 400
"""Rest after the last change before a plan is made."""
_FILE = "file…"
_KEPT, _NEW = 2, 3
"""Columns of the plan that are numbers."""
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
TASKS = (("", "As before, where the data fits"), ("detect", "Detection"), ("segment", "Segmentation"),
         ("semantic", "Semantic segmentation"), ("classify", "Classification"))  # fmt: skip
CHANNELS = ((3, "Colour, 3 channels"), (1, "Grey, 1 channel"), (4, "4 channels"))
FATES = {"kept": "kept", "partly": "kept in part", "new": "new"}


class FineTunePanel(QDialog):
    """Opens without blocking the window. A run's document opens anew; a checkpoint or published weights go into the one
    that is in front."""

    def __init__(self, window: MainWindow, start: RunFolder | None = None) -> None:
        super().__init__(window)
        self._window = window
        self._document: Document | None = window.workspace.document
        self._asked = 0
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Fine-tune")
        self.resize(760, 640)
        self._make_fields()
        self._fill_starts(start)
        self.changes = label("", wrap=True)
        self.totals = label("", "muted", wrap=True)
        self.plan = tree(("Node", "Weights", "Kept", "New", ""), (230, 130, 90, 90))
        self.plan.setAccessibleName("What becomes of each node")
        self.plan.setRootIsDecorated(False)
        for place in (_KEPT, _NEW):
            self.plan.headerItem().setTextAlignment(place, _RIGHT)
        self.training = label("", "muted", wrap=True)
        self.apply = button("Apply", "primary", "check", "Change the document, as one step")
        self.apply.setEnabled(False)
        self.apply.clicked.connect(self._apply)
        close = button("Close")
        close.clicked.connect(self.close)
        self.setLayout(
            column(
                label("Fine-tune", "title"), self._fields, self.changes, self.plan, self.totals, self.training,
                row(1, close, self.apply), margins=(24, 20, 24, 16), gap=10,
            )
        )  # fmt: skip
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(PLAN_AFTER_MS)
        self._later.timeout.connect(self._ask_plan)
        self._show_kind()
        self._on_changed()

    # -- what is asked -----------------------------------------------------------------------------------------------

    def _make_fields(self) -> None:
        self.start, self.kind, self.task, self.channels = (CalmComboBox() for _ in range(4))
        self.path = QLineEdit()
        self.path.setPlaceholderText("File or folder of the data set")
        self.path.setAccessibleName("Data path")
        browse = tool("folder-open-outline", "Choose the data set")
        browse.clicked.connect(self._browse)
        for kind in KINDS:
            self.kind.addItem(wording.data_kind(kind), kind)
        for task, text in TASKS:
            self.task.addItem(text, task)
        for channels, text in CHANNELS:
            self.channels.addItem(text, channels)
        self.freeze = QCheckBox("Freeze the early layers")
        self.freeze.setToolTip("They see edges and textures, which most images share; saves time and memory")
        self._path_row = QWidget()
        self._path_row.setLayout(row(self.path, browse, gap=4))
        if self._document is not None:
            self.kind.setCurrentIndex(max(0, self.kind.findData(self._document.data.data.kind)))
            self.path.setText(self._document.data.data.path)
        self._fields = QGridLayout()
        self._fields.setHorizontalSpacing(12)
        self._fields.setVerticalSpacing(8)
        self._fields.setColumnStretch(1, 1)
        self._fields.setColumnStretch(3, 1)
        for text, field, line, place, wide in (
            ("Start from", self.start, 0, 0, True), ("New data", self.kind, 1, 0, False),
            ("", self._path_row, 1, 2, False), ("Task", self.task, 2, 0, False),
            ("Images", self.channels, 2, 2, False), ("", self.freeze, 3, 0, True),
        ):  # fmt: skip
            if text:
                named = label(text, "muted")
                named.setBuddy(field)
                field.setAccessibleName(text)
                self._fields.addWidget(named, line, place)
            self._fields.addWidget(
                field, line, place + 1 if text or wide else place, 1, 3 if wide else 1 if text else 2
            )
        self.start.activated.connect(self._on_start)
        self.kind.currentIndexChanged.connect(self._show_kind)
        for box in (self.kind, self.task, self.channels):
            box.currentIndexChanged.connect(self._on_changed)
        self.freeze.toggled.connect(self._on_changed)
        self.path.textEdited.connect(self._on_changed)

    def _fill_starts(self, start: RunFolder | None) -> None:
        """Runs beside the document, weights that its nodes name, published ones for its backbones, and a file."""
        folder = self._window.workspace.runs_folder
        runs = [run.path for run in runs_in(folder)] if folder is not None else []
        if start is not None and start.path not in runs:
            runs.insert(0, start.path)
        for path in runs:
            self.start.addItem(f"Run {run_title(path.name)}", str(path))
        nodes = self._document.data.nodes if self._document is not None else []
        if any(node.weights for node in nodes):
            self.start.addItem("The weights that the document's nodes name", "")
        self.start.addItem("A checkpoint…", _FILE)
        if start is not None:
            self.start.setCurrentIndex(self.start.findData(str(start.path)))
        for node in nodes:
            if node.component.startswith("backbone."):
                asked = {"component": node.component, "params": dict(node.params)}
                self._window.engine.ask("weights", asked, self._add_published, lambda _error: None)

    def _add_published(self, names: list[str]) -> None:
        for name in names:
            if self.start.findData(name) < 0:
                self.start.insertItem(self.start.count() - 1, f"Published weights {name}", name)

    def _on_start(self) -> None:
        if self.start.currentData() == _FILE:
            path, _ = QFileDialog.getOpenFileName(self, "Start from", str(Path.home()), FILTER)
            if path:
                self.choose_file(Path(path))
        self._on_changed()

    def choose_file(self, path: Path) -> None:
        """Start from this checkpoint."""
        self.start.insertItem(0, path.name, str(path))
        self.start.setCurrentIndex(0)
        self._on_changed()

    def _browse(self) -> None:
        if self.kind.currentData() == "folder":
            path = QFileDialog.getExistingDirectory(self, "The data set")
        else:
            path, _ = QFileDialog.getOpenFileName(self, "The data set", "", "Data sets (*.yaml *.yml *.json);;All (*)")
        if path:
            self.path.setText(path)
            self._on_changed()

    def _show_kind(self) -> None:
        self._path_row.setVisible(self.kind.currentData() != "shapes")

    # -- the plan ----------------------------------------------------------------------------------------------------

    def _on_changed(self) -> None:
        self.apply.setEnabled(False)
        self._later.start()

    def _question(self, folder: str) -> dict[str, Any] | None:
        """What the engine is asked; None while something is missing."""
        start, kind = self.start.currentData(), self.kind.currentData()
        if start == _FILE or start is None or (kind != "shapes" and not self.path.text().strip()):
            return None
        data: dict[str, Any] = {"kind": kind, "path": "" if kind == "shapes" else self.path.text().strip()}
        if kind == "shapes" and self._document is not None:
            data = self._document.data.data.model_dump(mode="json") | data
        document = self._document.data if self._document is not None else GraphData()
        return {
            "document": document.model_dump(mode="json"), "start": start, "data": data, "folder": folder,
            "task": self.task.currentData(), "channels": self.channels.currentData(), "freeze": self.freeze.isChecked(),
        }  # fmt: skip

    def _ask_plan(self) -> None:
        asked = self._question("")
        self._asked += 1
        if asked is None:
            self._say("Choose what to start from and the new data.")
            return
        mine = self._asked
        self._say("Looking at the weights and the data…")
        self._window.engine.ask(
            "finetune", asked,
            lambda result: self._show_plan(result) if mine == self._asked else None,
            lambda error: self._say(str(error.get("message", ""))) if mine == self._asked else None,
        )  # fmt: skip

    def _say(self, text: str) -> None:
        """Words in the place of a plan."""
        self.changes.setText(text)
        self.plan.clear()
        self.totals.setText("")
        self.training.setText("")
        self.apply.setEnabled(False)

    def _show_plan(self, result: Mapping[str, Any]) -> None:
        self._say("\n".join(f"{change['what']}. {change['why']}" for change in result["changes"]))
        for node in result["nodes"]:
            words = [node["title"], FATES[node["state"]], wording.count(node["kept"]), wording.count(node["new"])]
            item = QTreeWidgetItem(self.plan, [*words, "frozen" if node["frozen"] else ""])
            item.setToolTip(0, node["how"])
            for place in (_KEPT, _NEW):
                item.setTextAlignment(place, _RIGHT)
        self.totals.setText(
            f"{wording.count(result['kept'])} parameters kept, {wording.count(result['new'])} new, "
            f"{wording.count(result['frozen'])} frozen."
        )
        fields = TrainingSettings.model_fields
        settings = ", ".join(f"{fields[p['field']].title} {p['now']} → {p['value']}" for p in result["training"])
        self.training.setText(f"Training: {settings or 'as it is'}.")
        self.apply.setEnabled(True)

    def _apply(self) -> None:
        asked = self._question(weights_folder(self._window))
        if asked is None:
            return
        self.apply.setEnabled(False)
        self._window.engine.ask("finetune", asked, self._take, lambda error: self._say(str(error.get("message", ""))))

    def _take(self, result: Mapping[str, Any]) -> None:
        """The fitted document in the place of the one in front, or of the run's, which opens for it."""
        workspace = self._window.workspace
        new = GraphData.model_validate(result["document"])
        document = self._document
        if Path(str(self.start.currentData())).is_dir():
            document = workspace.open_data(GraphData.model_validate(result["base"]))
        elif document is None or workspace.document is not document:
            self._say("Another document is in front now. Go back to the one that this is about, and apply again.")
            self._later.stop()
            return
        try:
            become(document, new, "Fine-tune")
        except NetwrightError as error:
            self._say(str(error))
            return
        kept, fresh = wording.count(result["kept"]), wording.count(result["new"])
        classes = wording.plural(len(result["class_names"]), "class")
        text = f"Fitted to {classes}: {kept} parameters kept, {fresh} new. Undo takes it back."
        self._window.messages.say(text, "success", key="finetune")
        self.close()
