"""A graph of a model file as it is drawn: rectangles, courses and texts, found by where they are. Batched by colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen

from designer.ui.theme import SMALL_PX, Theme, mono_font

FAR, NEAR = 0.22, 0.6
"""Scales: below the first, cards are dots and wires are straight; from the second on, texts are drawn."""
RADIUS = 6.0
_STRIPE = QRectF(8, 8, 4, 14)
_TEXT_X, _TITLE_Y, _LINE_Y, _LINE = 18.0, 20.0, 38.0, 15.0


class GraphScene:
    """Everything of one drawing of the engine.

    Attributes:
        nodes: as the engine gives them, in the order of the file.
        area: the smallest rectangle around all.
    """

    def __init__(self, drawing: Mapping[str, Any], theme: Theme) -> None:
        self.nodes: list[dict[str, Any]] = drawing["nodes"]
        self.wires: list[dict[str, Any]] = drawing["wires"]
        self.values: dict[str, Any] = drawing["values"]
        self.index = {node["id"]: i for i, node in enumerate(self.nodes)}
        self.rects = [QRectF(n["x"], n["y"], n["width"], n["height"]) for n in self.nodes]
        self.after: dict[int, list[int]] = {}
        self.before: dict[int, list[int]] = {}
        for wire in self.wires:
            a, b = self.index[wire["source"]], self.index[wire["target"]]
            self.after.setdefault(a, []).append(b)
            self.before.setdefault(b, []).append(a)
        self._boxes = _boxes([[(r.left(), r.top()), (r.right(), r.bottom())] for r in self.rects])
        self._wire_boxes = _boxes([wire["points"] for wire in self.wires])
        self._paths: dict[int, QPainterPath] = {}
        self._texts: dict[int, tuple[str, list[str]]] = {}
        self._labels = self._shape_labels()
        self._lines = [QLineF(QPointF(*p), QPointF(*q)) for wire in self.wires for p, q in pairwise(wire["points"])]
        whole = QRectF()
        for rect in self.rects:
            whole = whole.united(rect)
        self.area = whole
        self.title_font, self.small_font = QFont(), mono_font(SMALL_PX - 1)
        self.title_font.setPixelSize(SMALL_PX)
        self.title_font.setWeight(QFont.Weight.DemiBold)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self._fills: dict[str, list[int]] = {}
        for i, node in enumerate(self.nodes):
            self._fills.setdefault(theme.category(node["kind"]), []).append(i)
        self._far_rects = {colour: [self.rects[i] for i in found] for colour, found in self._fills.items()}

    # -- finding -------------------------------------------------------------------------------------------------------

    def seen(self, area: QRectF) -> list[int]:
        """The nodes that this rectangle touches."""
        return _touched(self._boxes, area)

    def at(self, point: QPointF) -> int | None:
        found = self.seen(QRectF(point.x() - 2, point.y() - 2, 4, 4))
        return found[0] if found else None

    def matches(self, words: str) -> list[int]:
        """Nodes whose operator, name or one of whose values has all of these words, in the order of the file."""
        wanted = words.lower().split()
        return [i for i, node in enumerate(self.nodes) if all(w in _searched(node) for w in wanted)] if wanted else []

    def beside(self, node: int, by: int) -> int | None:
        """The next node to the right (1) or left (-1) in the same row."""
        here = self.rects[node]
        row = self.seen(QRectF(self.area.left(), here.center().y() - 1, self.area.width(), 2))
        side = [i for i in row if (self.rects[i].left() - here.left()) * by > 0]
        return min(side, key=lambda i: abs(self.rects[i].left() - here.left()), default=None)

    # -- drawing -------------------------------------------------------------------------------------------------------

    def draw(
        self, painter: QPainter, area: QRectF, scale: float, chosen: int | None, found: Iterable[int], smooth: bool
    ) -> None:
        """Draws what this rectangle touches."""
        if scale < FAR:
            self._draw_far(painter)
        else:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, smooth)
            self._draw_wires(painter, area, chosen)
            seen = self.seen(area)
            if scale < NEAR:
                self._draw_blocks(painter, seen)
            else:
                self._draw_cards(painter, seen, smooth)
                self._draw_labels(painter, area)
        self._draw_marks(painter, chosen, found, scale)

    def _draw_far(self, painter: QPainter) -> None:
        """As lines and rectangles, one call a colour: 1,700 nodes take 2 ms."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(QPen(self.theme.color("wire", 130), 0))
        painter.drawLines(self._lines)
        painter.setPen(Qt.PenStyle.NoPen)
        for colour, rects in self._far_rects.items():
            painter.setBrush(QColor(colour))
            painter.drawRects(rects)

    def _draw_wires(self, painter: QPainter, area: QRectF, chosen: int | None) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        plain, lit = QPen(self.theme.color("wire"), 1.4), QPen(self.theme.color("accent"), 2.4)
        name = self.nodes[chosen]["id"] if chosen is not None else ""
        own = []
        painter.setPen(plain)
        for i in _touched(self._wire_boxes, area):
            if name and name in (self.wires[i]["source"], self.wires[i]["target"]):
                own.append(i)
            else:
                painter.drawPath(self._path(i))
        painter.setPen(lit)
        for i in own:
            painter.drawPath(self._path(i))

    def _path(self, wire: int) -> QPainterPath:
        """Down from the source, level through its lanes, down into the target."""
        path = self._paths.get(wire)
        if path is None:
            points = [QPointF(*p) for p in self.wires[wire]["points"]]
            path = QPainterPath(points[0])
            for a, b in pairwise(points):
                middle = (a.y() + b.y()) / 2
                path.cubicTo(QPointF(a.x(), middle), QPointF(b.x(), middle), b)
            self._paths[wire] = path
        return path

    def _draw_blocks(self, painter: QPainter, seen: list[int]) -> None:
        kinds: dict[str, list[QRectF]] = {}
        for i in seen:
            kinds.setdefault(self.nodes[i]["kind"], []).append(self.rects[i])
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        for kind, rects in kinds.items():
            painter.setBrush(QColor(self.theme.category(kind)))
            painter.drawRects(rects)

    def _draw_cards(self, painter: QPainter, seen: list[int], smooth: bool) -> None:
        theme = self.theme
        rects = [self.rects[i] for i in seen]
        painter.setPen(QPen(theme.color("border_strong"), 1))
        painter.setBrush(theme.color("surface" if theme.is_dark else "raised"))
        if smooth:
            for rect in rects:
                painter.drawRoundedRect(rect, RADIUS, RADIUS)
        else:
            painter.drawRects(rects)
        for i, rect in zip(seen, rects, strict=True):
            painter.fillRect(_STRIPE.translated(rect.topLeft()), QColor(theme.category(self.nodes[i]["kind"])))
        texts = [self._text(i) for i in seen]
        painter.setPen(theme.color("text"))
        painter.setFont(self.title_font)
        for rect, (title, _) in zip(rects, texts, strict=True):
            painter.drawText(rect.topLeft() + QPointF(_TEXT_X, _TITLE_Y), title)
        painter.setPen(theme.color("text_muted"))
        painter.setFont(self.small_font)
        for rect, (_, lines) in zip(rects, texts, strict=True):
            for number, line in enumerate(lines):
                painter.drawText(rect.topLeft() + QPointF(_TEXT_X, _LINE_Y + number * _LINE), line)

    def _text(self, node: int) -> tuple[str, list[str]]:
        """Title and lines, cut to the card; made when they are first seen."""
        made = self._texts.get(node)
        if made is None:
            room = self.rects[node].width() - _TEXT_X - 6
            cut = Qt.TextElideMode.ElideRight
            title = QFontMetricsF(self.title_font).elidedText(self.nodes[node]["title"], cut, room)
            small = QFontMetricsF(self.small_font)
            made = title, [small.elidedText(line, cut, room) for line in self.nodes[node]["lines"]]
            self._texts[node] = made
        return made

    def _shape_labels(self) -> list[tuple[QPointF, str]]:
        """One for each value that leaves a node, beside its wire."""
        labels: dict[tuple[str, str], tuple[QPointF, str]] = {}
        for wire in self.wires:
            sizes = self.values.get(wire["value"], {}).get("shape")
            if sizes is not None and not wire["source"].startswith("input "):
                at = QPointF(*wire["points"][0]) + QPointF(6, 15)
                labels.setdefault((wire["source"], wire["value"]), (at, "×".join(map(str, sizes)) or "scalar"))
        return list(labels.values())

    def _draw_labels(self, painter: QPainter, area: QRectF) -> None:
        painter.setPen(self.theme.color("text_muted"))
        painter.setFont(self.small_font)
        ground, letter = self.theme.color("canvas", 210), QFontMetricsF(self.small_font).averageCharWidth()
        around = area.adjusted(-200, -20, 20, 20)
        for at, text in self._labels:
            if around.contains(at):
                painter.fillRect(QRectF(at.x() - 2, at.y() - 11, letter * len(text) + 4, 14), ground)
                painter.drawText(at, text)

    def _draw_marks(self, painter: QPainter, chosen: int | None, found: Iterable[int], scale: float) -> None:
        """What was found, and what is chosen, at least some pixels large at any scale."""
        grow = max(3.0, 3.0 / scale)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self.theme.color("warning"), max(2.0, 2.0 / scale)))
        painter.drawRects([self.rects[i].adjusted(-grow, -grow, grow, grow) for i in found])
        if chosen is not None:
            painter.setPen(QPen(self.theme.color("accent"), max(2.5, 2.5 / scale)))
            painter.drawRect(self.rects[chosen].adjusted(-grow, -grow, grow, grow))


def _boxes(shapes: list[list[tuple[float, float]]]) -> np.ndarray:
    """Left, top, right and bottom of each list of points: [N, 4]."""
    found = [(min(x for x, _ in s), min(y for _, y in s), max(x for x, _ in s), max(y for _, y in s)) for s in shapes]
    return np.array(found, dtype=np.float64).reshape(-1, 4)


def _touched(boxes: np.ndarray, area: QRectF) -> list[int]:
    hit = (boxes[:, 0] <= area.right()) & (boxes[:, 2] >= area.left())
    hit &= (boxes[:, 1] <= area.bottom()) & (boxes[:, 3] >= area.top())
    return [int(i) for i in np.flatnonzero(hit)]


def _searched(node: Mapping[str, Any]) -> str:
    ports = (name for side in ("inputs", "outputs") for _, name in node.get(side, ()))
    return " ".join((node["title"], node.get("name", ""), *ports)).lower()
