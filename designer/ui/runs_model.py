"""The table of runs as a model: words to read, values to sort by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from designer.train.run import RunFolder
from designer.train.run_list import ACTIVE, RunInfo, metric_title
from designer.ui import theme, wording
from designer.ui.run_bar import run_title
from designer.ui.run_watch import never_begun

COLUMNS = ("Run", "State", "Best", "Epochs", "Started", "Took", "Note", "Device", "Document")
SORT = Qt.ItemDataRole.UserRole
STATE_WORDS = {
    "queued": "Queued", "starting": "Starting", "running": "Training", "paused": "Paused", "stopped": "Stopped",
    "finished": "Finished", "failed": "Failed", "died": "Broke off", "idle": "Not begun",
}  # fmt: skip
_COLOURS = {"failed": "danger", "died": "danger", "finished": "success", "queued": "info"}
_LATER = 1e12
"""Seconds since 1970: after any run."""
Index = QModelIndex | QPersistentModelIndex


NOTE = COLUMNS.index("Note")


def state_of(info: RunInfo) -> str:
    """The state that is shown: `idle` for a run that was taken out of the queue before it had a trainer."""
    unbegun = info.state == "died" and not info.started and never_begun(RunFolder(info.path))
    return "idle" if unbegun else info.state


class RunsModel(QAbstractTableModel):
    """One row a run; `show` changes rows in place where the runs stay the same, so that a selection stays."""

    def __init__(self) -> None:
        super().__init__()
        self.infos: list[RunInfo] = []
        self._queue: list[str] = []

    def show(self, infos: Sequence[RunInfo], queue: Sequence[str] = ()) -> bool:
        """Show these runs; `queue` has the names of those that wait, the next first. Whether that changed anything."""
        if list(infos) == self.infos and list(queue) == self._queue:
            return False
        same = [info.path for info in infos] == [info.path for info in self.infos]
        if not same:
            self.beginResetModel()
        self.infos, self._queue = list(infos), list(queue)
        if not same:
            self.endResetModel()
        elif self.infos:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.infos) - 1, len(COLUMNS) - 1), [])
        return True

    def row_of(self, path: Path) -> int:
        """The row of a run, -1 when it is not there."""
        return next((i for i, info in enumerate(self.infos) if info.path == path), -1)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.infos)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        info, column = self.infos[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._words(info, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return str(info.path) if column == 0 else info.note if column == 6 else self._words(info, column)
        if role == SORT:
            return self._key(info, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (2, 3, 5):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ForegroundRole and column == 1:
            colour = "accent" if info.state in ACTIVE else _COLOURS.get(state_of(info))
            return theme.current().color(colour) if colour else None
        return theme.mono_font() if role == Qt.ItemDataRole.FontRole and column == 8 else None

    def _words(self, info: RunInfo, column: int) -> str:
        state = STATE_WORDS.get(state_of(info), info.state)
        if info.state == "queued" and info.path.name in self._queue:
            state += f" ({self._queue.index(info.path.name) + 1})"
        when = time.localtime(info.started)
        today = time.strftime("%Y%m%d") == time.strftime("%Y%m%d", when)
        return (
            run_title(info.path.name), state,
            f"{metric_title(info.metric)} {info.best:.3f}" if info.best is not None else "–",
            f"{info.epoch} of {info.epochs}",
            time.strftime("%H:%M" if today else "%d %b %H:%M", when) if info.started else "–",
            wording.seconds(info.seconds) if info.started else "–",
            " ".join(info.note.split()), info.device.upper() if info.device == "cpu" else info.device, info.document,
        )[column]  # fmt: skip

    def _key(self, info: RunInfo, column: int) -> Any:
        words = self._words(info, column).lower()
        best = -1.0 if info.best is None else info.best
        place = self._queue.index(info.path.name) if info.path.name in self._queue else -1
        started = info.started or _LATER + place  # what waits comes after what has begun
        return (info.path.name, words, best, info.epoch, started, info.seconds, words, words, words)[column]

    def headerData(self, section: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if way != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section in (2, 3, 5) else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return COLUMNS[section] if role == Qt.ItemDataRole.DisplayRole else None
