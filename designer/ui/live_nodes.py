"""What a run measured of its nodes: weights, activations and gradients, for the inspector and the canvas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from designer.ui.widgets import label

if TYPE_CHECKING:
    from designer.ui.train_dock import TrainDock

_ROWS = {"weights": "Weights", "activations": "Activations", "gradients": "Gradients"}
_COLUMNS = {"mean": "mean", "std": "spread", "zeros": "zeros", "norm": "norm"}


class LiveNodes(QObject):
    """Signals:
    changed(): the run on show has a new sample, or none.
    """

    changed = Signal()

    def __init__(self, train: TrainDock) -> None:
        super().__init__()
        self._train = train
        self._nodes: Mapping[str, Any] = {}
        train.statistics_changed.connect(self._on_statistics)

    def _on_statistics(self, nodes: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self.changed.emit()

    def put_into(self, result: Mapping[str, Any]) -> None:
        """Gives each node of the engine's answer its figures as `live`, and whether it is frozen no more as `thawed`,
        unless they are another document's.
        """
        nodes = {} if self._train.whose else self._nodes
        thawed = () if self._train.whose else self._train.watch.last.get("unfrozen", {}).get("nodes", ())
        for node, info in (result.get("nodes") or {}).items():
            info["live"], info["thawed"] = nodes.get(node), node in thawed


class LiveFigures(QWidget):
    """A small table; hidden while no run has measured the node."""

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.addWidget(label("In training", "section"), 0, 0)
        for place, title in enumerate(_COLUMNS.values(), 1):
            grid.addWidget(label(title, "faint"), 0, place)
        self.cells = {(kind, name): label("") for kind in _ROWS for name in _COLUMNS}
        for line, (kind, title) in enumerate(_ROWS.items(), 1):
            grid.addWidget(label(title, "muted"), line, 0)
            for place, name in enumerate(_COLUMNS, 1):
                grid.addWidget(self.cells[kind, name], line, place)
        grid.setColumnStretch(0, 1)
        self.setLayout(grid)
        self.setToolTip(
            "From the newest sample of the run on show: over all values of the node, activations of one batch, "
            "gradients as the optimizer got them."
        )
        self.hide()

    def show_figures(self, live: Mapping[str, Mapping[str, Any]]) -> None:
        """Show kind -> name -> value of a node; an empty mapping hides the table."""
        self.setVisible(bool(live))
        for (kind, name), cell in self.cells.items():
            value = (live.get(kind) or {}).get(name)
            cell.setText("–" if value is None else f"{value:.0%}" if name == "zeros" else f"{value:.3g}")
