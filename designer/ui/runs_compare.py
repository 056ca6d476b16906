"""Runs beside each other: a curve of each on one plot, settings that differ, and what differs between the documents."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from designer.graph.compare import differences
from designer.graph.errors import NetwrightError
from designer.graph.training import DataSettings, TrainingSettings
from designer.train.events import METRICS, EventTail
from designer.train.run import RunFolder
from designer.train.run_list import RunInfo, compare_settings, metric_title
from designer.ui import theme
from designer.ui.curves import Plot
from designer.ui.editors import CalmComboBox
from designer.ui.run_bar import run_title
from designer.ui.run_watch import MOST_STEPS
from designer.ui.widgets import button, column, label, row

_RIGHT = 420
"""Pixels: two runs of one name fit."""
_TITLES = {
    name: field.title for section in (TrainingSettings, DataSettings) for name, field in section.model_fields.items()
} | {"epochs": "Epochs planned"}


class RunsCompare(QWidget):
    """`back` leads to the list of runs again."""

    def __init__(self, infos: Sequence[RunInfo]) -> None:
        super().__init__()
        self.infos = list(infos)
        self._events = [EventTail(RunFolder(i.path).events_path, MOST_STEPS).read() for i in self.infos]
        self.names = _unlike(_short([run_title(info.path.name) for info in self.infos]))
        self.back = button("All runs", "small", "arrow-left")
        self.what = CalmComboBox()
        self.what.setAccessibleName("Which curve")
        for name in self._curves():
            self.what.addItem("Loss" if name == "loss" else metric_title(name), name)
        self.what.setFixedWidth(150)
        self.what.activated.connect(lambda _index: self._draw())
        self.loss = Plot("Loss", "step", smooth=True, words=str)
        self.scores = Plot("Metric", "epoch", smooth=False, words=str)
        self.scores.fix_range(0, 1)
        self.tree = self._make_tree()
        left = column(row(self.back, self.what, 1, margins=(8, 4, 8, 0)), self.loss, self.scores, gap=0)
        divider = QFrame()
        divider.setProperty("look", "vline")
        right = column(label("What differs", "section"), self.tree, margins=(12, 8, 4, 4), gap=4)
        side = QWidget()
        side.setLayout(right)
        side.setFixedWidth(_RIGHT)
        box = row(left, divider, side, gap=0)
        box.setStretch(0, 1)
        self.setLayout(box)
        self._fill()
        self._draw()

    def _curves(self) -> list[str]:
        """The loss, and the metrics that any of the runs has; the one that counts first."""
        there = {n for events in self._events for e in events if e["type"] == "metrics" for n in e["values"]}
        counts = next((info.metric for info in self.infos if info.metric), "")
        return [*([counts] if counts else []), *(n for n in METRICS if n in there and n != counts), "loss"]

    def _draw(self) -> None:
        wanted = self.what.currentData() or "loss"
        plot, other = (self.loss, self.scores) if wanted == "loss" else (self.scores, self.loss)
        other.hide()
        plot.show()
        plot.reset()
        for name, events in zip(self.names, self._events, strict=True):
            for event in events:
                if wanted == "loss" and event["type"] == "step" and event.get("loss") is not None:
                    plot.add(name, event["step"], event["loss"])
                elif event["type"] == "metrics" and isinstance(event["values"].get(wanted), (int, float)):
                    plot.add(name, event["epoch"] + 1, event["values"][wanted])
        plot.redraw()

    def _make_tree(self) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setColumnCount(1 + len(self.infos))
        tree.setHeaderLabels(["", *self.names])
        for place in range(len(self.infos)):
            tree.headerItem().setIcon(1 + place, _dot(place))
            tree.headerItem().setToolTip(1 + place, str(self.infos[place].path))
        tree.setRootIsDecorated(False)
        tree.setIndentation(0)
        tree.setUniformRowHeights(True)
        tree.setStyleSheet("QTreeView::item { padding: 4px 8px; }")  # as wide as the header's
        tree.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        tree.setAccessibleName("What differs")
        tree.header().setStretchLastSection(False)  # whole words; many runs are scrolled
        tree.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        return tree

    def _fill(self) -> None:
        best = ["–" if info.best is None else f"{info.best:.3f}" for info in self.infos]
        self._add(["Best " + metric_title(self.infos[0].metric or "figure"), *best])
        self._add(["Epochs done", *(f"{info.epoch} of {info.epochs}" for info in self.infos)])
        for name, values in compare_settings(self.infos):
            title = _TITLES.get(name) or name
            self._add([title[:1].upper() + title[1:], *values])
        for name, info in zip(self.names[1:], self.infos[1:], strict=True):
            self._section(f"Document of {name} against {self.names[0]}")
            for text in _document_differences(self.infos[0], info):
                item = self._add([text])
                item.setFirstColumnSpanned(True)
                item.setToolTip(0, text)

    def _add(self, texts: list[str]) -> QTreeWidgetItem:
        item = QTreeWidgetItem(texts)
        self.tree.addTopLevelItem(item)
        return item

    def _section(self, text: str) -> None:
        item = self._add([text])
        item.setToolTip(0, text)
        item.setFirstColumnSpanned(True)
        item.setForeground(0, theme.current().color("text_muted"))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)

    def texts(self) -> list[list[str]]:
        """The rows of what differs."""
        items = (self.tree.topLevelItem(i) for i in range(self.tree.topLevelItemCount()))
        return [[item.text(c) for c in range(self.tree.columnCount())] for item in items if item is not None]


def _short(names: list[str]) -> list[str]:
    """Titles of runs without the document's name where that is the same."""
    heads = {name.partition(" · ")[0] for name in names}
    return [name.partition(" · ")[2] or name for name in names] if len(heads) == 1 else names


def _unlike(names: list[str]) -> list[str]:
    """The same names, numbered where several are equal."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    used: dict[str, int] = {}
    found = []
    for name in names:
        used[name] = used.get(name, 0) + 1
        found.append(f"{name} ({used[name]})" if seen[name] > 1 else name)
    return found


def _document_differences(a: RunInfo, b: RunInfo) -> list[str]:
    """In words, without settings: those are in the table."""
    try:
        found = differences(RunFolder(a.path).document(), RunFolder(b.path).document())
    except NetwrightError as error:
        return [str(error)]
    texts = [d.text.replace(" -> ", " → ") for d in found if d.where not in ("training", "data")]
    return texts or ["The same model."]


def _dot(index: int) -> QIcon:
    picture = QPixmap(20, 20)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(theme.current().series(index)))
    painter.drawEllipse(4, 4, 12, 12)
    painter.end()
    return QIcon(picture)
