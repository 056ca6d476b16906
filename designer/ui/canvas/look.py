"""The theme's colours and fonts as the Qt objects that painting needs, made once a theme."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QApplication

from designer.ui.theme import Theme

# (on light, on dark). A feature map, which most wires carry, stays calm; the others can be told apart at a glance.
_KINDS = {
    "tokens": ("#7c3aed", "#a78bfa"),
    "vector": ("#0e7490", "#22c3dd"),
    "ids": ("#a16207", "#eab308"),
    "wave": ("#be185d", "#f472b6"),
    "spectrogram": ("#15803d", "#4ade80"),
    "predictions": ("#c2410c", "#fb923c"),
    "detections": ("#0f766e", "#2dd4bf"),
    "masks": ("#4d7c0f", "#a3e635"),
}
BLOCK_FONTS = (27, 23, 19, 16, 13)
"""Pixel sizes of a title that has the card to itself; the largest that fits is taken."""
TINT = 0.24
"""Share of the category's colour in a card that is drawn as a plain block."""


class Look:
    """Colours by role, pens, fonts with their metrics."""

    def __init__(self, theme: Theme) -> None:
        self.theme = theme
        self.canvas, self.grid = theme.color("canvas"), theme.color("border")
        self.card, self.edge = theme.color("surface" if theme.is_dark else "panel"), theme.color("border_strong")
        self.rule = theme.color("border")
        self.text, self.muted, self.faint = theme.color("text"), theme.color("text_muted"), theme.color("text_faint")
        self.accent, self.danger = theme.color("accent"), theme.color("danger")
        self.halo = theme.color("accent", 70 if theme.is_dark else 46)
        self.shadow = theme.color("shadow", 70 if theme.is_dark else 22)
        self.on_badge = theme.color("canvas")
        self.ice = theme.color("info")
        self._kinds = {kind: QColor(pair[theme.is_dark]) for kind, pair in _KINDS.items()}
        self._kinds["map"] = theme.color("wire")
        self._severities = {"error": theme.color("danger"), "warning": theme.color("warning")}
        self._categories: dict[str, QColor] = {}
        self._blends: dict[tuple[int, int, float], QColor] = {}
        self._pens: dict[tuple[int, float, Qt.PenStyle], QPen] = {}
        self._tiles: dict[int, QPixmap] = {}
        self.title, self.small = _font(13, QFont.Weight.DemiBold), _font(11)
        self.sign = _font(10, QFont.Weight.Bold)
        self.title_metrics, self.small_metrics = QFontMetricsF(self.title), QFontMetricsF(self.small)
        self.blocks = [(font, QFontMetricsF(font)) for font in (_font(s, QFont.Weight.DemiBold) for s in BLOCK_FONTS)]

    def kind(self, kind: str) -> QColor:
        """The colour of a port kind."""
        return self._kinds.get(kind, self.faint)

    def severity(self, severity: str) -> QColor | None:
        """The colour of `error` or `warning`; None for neither."""
        return self._severities.get(severity)

    def category(self, category: str) -> QColor:
        """The colour of a component's category."""
        if category not in self._categories:
            self._categories[category] = QColor(self.theme.category(category))
        return self._categories[category]

    def blend(self, colour: QColor, ground: QColor, share: float) -> QColor:
        """`share` of one colour over another, opaque."""
        key = (colour.rgb(), ground.rgb(), share)
        if key not in self._blends:
            parts = zip(colour.getRgbF()[:3], ground.getRgbF()[:3], strict=True)
            self._blends[key] = QColor.fromRgbF(*(share * a + (1 - share) * b for a, b in parts))
        return self._blends[key]

    def pen(self, colour: QColor, width: float, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
        """A pen, made once."""
        key = (colour.rgba(), width, style)
        if key not in self._pens:
            pen = QPen(colour, width, style)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap if style == Qt.PenStyle.SolidLine else Qt.PenCapStyle.FlatCap)
            self._pens[key] = pen
        return self._pens[key]

    def dots(self, step: int) -> QPixmap:
        """One tile of the dot grid, `step` pixels wide."""
        if step not in self._tiles:
            tile = QPixmap(step, step)
            tile.fill(self.canvas)
            painter = QPainter(tile)
            painter.fillRect(0, 0, 2, 2, self.grid)
            painter.end()
            self._tiles[step] = tile
        return self._tiles[step]


def _font(pixels: int, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    font = QFont(QApplication.font())
    font.setPixelSize(pixels)
    font.setWeight(weight)
    # Letters keep their width at every zoom, so that text which fits at one fits at all.
    font.setHintingPreference(QFont.HintingPreference.PreferVerticalHinting)
    return font
