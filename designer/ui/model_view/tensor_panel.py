"""One tensor of a model file: what it is, the figures of its values and a histogram, as the engine has counted them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy, QVBoxLayout

from designer.ui import theme, wording
from designer.ui.model_view.facts_tree import described
from designer.ui.theme import mono_font
from designer.ui.widgets import ElidedLabel, label

_FIGURES = ("Least", "Greatest", "Mean", "Std", "Zeros", "Not finite")
HISTOGRAM_HEIGHT = 150


class TensorPanel(QFrame):
    """Shows a tensor without figures at once, and with them when they are there."""

    def __init__(self) -> None:
        super().__init__()
        self._name = ElidedLabel("", mode=Qt.TextElideMode.ElideMiddle)
        self._kind = ElidedLabel("", "muted")
        self._state = label("", "muted", wrap=True)
        self._values: dict[str, QLabel] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        for place, name in enumerate(_FIGURES):
            value = label("–", select=True)
            value.setFont(mono_font())
            row, side = divmod(place, 2)
            grid.addWidget(label(name, "muted"), row, 2 * side)
            grid.addWidget(value, row, 2 * side + 1)
            self._values[name] = value
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        self._box = QVBoxLayout()
        self._box.setContentsMargins(12, 8, 12, 12)
        self._box.setSpacing(6)
        for part in (self._name, self._kind):
            self._box.addWidget(part)
        self._box.addLayout(grid)
        self._box.addWidget(self._state)
        self.setLayout(self._box)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._plot: Any = None
        self._figures: Mapping[str, Any] | None = None
        theme.manager.changed.connect(self._on_theme)
        self.hide()

    def show_tensor(self, tensor: Mapping[str, Any]) -> None:
        """A tensor whose values are being read."""
        self._name.set_full_text(tensor["name"])
        self._kind.set_full_text(f"{described(tensor)}, {wording.memory(tensor['bytes'])}")
        self._say(tensor["problem"] or "Reading its values…")
        self.show()

    def show_figures(self, figures: Mapping[str, Any]) -> None:
        """Its figures have come."""
        self._figures = figures
        share = f" ({figures['zeros'] / figures['count']:.1%})" if figures["count"] else ""
        texts = [f"{figures[key]:.5g}" for key in ("low", "high", "mean", "std")]
        texts += [f"{figures['zeros']:,}{share}", f"{figures['not_finite']:,}"]
        for value, text in zip(self._values.values(), texts, strict=True):
            value.setText(text)
        self._state.hide()
        self.setAccessibleName(", ".join(f"{name} {text}" for name, text in zip(_FIGURES, texts, strict=True)))
        self._draw()

    def show_refusal(self, why: str) -> None:
        self._say(why)

    def _say(self, text: str) -> None:
        self._figures = None
        for value in self._values.values():
            value.setText("–")
        self._state.setText(text)
        self._state.show()
        if self._plot is not None:
            self._plot.hide()

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._draw()

    def _draw(self) -> None:
        """The histogram; pyqtgraph, which takes 0.4 s to import, comes with the first."""
        if self._figures is None or not self._figures["count"]:
            return
        import pyqtgraph as pg

        if self._plot is None:
            self._plot = pg.PlotWidget()
            self._plot.setFixedHeight(HISTOGRAM_HEIGHT)
            self._plot.setMenuEnabled(False)
            self._plot.setMouseEnabled(x=False, y=False)
            self._plot.hideButtons()
            self._plot.setAccessibleName("Histogram of the values")
            self._box.addWidget(self._plot)
        shades, plot = theme.current(), self._plot
        low, high, counts = self._figures["low"], self._figures["high"], self._figures["counts"]
        if high <= low:
            low, high = low - 0.5, high + 0.5
        step = (high - low) / len(counts)
        plot.clear()
        plot.setBackground(shades.color("panel"))
        for side in ("left", "bottom"):
            axis = plot.getAxis(side)
            axis.setPen(shades.color("border_strong"))
            axis.setTextPen(shades.color("text_muted"))
        colour = shades.color("accent")
        places = [low + (i + 0.5) * step for i in range(len(counts))]
        plot.addItem(pg.BarGraphItem(x=places, height=counts, width=step, brush=colour, pen=colour))
        plot.setXRange(low, high, padding=0.02)
        plot.setYRange(0, max(counts) or 1, padding=0.04)
        plot.show()
