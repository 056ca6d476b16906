"""The side panel's upper half: what a node, or the whole file, says of itself; its weights can be chosen there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtWidgets import QHeaderView, QStyledItemDelegate, QStyleOptionViewItem, QTreeWidget, QTreeWidgetItem

from designer.ui import wording
from designer.ui.theme import mono_font

_TENSOR = Qt.ItemDataRole.UserRole
_GAP = "   "
"""Between what a value is and its name."""
MOST_ROWS = 500
"""Of a section; a node with more inputs is a list that nobody reads."""


class _Names(QStyledItemDelegate):
    """Long names keep their ends, which tell them apart; what begins with a type and a shape keeps these."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        if _GAP not in str(index.data()):
            option.textElideMode = Qt.TextElideMode.ElideMiddle


class FactsTree(QTreeWidget):
    """Signals:
    tensor_chosen(str): a weight's row was chosen; "" for any other.
    """

    tensor_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("model_facts")
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setUniformRowHeights(True)
        self.setIndentation(12)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setItemDelegate(_Names(self))
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.header().setStretchLastSection(True)
        self.header().resizeSection(0, 145)
        self.currentItemChanged.connect(lambda item, _old: self._on_current(item))

    def show_file(self, summary: Mapping[str, Any]) -> None:
        """What the file is, its inputs and outputs, its operators by number, its metadata."""
        self.clear()
        facts = [("Format", summary["format"]), ("Size", wording.memory(summary["bytes"]))]
        if "opsets" in summary:
            sets = ", ".join(f"{domain} {version}" for domain, version in summary["opsets"].items())
            facts += [("Operators of", sets), ("IR version", str(summary["ir_version"]))]
            facts += [("Nodes", f"{summary['nodes']:,}")]
        facts += [("Parameters", f"{summary['parameters']:,}"), ("Tensors", f"{len(summary['tensors']):,}")]
        self._section("File", facts)
        for side in ("inputs", "outputs"):
            rows = [(value["name"], described(value)) for value in summary.get(side, ())]
            self._section(side.capitalize(), rows)
        self._section("Metadata", summary["metadata"].items())
        self._section("Operators", ((op, f"{number:,}") for op, number in summary.get("ops", {}).items()))
        self.setAccessibleName("The file")

    def show_node(self, node: Mapping[str, Any], values: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        """A node's attributes, inputs, weights and outputs; the first weight is chosen."""
        self.clear()
        about = [(k.capitalize(), node[k]) for k in ("name", "domain", "note") if node.get(k)]
        self._section(node["title"], about)
        self._section("Attributes", node.get("attributes", ()))
        weights = [(port, name) for port, name in node.get("inputs", ()) if name in tensors]
        others = [(port, name) for port, name in node.get("inputs", ()) if name not in tensors]
        first = self._section("Weights", [(p or n, f"{described(tensors[n])}{_GAP}{n}") for p, n in weights])
        for row, (_, name) in enumerate(weights[:MOST_ROWS]):
            first.child(row).setData(0, _TENSOR, name)
        self._section("Inputs", [(port or "value", _valued(name, values)) for port, name in others])
        self._section("Outputs", [(port or "value", _valued(name, values)) for port, name in node.get("outputs", ())])
        self.setAccessibleName(f"{node['title']} {node.get('name', '')}")
        if weights:
            self.setCurrentItem(first.child(0))
        else:
            self.tensor_chosen.emit("")

    def _section(self, title: str, rows: Iterable[tuple[str, str]]) -> QTreeWidgetItem:
        """A heading with its rows; one without rows is shown only where it names the node."""
        heading = QTreeWidgetItem([title])
        font = self.font()
        font.setBold(True)
        heading.setFont(0, font)
        for row, (name, value) in enumerate(rows):
            if row == MOST_ROWS:
                heading.addChild(QTreeWidgetItem(["…", "more are not listed"]))
                break
            item = QTreeWidgetItem([name, str(value)])
            item.setFont(1, mono_font())
            for place, text in enumerate((name, str(value))):
                item.setToolTip(place, text)
            heading.addChild(item)
        if heading.childCount() or not self.topLevelItemCount():
            self.addTopLevelItem(heading)
            heading.setExpanded(True)
            heading.setFirstColumnSpanned(True)
        return heading

    def _on_current(self, item: QTreeWidgetItem | None) -> None:
        if item is not None:
            self.tensor_chosen.emit(item.data(0, _TENSOR) or "")


def described(value: Mapping[str, Any]) -> str:
    """`float32 1×3×640×640`."""
    sizes = value.get("shape")
    shape = "shape not known" if sizes is None else "×".join(map(str, sizes)) or "scalar"
    return f"{value.get('dtype') or ''} {shape}".strip()


def _valued(name: str, values: Mapping[str, Any]) -> str:
    info = values.get(name)
    if info is None:
        return name
    constant = info.get("constant")
    return f"{constant}{_GAP}{name}" if constant else f"{described(info)}{_GAP}{name}"
