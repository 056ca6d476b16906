"""The table of a sweep's trials as a model: words to read, values to sort by."""

from __future__ import annotations

import time
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from designer.graph.space import Dimension, written
from designer.train.run_list import metric_title
from designer.train.sweep import SweepStatus, Trial
from designer.ui import theme, wording

SORT = Qt.ItemDataRole.UserRole
STATE_WORDS = {"running": "Training", "finished": "Finished", "pruned": "Pruned", "failed": "Failed"}
_COLOURS = {"running": "accent", "finished": "success", "failed": "danger"}
_BEFORE = 3
"""Columns before those of the values."""
Index = QModelIndex | QPersistentModelIndex


class TrialsModel(QAbstractTableModel):
    """One row a trial: number, state, figure, the value of each parameter, epochs, duration, reason."""

    def __init__(self) -> None:
        super().__init__()
        self.trials: list[Trial] = []
        self.space: list[Dimension] = []
        self.best: int | None = None
        self._metric = ""

    def show(self, space: list[Dimension], status: SweepStatus) -> None:
        """Show these trials; rows stay where they are, so that a selection stays."""
        metric = metric_title(status.metric)
        if space != self.space or metric != self._metric or len(status.trials) < len(self.trials):
            self.beginResetModel()
            self.space, self._metric, self.trials, self.best = list(space), metric, list(status.trials), status.best
            self.endResetModel()
            return
        if len(status.trials) > len(self.trials):
            self.beginInsertRows(QModelIndex(), len(self.trials), len(status.trials) - 1)
            self.trials += status.trials[len(self.trials) :]
            self.endInsertRows()
        self.trials, self.best = list(status.trials), status.best
        if self.trials:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.trials) - 1, self.columnCount() - 1), [])

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.trials)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else _BEFORE + len(self.space) + 3

    def _cells(self, trial: Trial) -> list[tuple[str, Any]]:
        """Words and the key to sort by, of each column."""
        took = trial.seconds or (time.time() - trial.started if trial.state == "running" and trial.started else 0)
        figure = f"{trial.metric:.4f}" if trial.metric is not None else "–"
        values = [trial.values.get(d.target) for d in self.space]
        return [
            (str(trial.number + 1), trial.number),
            (STATE_WORDS.get(trial.state, trial.state), trial.state),
            (("★  " if trial.number == self.best else "") + figure, -1e300 if trial.metric is None else trial.metric),
            *((f"{value:.4g}" if isinstance(value, float) else written(value), _key(value)) for value in values),
            (str(trial.epoch), trial.epoch),
            (wording.seconds(took) if took else "–", took),
            (trial.reason, trial.reason),
        ]

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        trial, column = self.trials[index.row()], index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._cells(trial)[column][0]
        if role == SORT:
            return self._cells(trial)[column][1]
        if role == Qt.ItemDataRole.TextAlignmentRole and self._is_number(column):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ForegroundRole and column == 1:
            colour = _COLOURS.get(trial.state)
            return theme.current().color(colour) if colour else None
        return None

    def _is_number(self, column: int) -> bool:
        place = column - _BEFORE
        if 0 <= place < len(self.space):
            return self.space[place].kind != "choice"
        return column == 2 or place in (len(self.space), len(self.space) + 1)

    def headerData(self, section: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if way != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self._is_number(section) else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        names = ["Trial", "State", self._metric or "Figure", *(short(d.label) for d in self.space)]
        if role == Qt.ItemDataRole.ToolTipRole and 0 <= section - _BEFORE < len(self.space):
            return self.space[section - _BEFORE].label
        return [*names, "Epochs", "Took", "Why"][section] if role == Qt.ItemDataRole.DisplayRole else None


def short(label: str) -> str:
    """`Training: learning rate` -> `Learning rate`; of a node, `Backbone: depth` stays."""
    owner, _, name = label.partition(": ")
    return name[:1].upper() + name[1:] if owner == "Training" else label


def _key(value: Any) -> Any:
    """Numbers before text, each by its size."""
    return float(value) if isinstance(value, (int, float)) else str(value)
