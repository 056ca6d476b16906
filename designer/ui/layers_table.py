"""The table of all layers: what each gives and costs, sorted by a click, linked with the canvas, copied as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QSettings,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QCheckBox, QHeaderView, QLineEdit, QWidget

from designer.graph.document import Document
from designer.ui import theme, wording
from designer.ui.tables import sorted_table
from designer.ui.widgets import button, column, label, row

COLUMNS = ("Node", "Component", "Output", "Parameters", "Deployed", "MACs", "Activations")
_FIGURES = ("params", "deployed", "macs", "activation_bytes")
_SORT = Qt.ItemDataRole.UserRole
_PARTS = "layers/parts"
Index = QModelIndex | QPersistentModelIndex


class LayersModel(QAbstractTableModel):
    """The document's layers in the order that they run; figures as numbers for sorting and as words to read.

    Attributes:
        keys: of each row its node's id and, for a part of a composite, the names that lead to the part.
    """

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[tuple[str, tuple[str, ...]]] = []
        self._rows: list[tuple[str, ...]] = []
        self._sorts: list[tuple[Any, ...]] = []

    def show(self, document: Document | None, results: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        """A row for each node, or one for each of its `parts` where it has some and runs."""
        self.beginResetModel()
        self.keys, self._rows, self._sorts = [], [], []
        for node_id in document.order() if document is not None else ():
            assert document is not None
            node, result = document.node(node_id), results.get(node_id) or {}
            is_known = result.get("status") == "ok"
            whole: Mapping[str, Any] = {**result, "path": (), "component": node.component}
            for part in (parts.get(node_id) if is_known else None) or (whole,):
                spec = document.catalogue.get(part["component"]) if document.catalogue is not None else None
                shapes = ", ".join(map(_shape, (part.get("outputs") or {}).values()))
                figures = [part.get(name) if is_known else None for name in _FIGURES]
                words = [wording.count(figure) for figure in figures[:3]] + [wording.memory(figures[3])]
                title = " › ".join([node.title, *part["path"]])
                place, kind = len(self.keys), spec.title if spec else part["component"]
                self.keys.append((node_id, tuple(part["path"])))
                self._rows.append((title, kind, shapes, *words))
                self._sorts.append((place, kind.lower(), place, *(f if f is not None else -1 for f in figures)))
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._rows[index.row()][index.column()]
        if role == _SORT:
            return self._sorts[index.row()][index.column()]
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
    selected(list): ids of the nodes whose rows the user selected.
    wanted(str, dict, object): a question for the engine: method, params, and what to call with the answer.
    """

    selected = Signal(list)
    wanted = Signal(str, dict, object)

    def __init__(self) -> None:
        super().__init__()
        self.model = LayersModel()
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.model)
        self.sorted.setSortRole(_SORT)
        self.sorted.setFilterKeyColumn(-1)
        self.sorted.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.view = sorted_table(self.sorted, "Layers", (240, 150, 200, 100, 100, 100, 100))
        self.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.view.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter")
        self.filter.setAccessibleName("Filter layers")
        self.filter.setFixedWidth(200)
        self.filter.textChanged.connect(self.sorted.setFilterFixedString)
        self.parts = QCheckBox("Parts of composites")
        self.parts.setToolTip("A row for each component inside a composite, in place of one for the whole")
        self.parts.setChecked(str(QSettings().value(_PARTS, "true")) == "true")
        self.parts.toggled.connect(self._on_parts_toggled)
        self.csv = button("Copy as CSV", "small", "content-copy")
        self.csv.clicked.connect(lambda: self._copy(self.as_csv()))
        self.markdown = button("Copy as Markdown", "small", "language-markdown-outline")
        self.markdown.clicked.connect(lambda: self._copy(self.as_markdown()))
        self._copied = label("", "faint")
        bar = row(
            self.filter, self.parts, self._copied, 1, self.csv, self.markdown, margins=(8, 4, 8, 4), gap=12
        )  # fmt: skip
        self.setLayout(column(bar, self.view, gap=0))
        self.view.selectionModel().selectionChanged.connect(self._on_selection)
        self._telling = False
        self._document: Document | None = None
        self._results: Mapping[str, Any] = {}
        self._inside: Mapping[str, Any] = {}

    def show_document(self, document: Document | None, results: Mapping[str, Any]) -> None:
        """Show the document's layers with the engine's newest results; the selection stays."""
        if document is not self._document:
            self._inside = {}
        self._document, self._results = document, results
        self._ask_for_parts()
        self._fill()

    def _ask_for_parts(self) -> None:
        """The parts on show stay until the engine has told the new ones, within milliseconds."""
        if self.parts.isChecked() and self._document is not None and self._results:
            question = {"document": self._document.data.model_dump(mode="json", exclude={"groups"})}
            self.wanted.emit("parts", question, partial(self._on_parts, self._document, self._results))

    def _on_parts(self, document: Document, results: Mapping[str, Any], inside: Mapping[str, Any]) -> None:
        if document is self._document and results is self._results:
            self._inside = inside
            self._fill()

    def _on_parts_toggled(self, on: bool) -> None:
        QSettings().setValue(_PARTS, "true" if on else "false")
        self._ask_for_parts()
        self._fill()

    def _fill(self) -> None:
        picks = self.view.selectionModel()
        kept = {self.model.keys[self.sorted.mapToSource(index).row()] for index in picks.selectedRows()}
        seen = self.view.verticalScrollBar().value()
        self._telling = True
        self.model.show(self._document, self._results, self._inside if self.parts.isChecked() else {})
        self._telling = False
        self._select([place for place, key in enumerate(self.model.keys) if key in kept])
        self.view.verticalScrollBar().setValue(seen)

    def selected_ids(self) -> list[str]:
        """Nodes with a selected row, each once."""
        rows = self.view.selectionModel().selectedRows()
        return list(dict.fromkeys(self.model.keys[self.sorted.mapToSource(index).row()][0] for index in rows))

    def select(self, ids: Sequence[str]) -> None:
        """Select the rows of these nodes and bring the first into sight; says nothing. A single part stays so."""
        if set(ids) != set(self.selected_ids()):
            rows = [place for place, (node_id, _path) in enumerate(self.model.keys) if node_id in set(ids)]
            self._select(rows)
            if rows:
                self.view.scrollTo(self.sorted.mapFromSource(self.model.index(rows[0], 0)))

    def _select(self, rows: Sequence[int]) -> None:
        self._telling = True
        picks = self.view.selectionModel()
        picks.clearSelection()
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for place in rows:
            index = self.sorted.mapFromSource(self.model.index(place, 0))
            if index.isValid():
                picks.select(index, flags)
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
