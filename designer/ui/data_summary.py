"""The figures of a data set: what may spoil training in words, plots of classes, boxes and images, and a table.

pyqtgraph takes some 0.4 s to import, so the Data tab makes this page when it is first looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QGridLayout,
    QHeaderView,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from designer.data.histograms import OCTAVES
from designer.ui import theme
from designer.ui.saving import ask_where_to_save, quoted
from designer.ui.widgets import column, label, row, tool

PLOT_WIDTH, PLOT_HEIGHT = 240, 190
LEFT_WIDTH = 290
MOST_CLASSES = 40
"""Classes that have a bar; the table has all."""
TICKS = (1, 4, 16, 64, 256, 1024)

Parts = Mapping[str, Mapping[str, Any]]


class Chart(QFrame):
    """A plot with its title, saved as a picture or as the figures that it draws."""

    def __init__(self, title: str, tip: str) -> None:
        super().__init__()
        self.title = title
        self.columns: dict[str, Sequence[Any]] = {}
        """What is drawn, as columns of figures."""
        self.view = pg.PlotWidget()
        self.view.setMinimumSize(120, 80)
        self.view.setAccessibleName(title)
        self.view.setToolTip(tip)
        self.item = self.view.getPlotItem()
        self.item.hideButtons()
        self.item.setMenuEnabled(False)
        self.item.setMouseEnabled(False, False)
        self.item.getAxis("bottom").setHeight(22)
        self.item.getAxis("left").setWidth(44)
        self.note = label("", "faint")
        self.save = tool("export-variant", f"Save {title.lower()} as a picture or as figures (PNG, CSV)")
        self.save.clicked.connect(lambda: ask_where_to_save(self, self.title, self.as_csv))
        self.setLayout(
            column(row(label(title, "section"), self.note, 1, self.save, gap=8), self.view, margins=(8, 2, 4, 4), gap=2)
        )
        self.setFixedHeight(PLOT_HEIGHT)

    def as_csv(self) -> str:
        """The figures that are drawn."""
        lines = [",".join(self.columns)]
        for cells in zip(*self.columns.values(), strict=True):
            lines.append(",".join(quoted(str(cell)) for cell in cells))
        return "\n".join(lines) + "\n"

    def clear(self) -> None:
        self.item.clear()
        shades = theme.current()
        self.view.setBackground(shades.panel)
        for side in ("left", "bottom"):
            axis = self.item.getAxis(side)
            axis.setPen(shades.border_strong)
            axis.setTextPen(shades.text_muted)
            font = self.font()
            font.setPixelSize(11)
            axis.setTickFont(font)
            axis.setTicks(None)
        self.item.showGrid(x=False, y=True, alpha=0.12)

    def bars(self, counts: Mapping[str, Sequence[float]], names: Sequence[str], what: str) -> None:
        """Bars of each part side by side, named along the axis."""
        self.clear()
        width = 0.8 / max(1, len(counts))
        for place, (_, values) in enumerate(counts.items()):
            across = np.arange(len(values)) - 0.4 + width * (place + 0.5)
            self.item.addItem(
                pg.BarGraphItem(
                    x=across, height=list(values), width=width, brush=theme.current().series(place), pen=None
                )
            )
        step = max(1, -(-len(names) // 8))
        self.item.getAxis("bottom").setTicks([[(i, _short(n)) for i, n in enumerate(names) if i % step == 0]])
        self.item.setRange(xRange=(-0.6, max(0, len(names) - 1) + 0.6), padding=0)
        self.item.enableAutoRange(axis="y")
        if not self.note.text():
            self.note.setText("training, validation")
        self.columns = {what: list(names), **{part: list(values) for part, values in counts.items()}}

    def heat(self, counts: np.ndarray, rect: tuple[float, float, float, float], names: tuple[str, str]) -> None:
        """Counts of a plane as shades; rows of `counts` lie along x.

        Args:
            counts: [across, down].
            rect: left, low, width and height in the units of the axes.
            names: of the two axes, in the CSV.
        """
        self.clear()
        image = pg.ImageItem(np.log1p(counts))
        shades = theme.current()
        image.setLookupTable(pg.ColorMap([0, 1], [shades.panel, shades.accent]).getLookupTable(nPts=64))
        image.setRect(*rect)
        self.item.addItem(image)
        self.item.setRange(xRange=(rect[0], rect[0] + rect[2]), yRange=(rect[1], rect[1] + rect[3]), padding=0)
        across, down = np.nonzero(counts)
        places = ((across, rect[0], rect[2], 0), (down, rect[1], rect[3], 1))
        self.columns = {
            names[axis]: np.round(low + (found + 0.5) * room / counts.shape[axis], 3).tolist()
            for found, low, room, axis in places
        }
        self.columns["boxes"] = counts[across, down].tolist()


class SummaryPage(QScrollArea):
    """Words and a table on the left, plots beside them in as many columns as there is room for."""

    def __init__(self) -> None:
        super().__init__()
        self._found: Mapping[str, Any] = {}
        self._strides: tuple[int, ...] = ()
        self.classes = Chart("Objects of each class", "How balanced the classes are, by part.")
        self.sides = Chart("Box sizes, pixels", "Width and height at the model's input; lines are the head's strides.")
        self.places = Chart("Where objects are", "Middles of the boxes of the training part in their images.")
        self.per_image = Chart("Objects in an image", "How many images have so many objects.")
        self.sizes = Chart("Image sizes, pixels", "Width and height of the images; larger dots are more images.")
        self.charts = (self.classes, self.sides, self.places, self.per_image, self.sizes)
        self.words = label("", "muted", wrap=True, select=True)
        self.words.setAccessibleName("What may spoil training")
        self.table = _table()
        left = QWidget()
        left.setFixedWidth(LEFT_WIDTH)
        left.setLayout(column(self.words, self.table, 1, margins=(12, 8, 8, 8)))
        self._grid = QGridLayout()
        self._grid.setSpacing(0)
        plots = QWidget()
        plots.setLayout(column(self._grid, 1))
        page = QWidget()
        page.setProperty("look", "page")
        box = row(left, plots, gap=0)
        box.setStretch(1, 1)
        page.setLayout(box)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(page)
        self._columns = 0
        theme.manager.changed.connect(self._on_theme)
        self.clear("The summary is being made…")

    def _on_theme(self, _theme: theme.Theme) -> None:
        if self._found:
            self._draw()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        columns = max(1, (self.viewport().width() - LEFT_WIDTH) // PLOT_WIDTH)
        if columns != self._columns:
            self._columns = columns
            for place, chart in enumerate(self.charts):
                self._grid.addWidget(chart, place // columns, place % columns)

    def clear(self, text: str) -> None:
        """Nothing is known yet; `text` says why."""
        self._found = {}
        self.words.setText(text)
        self.table.setRowCount(0)
        self.table.hide()
        for chart in self.charts:
            chart.hide()

    def show_strides(self, strides: Sequence[int]) -> None:
        """Strides of the head's levels in pixels, which are drawn among the box sizes."""
        if tuple(strides) != self._strides:
            self._strides = tuple(strides)
            if self._found:
                self._draw()

    def show_summary(self, found: Mapping[str, Any]) -> None:
        """Show the figures of `designer.data.histograms.drawn_summary`."""
        self._found = found
        self.words.setText("\n\n".join([*found["remarks"], *found["notes"]]) or "Nothing stands out.")
        self._draw()

    def _draw(self) -> None:
        found, parts = self._found, self._found["parts"]
        train = parts["train"]
        boxes = bool(np.sum(train["sides"]))
        self._fill_table(found["names"], parts)
        order = np.argsort([-n for n in train["by_class"]], kind="stable")[:MOST_CLASSES]
        left_out = len(found["names"]) - len(order)
        self.classes.note.setText(f"the {MOST_CLASSES} most frequent" if left_out else "")
        shown = {part: parts[part]["by_class"] for part in parts}
        if train["pixels_of_class"]:
            self.classes.note.setText("% of the pixels")
            shown = {part: _shares(parts[part]["pixels_of_class"]) for part in parts}
        named = [found["names"][i] for i in order]
        self.classes.bars({part: [values[i] for i in order] for part, values in shown.items()}, named, "class")
        self._draw_sizes(parts)
        for chart in self.charts:
            chart.setVisible(boxes or chart in (self.classes, self.sizes))
        if not boxes:
            return
        low, high = OCTAVES
        self.sides.heat(np.array(train["sides"]), (low, low, high - low, high - low), ("log2 width", "log2 height"))
        ticks = [[(np.log2(t), str(t)) for t in TICKS]]
        for side in ("left", "bottom"):
            self.sides.item.getAxis(side).setTicks(ticks)
        for stride in self._strides:
            pen = pg.mkPen(theme.current().warning, width=1, style=Qt.PenStyle.DashLine)
            for angle in (0, 90):
                self.sides.item.addItem(pg.InfiniteLine(float(np.log2(stride)), angle=angle, pen=pen))
        self.sides.note.setText(f"strides {', '.join(map(str, self._strides))}" if self._strides else "")
        self.places.heat(np.array(train["places"]), (0, 0, 1, 1), ("across", "down"))
        self.places.item.invertY(True)
        most = max(len(parts[part]["objects_per_image"]) for part in parts)
        counts = {
            p: [*parts[p]["objects_per_image"], *[0] * (most - len(parts[p]["objects_per_image"]))] for p in parts
        }
        self.per_image.bars(counts, [str(n) for n in range(most)], "objects")

    def _draw_sizes(self, parts: Parts) -> None:
        chart = self.sizes
        chart.clear()
        found = [size for part in parts.values() for size in part["image_sizes"]]
        widths, heights, counts = zip(*found, strict=True) if found else ((), (), ())
        most = max(counts, default=1)
        dots = [5 + 15 * (count / most) ** 0.5 for count in counts]
        brush = pg.mkBrush(theme.current().color("accent", 150))
        chart.item.addItem(pg.ScatterPlotItem(widths, heights, size=dots, brush=brush, pen=None))
        chart.item.setRange(
            xRange=(0, 1.1 * max(widths, default=1)), yRange=(0, 1.1 * max(heights, default=1)), padding=0
        )
        chart.columns = {"width": widths, "height": heights, "images": counts}

    def _fill_table(self, names: Sequence[str], parts: Parts) -> None:
        train, val = parts["train"], parts["val"]
        lines: list[tuple[str, Any, Any]] = [
            (text, train[key], val[key])
            for key, text in (("images", "Images"), ("objects", "Objects"), ("empty", "Without"))
        ]
        if train["median_box"]:
            lines += [
                (f"{size.capitalize()} boxes", train["by_size"][size], val["by_size"][size])
                for size in train["by_size"]
            ]
            medians = (" x ".join(f"{v:.0f}" for v in part["median_box"]) or "–" for part in (train, val))
            lines.append(("Median box, px", next(medians), next(medians)))
        lines += [(name, train["by_class"][i], val["by_class"][i]) for i, name in enumerate(names)]
        self.table.setRowCount(len(lines))
        for place, line in enumerate(lines):
            for across, cell in enumerate(line):
                item = QTableWidgetItem(f"{cell:,}" if isinstance(cell, int) else str(cell))
                if across:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(place, across, item)
        self.table.setFixedHeight(min(len(lines), 16) * 22 + 28)
        self.table.show()


def _table() -> QTableWidget:
    table = QTableWidget(0, 3)
    table.setHorizontalHeaderLabels(["", "Train", "Val"])
    table.setFrameShape(QFrame.Shape.NoFrame)
    table.setShowGrid(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(22)
    table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    for place in (1, 2):
        table.setColumnWidth(place, 72)
    table.setAccessibleName("Figures of the data set")
    return table


def _shares(counts: Sequence[int]) -> list[float]:
    """Per cent of each."""
    return [round(100 * count / max(1, sum(counts)), 2) for count in counts]


def _short(name: str) -> str:
    return name if len(name) <= 9 else name[:8] + "…"
