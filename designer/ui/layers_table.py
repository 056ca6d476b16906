"""The table of all layers: what each gives and costs, sorted by a click, linked with the canvas, copied as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHeaderView, QLineEdit, QWidget

from designer.graph.document import Document
from designer.ui import theme, wording
from designer.ui.tables import sorted_table
from designer.ui.widgets import button, column, label, row

COLUMNS = ("Node", "Component", "Output", "Parameters", "Deployed", "MACs", "Activations")
_FIGURES = ("params", "deployed", "macs", "activation_bytes")
_SORT = Qt.ItemDataRole.UserRole
Index = QModelIndex | QPersistentModelIndex


class LayersModel(QAbstractTableModel):
    """The document's nodes in the order that they run; figures as numbers for sorting and as words to read."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self._rows: list[tuple[str, ...]] = []
        self._keys: list[tuple[Any, ...]] = []

    def show(self, document: Document | None, results: Mapping[str, Mapping[str, Any]]) -> None:
        self.beginResetModel()
        self.ids, self._rows, self._keys = [], [], []
        for place, node_id in enumerate(document.order() if document is not None else ()):
            assert document is not None
            node, result = document.node(node_id), results.get(node_id) or {}
            spec = document.catalogue.get(node.component) if document.catalogue is not None else None
            outputs = result.get("outputs") or {}
            shapes = ", ".join(map(_shape, outputs.values()))
            figures = [result.get(name) if result.get("status") == "ok" else None for name in _FIGURES]
            words = [wording.count(figure) for figure in figures[:3]] + [wording.memory(figures[3])]
            self.ids.append(node_id)
            self._rows.append((node.title, spec.title if spec else node.component, shapes, *words))
            self._keys.append((place, self._rows[-1][1].lower(), place, *(f if f is not None else -1 for f in figures)))
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._rows[index.row()][index.column()]
        if role == _SORT:
            return self._keys[index.row()][index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() >= 3:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return theme.mono_font() if role == Qt.ItemDataRole.FontRole and index.column() == 2 else None

    def headerData(self, section: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if way != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section >= 3 else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return COLUMNS[section] if role == Qt.ItemDataRole.DisplayRole else None


class LayersTable(QWidget):
    """Signals:
    selected(list): ids of the rows that the user selected.
    """

    selected = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.model = LayersModel()
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.model)
        self.sorted.setSortRole(_SORT)
        self.sorted.setFilterKeyColumn(-1)
        self.sorted.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.view = sorted_table(self.sorted, "Layers", (170, 150, 200, 100, 100, 100, 100))
        self.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.view.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter")
        self.filter.setAccessibleName("Filter layers")
        self.filter.setFixedWidth(200)
        self.filter.textChanged.connect(self.sorted.setFilterFixedString)
        self.csv = button("Copy as CSV", "small", "content-copy")
        self.csv.clicked.connect(lambda: self._copy(self.as_csv()))
        self.markdown = button("Copy as Markdown", "small", "language-markdown-outline")
        self.markdown.clicked.connect(lambda: self._copy(self.as_markdown()))
        self._copied = label("", "faint")
        bar = row(self.filter, self._copied, 1, self.csv, self.markdown, margins=(8, 4, 8, 4), gap=8)
        self.setLayout(column(bar, self.view, gap=0))
        self.view.selectionModel().selectionChanged.connect(self._on_selection)
        self._telling = False

    def show_document(self, document: Document | None, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Show the document's nodes with the engine's newest results; the selection stays."""
        kept = self.selected_ids()
        self._telling = True
        self.model.show(document, results)
        self._telling = False
        self.select(kept)

    def selected_ids(self) -> list[str]:
        rows = self.view.selectionModel().selectedRows()
        return [self.model.ids[self.sorted.mapToSource(index).row()] for index in rows]

    def select(self, ids: Sequence[str]) -> None:
        """Select the rows of these nodes and bring the first into sight; says nothing."""
        wanted = set(ids)
        self._telling = True
        picks = self.view.selectionModel()
        picks.clearSelection()
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        first = True
        for place, node_id in enumerate(self.model.ids):
            index = self.sorted.mapFromSource(self.model.index(place, 0))
            if node_id in wanted and index.isValid():
                picks.select(index, flags)
                if first:
                    self.view.scrollTo(index)
                first = False
        self._telling = False

    def _on_selection(self) -> None:
        if not self._telling:
            self.selected.emit(self.selected_ids())

    def _texts(self) -> list[list[str]]:
        """The rows as they are shown now: sorted and filtered."""
        columns = range(len(COLUMNS))
        return [[str(self.sorted.index(i, c).data()) for c in columns] for i in range(self.sorted.rowCount())]

    def as_csv(self) -> str:
        """The rows on show with plain figures, for a spreadsheet."""
        lines = [",".join(COLUMNS)]
        for place, texts in enumerate(self._texts()):
            keys = [self.sorted.index(place, c).data(_SORT) for c in range(3, len(COLUMNS))]
            lines.append(",".join([*map(_quoted, texts[:3]), *("" if k == -1 else str(k) for k in keys)]))
        return "\n".join(lines) + "\n"

    def as_markdown(self) -> str:
        """The rows on show as a table for a README or a paper."""
        rows = [[text.replace("|", "\\|") for text in texts] for texts in self._texts()]
        ruler = [":--"] * 3 + ["--:"] * (len(COLUMNS) - 3)
        return "".join(f"| {' | '.join(cells)} |\n" for cells in [list(COLUMNS), ruler, *rows])

    def _copy(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self._copied.setText(f"{self.sorted.rowCount()} rows copied")


def _shape(tensor: Mapping[str, Any]) -> str:
    """One output: its shape, or the shape of each part by name."""
    fields = tensor.get("fields") or {}
    return ", ".join(f"{name} {wording.shape(sizes)}" for name, sizes in fields.items()) or wording.tensor(tensor)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text
