"""Parallel coordinates of a sweep: an axis a parameter and one for the figure, a line a trial in its colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QResizeEvent

from designer.graph.space import Dimension, written
from designer.train.run_list import metric_title
from designer.train.sweep import SweepStatus, Trial
from designer.ui import theme
from designer.ui.sweep_model import short
from designer.ui.theme import SMALL_PX

_BELOW, _ABOVE, _BESIDE = 0.06, 0.16, 0.45
_NEAR_AXIS, _NEAR_LINE = 12, 8
"""Pixels within which the mouse means an axis, or a line."""


@dataclass
class Axis:
    """One axis: what is on it, and where a value lies between 0 and 1."""

    title: str
    kind: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def place(self, value: Any) -> float | None:
        """None for a value that is not there."""
        if self.kind == "choice":
            words = written(value)
            return (self.choices.index(words) + 0.5) / len(self.choices) if words in self.choices else None
        if not isinstance(value, (int, float)):
            return None
        if self.log:
            return (math.log(max(value, self.low)) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and words."""
        if self.kind == "choice":
            return [((i + 0.5) / len(self.choices), choice) for i, choice in enumerate(self.choices)]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        whole = self.kind == "int" and not self.log and middle != int(middle)
        values = (self.low, self.high) if whole else (self.low, middle, self.high)
        return [(self.place(value) or 0.0, f"{value:.3g}") for value in values]


def axis_of(dimension: Dimension) -> Axis:
    """The axis of a parameter."""
    d = dimension
    if d.kind == "choice":
        return Axis(short(d.label), "choice", choices=tuple(map(written, d.choices)))
    return Axis(short(d.label), d.kind, d.low, d.high, d.log)


class ParallelPlot(pg.PlotWidget):
    """Drag along an axis: only trials through that part stay bright; a click there takes it back.

    Signals:
    picked(int): a trial's line was clicked.
    """

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Parallel coordinates of the trials")
        self.setMenuEnabled(False)
        self.hideAxis("left")
        self.hideAxis("bottom")
        self.getPlotItem().hideButtons()
        self._box = self.getPlotItem().getViewBox()
        self._box.setMouseEnabled(False, False)
        self.setMouseTracking(True)
        self.setMinimumSize(200, 90)
        self.axes: list[Axis] = []
        self.places: dict[int, list[float | None]] = {}
        self.brushes: dict[int, tuple[float, float]] = {}
        self.chosen: int | None = None
        self.hovered: int | None = None
        self._space: list[Dimension] = []
        self._status = SweepStatus("idle")
        self._more = True
        self._lines: dict[int, pg.PlotCurveItem] = {}
        self._frame: list[Any] = []
        self._drag: tuple[int, float] | None = None
        self._tip = pg.TextItem(anchor=(0, 1))
        self._tip.setZValue(20)
        self.setBackground(theme.current().panel)
        theme.manager.changed.connect(self._on_theme)

    # -- what is shown -----------------------------------------------------------------------------------------------

    def show_trials(self, space: Sequence[Dimension], status: SweepStatus, *, more: bool = True) -> None:
        """Show these trials; `more` says whether more of the figure is better."""
        if list(space) != self._space:
            self.brushes.clear()
        same = list(space) == self._space and status.trials == self._status.trials
        self._space, self._status, self._more = list(space), status, more
        if not same:
            self._draw()

    def choose(self, number: int | None) -> None:
        """Draw this trial's line thick."""
        if number != self.chosen:
            self.chosen = number
            self._colour()

    def is_kept(self, number: int) -> bool:
        """Whether a trial passes through every part that was dragged."""
        line = self.places[number]
        return all((y := line[i]) is not None and low <= y <= high for i, (low, high) in self.brushes.items())

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._draw()

    def _draw(self) -> None:
        self.setBackground(theme.current().panel)
        self.clear()
        self._lines.clear()
        self.axes = [axis_of(d) for d in self._space]
        figures = [t.metric for t in self._status.trials if t.metric is not None]
        if figures:
            low, high = min(figures), max(figures)
            room = (high - low) * 0.02 or abs(low) * 0.05 or 0.05
            least = max(low - room, 0.0) if low >= 0 else low - room  # no figure is below 0 that cannot be
            self.axes.append(Axis(metric_title(self._status.metric) or "Figure", "float", least, high + room))
        self.places = {trial.number: self._line_of(trial) for trial in self._status.trials}
        self._box.setRange(
            QRectF(-_BESIDE, -_BELOW, max(1, len(self.axes)) - 1 + 2 * _BESIDE, 1 + _BELOW + _ABOVE), padding=0
        )
        for number, line in self.places.items():
            shown = [(x, y) for x, y in enumerate(line) if y is not None]
            if len(shown) > 1:
                self._lines[number] = pg.PlotCurveItem([x for x, _ in shown], [y for _, y in shown])
                self.addItem(self._lines[number])
        self._draw_axes()
        self._colour()
        done = sum(trial.state == "finished" for trial in self._status.trials)
        self.setAccessibleDescription(f"{len(self.places)} trials over {len(self._space)} parameters, {done} finished")

    def _line_of(self, trial: Trial) -> list[float | None]:
        values = [trial.values.get(d.target) for d in self._space]
        values += [trial.metric] if len(self.axes) > len(self._space) else []
        return [axis.place(value) for axis, value in zip(self.axes, values, strict=True)]

    def _draw_axes(self) -> None:
        """Lines, titles and ticks; they keep their size in pixels, so a new width means new ones."""
        for item in self._frame:
            self.removeItem(item)
        self._frame = []
        shades = theme.current()
        font = QFont(self.font())
        font.setPixelSize(SMALL_PX)
        metrics = QFontMetricsF(font)
        room = max(24.0, self.width() / max(1, len(self.axes) - 1 + 2 * _BESIDE) - 12)
        for x, axis in enumerate(self.axes):
            line = pg.PlotCurveItem([x, x], [0, 1], pen=pg.mkPen(shades.border_strong, width=1))
            line.setZValue(5)
            title = axis.title
            if metrics.horizontalAdvance(title) > room:  # rather the name than the node
                name = title.rpartition(": ")[2]
                title = metrics.elidedText(name[:1].upper() + name[1:], Qt.TextElideMode.ElideRight, room + 8)
            self._frame += [line, self._text(title, x, 1.03, shades.text, font, (0.5, 1))]
            for y, words in axis.ticks():
                words = metrics.elidedText(words, Qt.TextElideMode.ElideRight, room)
                side = 1 if x == len(self.axes) - 1 else 0  # the last axis has no room on its right
                self._frame.append(self._text(words, x, y, shades.text_muted, font, (side, 0.5)))
            if x in self.brushes:
                low, high = self.brushes[x]
                width = 6 * self._box.viewPixelSize()[0]
                rect = pg.QtWidgets.QGraphicsRectItem(QRectF(x - width, low, 2 * width, high - low))
                rect.setPen(pg.mkPen(shades.accent))
                rect.setBrush(pg.mkBrush(shades.color("accent", 90)))
                rect.setZValue(6)
                self._frame.append(rect)
        for item in self._frame:
            self.addItem(item, ignoreBounds=True)

    def _text(self, words: str, x: float, y: float, colour: str, font: QFont, anchor: tuple[float, float]) -> Any:
        shade = theme.current().color("panel", 190)
        made = pg.TextItem(words, color=colour, anchor=anchor, fill=shade)
        made.setFont(font)
        away = 6 * self._box.viewPixelSize()[0]
        made.setPos(x + (away if anchor[0] == 0 else -away if anchor[0] == 1 else 0), y)
        made.setZValue(10)
        return made

    def _colour(self) -> None:
        """Give each line its colour: by the figure, faint where it was filtered out."""
        shades = theme.current()
        colours = pg.colormap.get("viridis")
        for trial in self._status.trials:
            line = self._lines.get(trial.number)
            if line is None:
                continue
            place = self.places[trial.number][-1] if len(self.axes) > len(self._space) else None
            if place is None:
                colour = QColor(shades.danger if trial.state == "failed" else shades.text_faint)
            else:
                good = place if self._more else 1 - place
                # The ends of the scale that a theme's background swallows are left out.
                colour = colours.map(0.25 + 0.75 * good if shades.is_dark else 0.85 * good, mode="qcolor")
            strong = trial.number in (self.chosen, self.hovered)
            kept = self.is_kept(trial.number)
            colour.setAlpha(255 if strong else (110 if trial.state in ("pruned", "failed") else 200) if kept else 22)
            style = Qt.PenStyle.SolidLine if place is not None else Qt.PenStyle.DashLine
            line.setPen(pg.mkPen(colour, width=3 if strong else 1.5, style=style))
            line.setZValue(4 if strong else 3 if kept else 1)

    # -- the mouse ---------------------------------------------------------------------------------------------------

    def _view(self, event: QMouseEvent) -> QPointF:
        return self._box.mapSceneToView(QPointF(self.mapToScene(event.position().toPoint())))

    def axis_at(self, point: QPointF) -> int | None:
        """The axis under the mouse."""
        x = round(point.x())
        near = abs(point.x() - x) < _NEAR_AXIS * self._box.viewPixelSize()[0]
        return x if 0 <= x < len(self.axes) and near else None

    def line_at(self, point: QPointF) -> int | None:
        """The trial whose line is nearest to the mouse, within a few pixels."""
        left = math.floor(point.x())
        if not 0 <= left < len(self.axes) - 1:
            return None
        share, pixel = point.x() - left, self._box.viewPixelSize()[1]
        best, distance = None, _NEAR_LINE * pixel
        for number, line in self.places.items():
            a, b = line[left], line[left + 1]
            if a is None or b is None or not self.is_kept(number):
                continue
            slope = (b - a) / pixel * self._box.viewPixelSize()[0]
            away = abs(a + (b - a) * share - point.y()) / math.sqrt(1 + slope * slope)
            if away < distance:
                best, distance = number, away
        return best

    def mousePressEvent(self, event: QMouseEvent) -> None:
        point = self._view(event)
        axis = self.axis_at(point)
        if axis is not None and event.button() == Qt.MouseButton.LeftButton:
            self._drag = axis, point.y()
        elif (line := self.line_at(point)) is not None:
            self.picked.emit(line)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        point = self._view(event)
        if self._drag is not None:
            axis, began = self._drag
            low, high = sorted((began, point.y()))
            self.brush(axis, low, high)
            return
        on_axis = self.axis_at(point) is not None
        self.setCursor(Qt.CursorShape.SizeVerCursor if on_axis else Qt.CursorShape.ArrowCursor)
        self._hover(None if on_axis else self.line_at(point), point)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._drag is not None:
            axis, began = self._drag
            self._drag = None
            if abs(self._view(event).y() - began) < 4 * self._box.viewPixelSize()[1]:  # a click
                self.brush(axis, 0, 0)

    def brush(self, axis: int, low: float, high: float) -> None:
        """Keep the trials between two places (0 to 1) of an axis; an empty part keeps all."""
        if high > low:
            self.brushes[axis] = low, high
        else:
            self.brushes.pop(axis, None)
        self._draw_axes()
        self._colour()

    def _hover(self, number: int | None, point: QPointF) -> None:
        if number != self.hovered:
            self.hovered = number
            self._colour()
        trial = self._status.trial(number)
        if trial is None:
            self._tip.hide()
            return
        if self._tip.scene() is None:
            self.addItem(self._tip, ignoreBounds=True)
        figure = f" · {metric_title(self._status.metric)} {trial.metric:.4f}" if trial.metric is not None else ""
        self._tip.setText(f" Trial {trial.number + 1}{figure} ", theme.current().text)
        self._tip.fill = pg.mkBrush(theme.current().raised)
        self._tip.border = pg.mkPen(theme.current().border_strong)
        self._tip.setAnchor((1 if point.x() > (len(self.axes) - 1) / 2 else 0, 1 if point.y() < 0.7 else -0.2))
        self._tip.setPos(point)
        self._tip.show()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hover(None, QPointF())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if getattr(self, "axes", None):
            self._draw_axes()
