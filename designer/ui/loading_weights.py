"""A checkpoint for the document in front: the engine matches it, its nodes start from it, a panel says what fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFileDialog, QFrame, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from designer.ui import wording
from designer.ui.weights_row import FILTER
from designer.ui.widgets import button, column, label, row

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")
_NODE = Qt.ItemDataRole.UserRole


def ask_weights(window: MainWindow) -> None:
    """Let the user pick a checkpoint."""
    path, _ = QFileDialog.getOpenFileName(window, "Load weights", str(Path.home()), FILTER)
    if path:
        load_weights(window, Path(path))


def load_weights(window: MainWindow, path: Path) -> None:
    """Make the nodes of the document in front start from what fits of a checkpoint, as one step."""
    document = window.workspace.document
    if document is None:
        return
    window.messages.say(f"Matching {path.name}…", key="weights")

    def done(result: Mapping[str, Any]) -> None:
        window.messages.withdraw("weights")
        there = {n.id for n in document.data.nodes}
        with document.edit(f"Load weights of {path.name}"):
            for node, source in result["sources"].items():
                if node in there:
                    document.set_weights(node, source)
        WeightsReport(path, result, window.show_node, window).show()

    def refused(error: Mapping[str, Any]) -> None:
        window.messages.say(str(error.get("message", "")), "danger", key="weights")

    asked = {"document": document.data.model_dump(mode="json"), "path": str(path), "folder": weights_folder(window)}
    window.engine.ask("load_weights", asked, done, refused)


def weights_folder(window: MainWindow) -> str:
    """Where weights of the document in front are kept: beside its file, else beside the runs."""
    runs = window.workspace.runs_folder
    return str(runs.parent) if runs is not None else str(Path.home())


class WeightsReport(QDialog):
    """What was taken, missing and left over, by node. Opens without blocking the window; a click shows the node."""

    def __init__(
        self, path: Path, result: Mapping[str, Any], show_node: Callable[[str], object], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Weights")
        self.resize(760, 460)
        total = sum(taken["size"] for taken in result["nodes"])
        self.summary = label(
            f"{result['loaded']} of {total} tensors of the model come from {path.name}; "
            f"{len(result['left'])} of the file are left over.", "muted", wrap=True,
        )  # fmt: skip
        self.tree = tree(("Node", "Taken", "How, or what shape"), (220, 110))
        self.tree.setAccessibleName("Weights by node")
        for taken in result["nodes"]:
            self._add_node(taken)
        if result["left"]:
            rest = QTreeWidgetItem(self.tree, ["Left over", str(len(result["left"])), "in the file, without a place"])
            for key, shape in result["left"].items():
                QTreeWidgetItem(rest, [key, "", _shape(shape)])
        self.tree.itemClicked.connect(lambda item, _c: show_node(item.data(0, _NODE)) if item.data(0, _NODE) else None)
        close = button("Close")
        close.clicked.connect(self.close)
        where = label(
            f"Kept in {result['stored']}. Training and export start from it.", "faint", wrap=True, select=True
        )
        self.setLayout(
            column(
                label("Weights were loaded", "title"), self.summary, self.tree, where, row(1, close),
                margins=(24, 20, 24, 16), gap=12,
            )
        )  # fmt: skip

    def _add_node(self, taken: Mapping[str, Any]) -> None:
        how = taken["how"] or "nothing fits; drawn at random"
        item = QTreeWidgetItem(self.tree, [taken["title"], f"{len(taken['loaded'])} of {taken['size']}", how])
        item.setData(0, _NODE, taken["node"])
        for key, shape in taken["missing"].items():
            QTreeWidgetItem(item, [key, "missing", _shape(shape)])
        for key, (_, ours, theirs) in taken["wrong"].items():
            QTreeWidgetItem(item, [key, "other shape", f"{_shape(ours)}, the file has {_shape(theirs)}"])


def tree(columns: tuple[str, ...], widths: tuple[int, ...]) -> QTreeWidget:
    """A table whose rows may have rows under them."""
    made = QTreeWidget()
    made.setHeaderLabels(list(columns))
    made.setFrameShape(QFrame.Shape.NoFrame)
    made.setUniformRowHeights(True)
    made.setStyleSheet("QTreeView::item { padding: 4px 5px; }")  # as wide as the header's
    made.header().setStretchLastSection(True)
    made.header().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
    for place, width in enumerate(widths):
        made.setColumnWidth(place, width)
    return made


def _shape(shape: list[int]) -> str:
    return " × ".join(map(wording.count, shape)) or "one number"
