"""The last evaluation in full: a table of the classes, the confusion matrix, precision-recall and F1 curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QToolTip,
    QWidget,
)

from designer.ui import theme
from designer.ui.curves import Plot
from designer.ui.saving import ask_where_to_save, quoted
from designer.ui.theme import SMALL_PX
from designer.ui.widgets import button, column, label, row, tool

COLUMNS = {
    "truths": "Objects",
    "pixels": "Pixels",
    "iou": "IoU",
    "ap": "AP50-95",
    "ap50": "AP50",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
MOST_CURVES = 8
"""Classes drawn on one plot, beside the mean; the rest are in the table."""
_NOTHING = "The first evaluation has not ended yet."
_GRID = [i / 100 for i in range(101)]


class ClassTable(QWidget):
    """One row a class with its figures, sorted by a click."""

    def __init__(self) -> None:
        super().__init__()
        self.table = QTableWidget()
        self.table.setFrameShape(QFrame.Shape.NoFrame)
        self.table.setShowGrid(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.table.setAccessibleName("Figures of each class")
        self.empty = label(_NOTHING, "faint")
        self.save = button("Save as CSV…", "small", "content-save-outline")
        self.save.clicked.connect(lambda: ask_where_to_save(self.table, "Classes", self.as_csv))
        self.about = label("", "faint")
        self.setLayout(column(row(self.empty, self.about, 1, self.save, margins=(8, 4, 8, 2)), self.table, gap=0))
        self._names: list[str] = []

    def show_quality(self, quality: Mapping[str, Any]) -> None:
        """Show the classes of `evaluation.json`; an empty mapping shows none."""
        classes = quality.get("classes", [])
        self._names = [name for name in COLUMNS if any(entry.get(name) is not None for entry in classes)]
        self.empty.setVisible(not classes)
        best = quality.get("best_score")
        self.about.setText(f"Precision, recall and F1 at a score of {best:.2f}, where F1 is best." if best else "")
        self.save.setVisible(bool(classes))
        self.table.setSortingEnabled(False)
        self.table.setColumnCount(1 + len(self._names))
        self.table.setHorizontalHeaderLabels(["Class", *(COLUMNS[name] for name in self._names)])
        self.table.setRowCount(len(classes))
        for line, entry in enumerate(classes):
            self.table.setItem(line, 0, QTableWidgetItem(str(entry["name"])))
            for place, name in enumerate(self._names, 1):
                self.table.setItem(line, place, _Figure(entry.get(name), whole=name in ("truths", "pixels")))
        self.table.setSortingEnabled(True)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def as_csv(self) -> str:
        """The rows as they are sorted now."""
        lines = [",".join(["class", *self._names])]
        for line in range(self.table.rowCount()):
            cells = [self.table.item(line, place) for place in range(self.table.columnCount())]
            lines.append(",".join(quoted(cell.text()) if cell is not None else "" for cell in cells))
        return "\n".join(lines) + "\n"


class _Figure(QTableWidgetItem):
    """A number that is sorted as one."""

    def __init__(self, value: float | None, *, whole: bool) -> None:
        super().__init__("–" if value is None or value < 0 else f"{value:,}" if whole else f"{value:.3f}")
        self.value = -1.0 if value is None else float(value)
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: object) -> bool:
        return self.value < other.value if isinstance(other, _Figure) else NotImplemented


class Matrix(QWidget):
    """The confusion matrix: a row for each true class, a column for what it was taken for."""

    CELL, NAMES_WIDTH, HEAD = 34, 120, 22

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.counts: list[list[int]] = []
        self.setMouseTracking(True)
        self.setAccessibleName("Confusion matrix")
        font = self.font()
        font.setPixelSize(SMALL_PX - 1)
        self.setFont(font)

    def show_counts(self, names: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
        self.names, self.counts = list(names), [list(line) for line in counts]
        self.setMinimumSize(self.sizeHint())
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        side = len(self.names)
        return QSize(self.NAMES_WIDTH + side * self._wide() + 8, self.HEAD + side * self._high() + 8)

    def _wide(self) -> int:
        return max(self.CELL, 480 // max(1, len(self.names)) if len(self.names) <= 8 else 0)

    def _high(self) -> int:
        return 24

    def cell(self, line: int, place: int) -> QRectF:
        """Where a cell is."""
        left = self.NAMES_WIDTH + place * self._wide()
        return QRectF(left, self.HEAD + line * self._high(), self._wide(), self._high())

    def said(self, line: int, place: int) -> str:
        """A cell in words."""
        true, found = self.names[line], self.names[place]
        total = max(1, sum(self.counts[line]))
        count = self.counts[line][place]
        if true == "background" and line == len(self.names) - 1:
            return f"{count:,} found as {found} where nothing is"
        if found == "background" and place == len(self.names) - 1:
            return f"{true}: {count:,} of {total:,} not found"
        return f"{true}: {count:,} of {total:,} found as {found} ({count / total:.0%})"

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            for line in range(len(self.names)):
                for place in range(len(self.names)):
                    if self.cell(line, place).contains(event.pos()):
                        QToolTip.showText(event.globalPos(), self.said(line, place), self)
                        return True
            QToolTip.hideText()
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        shades, painter = theme.current(), QPainter(self)
        metrics = self.fontMetrics()
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.setPen(shades.color("text_muted"))
        for k, name in enumerate(self.names):
            head, side = self.cell(-1, k), self.cell(k, 0)
            text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(head.width()) - 4)
            painter.drawText(head, Qt.AlignmentFlag.AlignCenter, text)
            text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, self.NAMES_WIDTH - 12)
            painter.drawText(QRectF(0, side.y(), self.NAMES_WIDTH - 8, side.height()), right, text)
        for line, counts in enumerate(self.counts):
            total = max(1, sum(counts))
            for place, count in enumerate(counts):
                box = self.cell(line, place).adjusted(1, 1, -1, -1)
                if not box.intersects(QRectF(event.rect())):
                    continue
                share = count / total
                right_one = line == place
                painter.fillRect(box, shades.color("surface"))
                if count:
                    painter.fillRect(box, shades.color("success" if right_one else "danger", int(40 + 150 * share)))
                painter.setPen(shades.color("text" if count else "text_faint"))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, _short(count) if count else "·")


def _short(count: int) -> str:
    """A count that fits into a cell: pixels are counted in millions."""
    for power, sign in ((9, "G"), (6, "M"), (3, "k")):
        if count >= 10 ** (power + 1) or (power > 3 and count >= 10**power):
            whole = count / 10**power
            return f"{whole:.0f}{sign}" if whole >= 10 else f"{whole:.1f}{sign}"
    return f"{count:,}"


class MatrixPage(QWidget):
    """The matrix with what its rows and columns are."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = Matrix()
        self.said = label(_NOTHING, "faint")
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(self.matrix)
        self.save = tool("export-variant", "Save the confusion matrix as a picture or as figures (PNG, CSV)")
        self.save.clicked.connect(lambda: ask_where_to_save(self.matrix, "Confusion matrix", self.as_csv))
        self.setLayout(column(row(self.said, 1, self.save), area, margins=(8, 4, 8, 4), gap=2))

    def show_quality(self, quality: Mapping[str, Any]) -> None:
        """Show the counts of `evaluation.json`; an empty mapping shows none."""
        counts = quality.get("matrix")
        self.matrix.show_counts(quality.get("matrix_names", []) if counts else [], counts or [])
        self.save.setVisible(bool(counts))
        if counts:
            unit = ", in pixels" if quality.get("unit") == "pixels" else ""
            self.said.setText(
                f"Rows: what is there{unit}. Columns: what it was found as. Point at a cell for its share."
            )
        elif quality:
            self.said.setText("There are too many classes for a matrix; the table of classes has them all.")
        else:
            self.said.setText(_NOTHING)

    def as_csv(self) -> str:
        """The counts with their names, for a spreadsheet."""
        names = self.matrix.names
        lines = [",".join(["true \\ found", *map(quoted, names)])]
        for name, counts in zip(names, self.matrix.counts, strict=True):
            lines.append(",".join([quoted(name), *map(str, counts)]))
        return "\n".join(lines) + "\n"


class QualityCurves(QWidget):
    """Precision by recall, and F1 by score: the mean over classes, and the classes where they are few."""

    def __init__(self) -> None:
        super().__init__()
        self.precision = Plot("Precision at IoU 0.5", "recall", smooth=False, whole=False, marked=False, words=_words)
        self.f1 = Plot("F1", "score", smooth=False, whole=False, marked=False, words=_words)
        for plot in (self.precision, self.f1):
            plot.fix_range(0, 1)
        box = row(self.precision, self.f1, gap=0)
        box.setStretch(0, 1)
        box.setStretch(1, 1)
        self.setLayout(box)

    def show_quality(self, quality: Mapping[str, Any]) -> None:
        for plot, name in ((self.precision, "precision"), (self.f1, "f1")):
            curves = dict(quality.get(name) or {})
            plot.reset()
            for each in ["all", *[k for k in curves if k != "all"][:MOST_CURVES]] if curves else []:
                for x, y in zip(_GRID, curves[each], strict=True):
                    plot.add(each, x, y)
            plot.redraw()


def _words(name: str) -> str:
    return "all classes" if name == "all" else name
