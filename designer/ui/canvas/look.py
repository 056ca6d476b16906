"""The theme's colours and fonts as the Qt objects that painting needs, made once a theme."""

from __future__ import annotations

from typing import NamedTuple

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
    "mask_predictions": ("#9f1239", "#fb7185"),
    "mask_detections": ("#4d7c0f", "#a3e635"),
}
BLOCK_FONTS = (27, 24, 20, 17, 15, 13)
"""Pixel sizes of a title that has the card to itself; the largest that fits is taken."""
LABEL_HEIGHT = 15.0
"""Of a shape on a wire, from near."""
_HOTTEST = 0.72
"""Share of the hot colour in the costliest card."""
TINT = 0.24
"""Share of the category's colour in a card that is drawn as a plain block."""

_BANDS = (
    (0.85, 13, 11, 11),
    (0.70, 17, 13, 13),
    (0.58, 20, 16, 16),
    (0.48, 24, 18, 19),
    (0.40, 27, 18, 20),
    (0.33, 27, 0, 26),
    (0.27, 27, 0, 31),
    (0.00, 27, 0, 0),
)
"""Lowest scale; sizes of titles, of small texts and of shapes on wires that can still be read there, 0 for none."""
_NARROW = 80
"""Percent of its width that a shape takes from afar: between two columns there is room for nine digits."""


class Band(NamedTuple):
    """A range of scales and the fonts, in scene units, that keep texts readable in it.

    Attributes:
        low: the scale that it begins at.
        title: size of titles that have room; `Look.blocks` has the fonts.
        small: for subtitles and port names.
        shape: for shapes on wires.
        shape_height: height of a shape's box; 0 where shapes cannot be read.
        is_near: whether cards and shapes are drawn in full.
    """

    low: float
    title: int
    small: QFont
    small_metrics: QFontMetricsF
    shape: QFont
    shape_metrics: QFontMetricsF
    shape_height: float
    is_near: bool

    @property
    def has_ports(self) -> bool:
        """Whether port names can be read."""
        return self.low >= _BANDS[3][0]

    @property
    def has_subtitles(self) -> bool:
        """Whether a card has room for two lines."""
        return self.low >= _BANDS[2][0]


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
        self.ice, self.ink = theme.color("info"), theme.color("warning")
        self._hot = QColor("#d9480f" if theme.is_dark else "#f76707")
        self._kinds = {kind: QColor(pair[theme.is_dark]) for kind, pair in _KINDS.items()}
        self._kinds["map"] = theme.color("wire")
        self._severities = {"error": theme.color("danger"), "warning": theme.color("warning")}
        self._categories: dict[str, QColor] = {}
        self._blends: dict[tuple[int, int, float], QColor] = {}
        self._pens: dict[tuple[int, float, Qt.PenStyle], QPen] = {}
        self._wire_pens: dict[tuple[str, float, bool, bool, bool], QPen] = {}
        self._tiles: dict[int, QPixmap] = {}
        self.title, self.small = _font(13, QFont.Weight.DemiBold), _font(11)
        self.sign = _font(10, QFont.Weight.Bold)
        self.title_metrics, self.small_metrics = QFontMetricsF(self.title), QFontMetricsF(self.small)
        self.blocks = [(font, QFontMetricsF(font)) for font in (_font(s, QFont.Weight.DemiBold) for s in BLOCK_FONTS)]
        self.note = _font(14)
        self.note_metrics = QFontMetricsF(self.note)
        self.bands = [_band(*row) for row in _BANDS]

    def band(self, scale: float) -> Band:
        """The fonts for a scale, in pixels a scene unit."""
        return next(band for band in self.bands if scale >= band.low - 1e-6)

    def title_font(self, largest: int) -> tuple[QFont, QFontMetricsF]:
        """The font of titles that have room, no larger than a size in scene units."""
        return next(((f, m) for f, m in self.blocks if f.pixelSize() <= largest), self.blocks[-1])

    def fitting_font(self, text: str, room: float, largest: int) -> tuple[QFont, QFontMetricsF]:
        """The largest font up to a size in which a title has room; the smallest where it has none."""
        fonts = [(f, m) for f, m in self.blocks if f.pixelSize() <= largest]
        return next(((f, m) for f, m in fonts if m.horizontalAdvance(text) <= room), fonts[-1])

    def kind(self, kind: str) -> QColor:
        """The colour of a port kind."""
        return self._kinds.get(kind, self.faint)

    def heat(self, amount: float) -> QColor:
        """The colour of a card from 0, cold, to 1, the hottest; text on it can be read at both ends."""
        return self.blend(self._hot, self.card, round(amount * _HOTTEST, 2))

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

    def wire_pen(self, kind: str, width: float, strong: bool, bypassed: bool, wrong: bool) -> QPen:
        """The pen of a wire: selected, past a node that is bypassed, not fitting; made once."""
        key = (kind, width, strong, bypassed, wrong)
        if key not in self._wire_pens:
            colour = self.danger if wrong else self.accent if strong else self.kind(kind)
            style = Qt.PenStyle.DashLine if wrong else Qt.PenStyle.DotLine if bypassed else Qt.PenStyle.SolidLine
            self._wire_pens[key] = self.pen(colour, width + (0.8 if strong else 0), style)
        return self._wire_pens[key]

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


def _band(low: float, title: int, small: int, shape: int) -> Band:
    near = low == _BANDS[0][0]
    small_font, shape_font = _font(small or 1), _font(shape or 1)
    if not near:
        shape_font.setStretch(_NARROW)
    # From afar a box is as high as digits need: the wires of a pyramid's levels lie 20 units apart.
    height = LABEL_HEIGHT if near else round(shape * 0.98)
    return Band(low, title, small_font, QFontMetricsF(small_font), shape_font, QFontMetricsF(shape_font), height, near)
