"""The tensors of a file without a graph, by their dotted names, with sizes; a branch has the sum of what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from designer.ui import wording

_NAME = Qt.ItemDataRole.UserRole
OPEN_AT_ONCE = 60
"""Tensors; a file with fewer is shown with all its branches open."""


class TensorTree(QTreeWidget):
    """Signals:
    tensor_chosen(str): the full name of a tensor; "" for a branch.
    """

    tensor_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("model_tensors")
        self.setHeaderLabels(["Name", "Type", "Shape", "Values", "Size"])
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(False)
        self.setAccessibleName("Tensors by name")
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setStretchLastSection(False)
        for place, width in ((1, 90), (2, 140), (3, 110), (4, 90)):
            self.header().resizeSection(place, width)
        for place in (3, 4):
            self.headerItem().setTextAlignment(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._leaves: list[tuple[str, QTreeWidgetItem]] = []
        self._branches: dict[str, QTreeWidgetItem] = {}
        self.currentItemChanged.connect(lambda item, _old: self._on_current(item))

    def show_tensors(self, tensors: Sequence[Mapping[str, Any]]) -> None:
        """Show them in the order of the file."""
        self.clear()
        self._leaves = []
        branches = self._branches = {}
        sums: dict[str, list[int]] = {}
        for tensor in tensors:
            parent: QTreeWidgetItem = self.invisibleRootItem()
            parts = tensor["name"].split(".")
            for depth in range(1, len(parts)):
                path = ".".join(parts[:depth])
                if path not in branches:
                    branches[path] = QTreeWidgetItem(parent, [parts[depth - 1]])
                    sums[path] = [0, 0]
                parent = branches[path]
                sums[path][0] += tensor["count"]
                sums[path][1] += tensor["bytes"]
            shape = " × ".join(map(str, tensor["shape"])) or "scalar"
            leaf = QTreeWidgetItem(parent, [parts[-1], tensor["dtype"], shape])
            leaf.setData(0, _NAME, tensor["name"])
            leaf.setToolTip(0, tensor["name"])
            _put_sizes(leaf, tensor["count"], tensor["bytes"])
            self._leaves.append((tensor["name"], leaf))
        for path, (count, size) in sums.items():
            _put_sizes(branches[path], count, size)
        if len(tensors) <= OPEN_AT_ONCE:
            self.expandAll()

    def search(self, words: str) -> int:
        """Show only tensors whose names have all of these words; how many do."""
        wanted = words.lower().split()
        shown: set[str] = set()
        found = 0
        for name, leaf in self._leaves:
            fits = all(word in name.lower() for word in wanted)
            leaf.setHidden(not fits)
            found += fits
            if fits:
                parts = name.split(".")
                shown.update(".".join(parts[:depth]) for depth in range(1, len(parts)))
        for path, branch in self._branches.items():
            branch.setHidden(path not in shown)
            branch.setExpanded(bool(wanted) or len(self._leaves) <= OPEN_AT_ONCE)
        return found

    def step(self, by: int) -> None:
        """Choose the next tensor that is not hidden, or the one before; round the end."""
        shown = [leaf for _, leaf in self._leaves if not leaf.isHidden()]
        if shown:
            here = self.currentItem()
            at = shown.index(here) + by if here in shown else min(by, 0)
            self.setCurrentItem(shown[at % len(shown)])

    def _on_current(self, item: QTreeWidgetItem | None) -> None:
        if item is not None:
            self.tensor_chosen.emit(item.data(0, _NAME) or "")


def _put_sizes(item: QTreeWidgetItem, count: int, size: int) -> None:
    for place, text in ((3, f"{count:,}"), (4, wording.memory(size))):
        item.setText(place, text)
        item.setTextAlignment(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
