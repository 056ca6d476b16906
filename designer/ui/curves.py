"""The live curves of a run: the loss and its terms by step, the metrics by epoch.

pyqtgraph takes some 0.4 s to import, so `main_window` makes this widget when the Train tab is first shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QWidget

from designer.train.events import METRICS
from designer.ui import theme, wording
from designer.ui.saving import ask_where_to_save, quoted
from designer.ui.series import Series
from designer.ui.theme import SMALL_PX
from designer.ui.widgets import column, label, row, tool

pg.setConfigOptions(antialias=True)

_MOST_MEANS = 400
"""Of a running mean, which is smooth, and by far the slowest to draw."""

_FRAME_MS = 16
_AHEAD, _FULL, _SLACK = 0.08, 0.8, 0.01
"""Shares of an axis: what it gains when curves outgrow it, what they have to fill of it, what its margin holds."""

_EMPTY = {
    "epoch": "The first epoch has not ended yet.", "step": "No steps yet.", "learning rate": "No steps yet.",
}  # fmt: skip


class WholeAxis(pg.AxisItem):
    """An axis of steps or epochs: no ticks between whole numbers."""

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        return [level for level in super().tickSpacing(low, high, size) if level[0] >= 1] or [(1, 0)]


class SteadyView(pg.ViewBox):
    """A view that grows ahead of its curves: ticks that moved with every step would cost half of a frame each time."""

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self._bounds: list[list[float] | None] = [None, None]

    def forget(self) -> None:
        """Start from what the curves need, as for another run."""
        self._bounds = [None, None]

    def childrenBounds(self, *args: Any, **kwargs: Any) -> list[list[float] | None]:
        needed = super().childrenBounds(*args, **kwargs)
        self._bounds = [_ahead(*both) for both in zip(needed, self._bounds, strict=True)]
        return [bounds and list(bounds) for bounds in self._bounds]  # the caller changes them


def _ahead(needed: list[float] | None, had: list[float] | None) -> list[float] | None:
    """The range that is had while it holds the needed and not much else; then the needed, with more where it grew."""
    if needed is None or had is None:
        return needed
    (low, high), span = needed, needed[1] - needed[0]
    below, above = low < had[0] - _SLACK * span, high > had[1] + _SLACK * span
    if not below and not above and span >= _FULL * (had[1] - had[0]):
        return had
    return [low - _AHEAD * span * below, high + _AHEAD * span * above]


_GAP = 13
"""Pixels between two entries of a legend."""
_BESIDE = 15 + _GAP
"""What an entry takes beside its text: the dot, and the gap to the next."""


class Legend(QWidget):
    """A coloured dot, a name and the last value of each curve.

    Without room the values give way, then the last names, which are counted; the tooltip has all.
    """

    def __init__(self) -> None:
        super().__init__()
        self._values: list[tuple[str, str]] = []
        font = self.font()
        font.setPixelSize(SMALL_PX)
        self.setFont(font)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(60, 18)

    def show_values(self, values: list[tuple[str, str]]) -> None:
        self._values = values
        self.setAccessibleName(", ".join(f"{name} {value}" for name, value in values))
        self.setToolTip("\n".join(f"{name}  {value}" for name, value in values))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades, metrics = theme.current(), self.fontMetrics()
        texts, left = self._fitting()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x = 0
        for index, text in enumerate(texts):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(shades.series(index)))
            painter.drawEllipse(QRectF(x, self.height() / 2 - 4, 8, 8))
            painter.setPen(shades.color("text_muted"))
            width = metrics.horizontalAdvance(text)
            painter.drawText(QRectF(x + 13, 0, width + 2, self.height()), Qt.AlignmentFlag.AlignVCenter, text)
            x += width + _BESIDE
        if left:
            painter.setPen(shades.color("text_faint"))
            place = QRectF(x, 0, self.width() - x, self.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, f"+{left}")

    def _fitting(self) -> tuple[list[str], int]:
        """The texts for which there is room, and how many are left out."""
        advance = self.fontMetrics().horizontalAdvance
        full = [f"{name} {value}".strip() for name, value in self._values]
        names = [name for name, _ in self._values]
        for texts in (full, *(names[:count] for count in range(len(names), 0, -1))):
            left = len(names) - len(texts)
            needed = sum(advance(text) + _BESIDE for text in texts) - _GAP
            if needed + (_GAP + advance(f"+{left}") if left else 0) <= self.width():
                return texts, left
        return [], len(names)


class Plot(QFrame):
    """One plot with its title, and a legend that names each curve and its last value.

    Args:
        title: of the plot.
        x_name: what is along it, such as `step`.
        smooth: draw a running mean over each curve.
        whole: x is counted, in steps or epochs.
        marked: draw a dot at each point of a curve that has no running mean.
        words: what a curve is called.
    """

    def __init__(
        self, title: str, x_name: str, *, smooth: bool, whole: bool = True, marked: bool = True,
        words: Callable[[str], str] = wording.curve,
    ) -> None:  # fmt: skip
        super().__init__()
        self._marked, self._counted, self._words = marked, whole, words
        self.series: dict[str, Series] = {}
        self._smooth = smooth
        self._lines: dict[str, tuple[pg.PlotDataItem | pg.PlotCurveItem, pg.PlotCurveItem | None]] = {}
        self._steady = SteadyView()
        self._view = pg.PlotWidget(
            viewBox=self._steady, axisItems={"bottom": WholeAxis("bottom")} if whole else {}, enableMenu=False
        )
        self._view.setMinimumSize(160, 90)
        self._view.setAccessibleName(f"{title} by {x_name}")
        self._item = self._view.getPlotItem()
        self._item.hideButtons()
        self._item.getAxis("left").setStyle(maxTickLevel=1)  # five lines across say as much as twenty
        self._view.setToolTip("Wheel or drag: zoom and move. Double click: all of it again.")
        self._view.scene().sigMouseClicked.connect(self._on_click)
        self._item.setDownsampling(auto=True, mode="peak")
        self._item.setClipToView(True)
        self._item.getAxis("bottom").setHeight(22)
        self._item.getAxis("left").setWidth(44)
        self._x_name = x_name
        self._legend = Legend()
        self._empty = label(_EMPTY.get(x_name, "No evaluation yet."), "faint")
        self._title = title
        self.save = tool("export-variant", f"Save {title.lower()} as a picture or as figures (PNG, CSV)")
        self.save.setIconSize(QSize(14, 14))
        self.save.clicked.connect(lambda: ask_where_to_save(self, self._title, self.as_csv))
        self._stale = False
        self._due = QTimer(self)  # the frame in which events are read has no time for curves
        self._due.setSingleShot(True)
        self._due.setInterval(_FRAME_MS)
        self._due.timeout.connect(self._draw)
        self._range: tuple[float, float] | None = None
        self._mark: pg.InfiniteLine | None = None
        heading = row(label(title, "section"), self._empty, self._legend, self.save, gap=12)
        heading.setStretch(2, 1)
        self.setLayout(column(heading, self._view, margins=(8, 4, 8, 4), gap=2))
        self.restyle()
        theme.manager.changed.connect(self._on_theme)

    def add(self, name: str, x: float, y: float) -> None:
        """One more point of the curve `name`; drawn by `redraw`."""
        if name not in self.series:
            self.series[name] = Series(smooth=self._smooth)
        self.series[name].add(x, y)

    def fix_range(self, low: float, high: float) -> None:
        """Show these values whatever the curves do."""
        self._range = low, high
        self._item.setYRange(low, high, padding=0.04)

    def log_x(self) -> None:
        """Let x run in powers of ten; only those have words."""
        self._item.setLogMode(x=True, y=False)
        self._item.getAxis("bottom").setStyle(maxTextLevel=0)

    def mark(self, x: float, tip: str) -> None:
        """A dashed line at x, on an axis in powers of ten; one before it goes."""
        self.unmark()
        pen = pg.mkPen(theme.current().accent, width=1.5, style=Qt.PenStyle.DashLine)
        self._mark = self._item.addLine(x=math.log10(x), pen=pen, label=tip, labelOpts={"position": 0.92})

    def unmark(self) -> None:
        if self._mark is not None:
            self._item.removeItem(self._mark)
        self._mark = None

    def _on_click(self, event: Any) -> None:
        if event.double():
            self._item.enableAutoRange()
            if self._range is not None:
                self.fix_range(*self._range)

    def as_csv(self) -> str:
        """The points of all curves, a row each, for a spreadsheet."""
        lines = [f"curve,{self._x_name},value"]
        for name, series in self.series.items():
            lines += [f"{quoted(name)},{x:g},{y:.8g}" for x, y in zip(series.x, series.y, strict=True)]
        return "\n".join(lines) + "\n"

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self._stale = False
            self._draw()

    def cut(self, x: float) -> None:
        for series in self.series.values():
            series.cut(x)

    def reset(self) -> None:
        self.series.clear()
        self._lines.clear()
        self._due.stop()
        self._item.clear()
        self._steady.forget()
        self._steady.setRange(xRange=(0, 1), padding=0)  # not that of the last curves
        self._steady.setRange(yRange=self._range or (0, 1), padding=0.04)
        self._steady.enableAutoRange(x=True, y=self._range is None)
        self._legend.show_values([])
        self._empty.show()

    def redraw(self) -> None:
        """Bring the curves and the legend up to date, a frame later; what nobody sees waits until it is shown."""
        self._stale = not self.isVisible()
        if not self._stale and not self._due.isActive():
            self._due.start()

    def _draw(self) -> None:
        new = [name for name in self.series if name not in self._lines]
        for name in new:
            self._lines[name] = self._make_lines(len(self._lines))
        for name, (line, mean) in self._lines.items():
            series = self.series[name]
            x = np.array(series.x)
            line.setData(x, np.array(series.y))
            if mean is not None:
                every = 1 + len(x) // _MOST_MEANS
                kept = slice((len(x) - 1) % every, None, every)  # with the last
                mean.setData(x[kept], np.array(series.mean)[kept])
        for _ in range(2):  # a new range moves the curves, which asks for a range: the first paint would cause a second
            self._steady.prepareForPaint()
        if new:
            self._empty.hide()
        values = ((name, (self.series[name].mean or self.series[name].y)[-1:]) for name in self._lines)
        shown = [(self._words(name), _value(last[0]) if last else "–") for name, last in values]
        # The last point of a curve over recall or score says nothing of it.
        self._legend.show_values(shown if self._counted else [(name, "") for name, _ in shown])

    def _make_lines(self, index: int) -> tuple[pg.PlotDataItem | pg.PlotCurveItem, pg.PlotCurveItem | None]:
        color = theme.current().series(index)
        if not self._smooth:
            marks = {"symbol": "o", "symbolSize": 5, "symbolBrush": color, "symbolPen": None} if self._marked else {}
            return self._item.plot(pen=pg.mkPen(color, width=2), **marks), None
        faint = pg.mkColor(color)
        faint.setAlpha(70)
        # Bare curves: `Series` has thinned their points, and smooth edges on what lies under the mean are not seen.
        under = pg.PlotCurveItem(pen=pg.mkPen(faint, width=1), antialias=False)
        over = pg.PlotCurveItem(pen=pg.mkPen(color, width=2), antialias=True)
        self._item.addItem(under)
        self._item.addItem(over, ignoreBounds=True)
        return under, over

    def _on_theme(self, _theme: theme.Theme) -> None:
        self.restyle()

    def restyle(self) -> None:
        """Take the theme's colours."""
        shades = theme.current()
        self._view.setBackground(shades.panel)
        for side in ("left", "bottom"):
            axis = self._item.getAxis(side)
            axis.setPen(shades.border_strong)
            axis.setTextPen(shades.text_muted)
            font = self.font()
            font.setPixelSize(11)
            axis.setTickFont(font)
        self._item.showGrid(x=False, y=True, alpha=0.12)
        for index, (line, mean) in enumerate(self._lines.values()):
            color = pg.mkColor(shades.series(index))
            (mean or line).setPen(pg.mkPen(color, width=2))
            if mean is None:
                line.setSymbolBrush(color if self._marked else None)
            else:
                faint = pg.mkColor(color)
                faint.setAlpha(70)
                line.setPen(pg.mkPen(faint, width=1))
        self._legend.update()


class Curves(QWidget):
    """The loss plot and the metrics plot side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = Plot("Loss", "step", smooth=True)
        self.metrics = Plot("Metrics", "epoch", smooth=False)
        self.metrics.fix_range(0, 1)
        box = row(self.loss, self.metrics, gap=0)
        box.setStretch(0, 1)
        box.setStretch(1, 1)
        self.setLayout(box)

    def reset(self) -> None:
        self.loss.reset()
        self.metrics.reset()

    def show_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Add the `step` and `metrics` events among these; a `start` that resumes cuts the curves back to its step."""
        stepped = measured = False
        for event in events:
            kind = event.get("type")
            if kind == "start" and event.get("resumed_from") is not None:
                self.loss.cut(event["resumed_from"] + 1)
            elif kind == "step":
                self._add_step(event)
            elif kind == "metrics":
                for name in METRICS:
                    if isinstance(value := event["values"].get(name), (int, float)):
                        self.metrics.add(name, event["epoch"] + 1, value)
            stepped, measured = stepped or kind == "step", measured or kind == "metrics"
        if stepped:
            self.loss.redraw()
        if measured:
            self.metrics.redraw()

    def _add_step(self, event: Mapping[str, Any]) -> None:
        losses = event.get("losses") or {}
        for name, value in {"loss": event["loss"], **(losses if len(losses) > 1 else {})}.items():
            if value is not None:  # the trainer writes None for NaN and infinity
                self.loss.add(name, event["step"], value)


def _value(value: float) -> str:
    return f"{value:.3f}" if value == 0 or 0.01 <= abs(value) < 100 else f"{value:.3g}"
