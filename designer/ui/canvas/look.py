"""The theme's colours and fonts as the Qt objects that painting needs, made once a theme."""

from __future__ import annotations

from PySide6.QtGui import QColor, QFont, QFontMetricsF
from PySide6.QtWidgets import QApplication

from designer.ui.theme import Theme

_KINDS = {
    "map": "wire",
    "tokens": "accent",
    "vector": "info",
    "predictions": "warning",
    "detections": "success",
    "masks": "success",
}


class Look:
    """Colours by role, fonts with their metrics."""

    def __init__(self, theme: Theme) -> None:
        self.theme = theme
        self.canvas, self.grid = theme.color("canvas"), theme.color("border")
        self.card, self.edge = theme.color("surface"), theme.color("border_strong")
        self.text, self.muted, self.faint = theme.color("text"), theme.color("text_muted"), theme.color("text_faint")
        self.selected, self.danger = theme.color("accent"), theme.color("danger")
        self.shadow = theme.color("shadow", 90 if theme.is_dark else 28)
        self._kinds = {kind: theme.color(name) for kind, name in _KINDS.items()}
        self._severities = {"error": theme.color("danger"), "warning": theme.color("warning")}
        self._categories: dict[str, QColor] = {}
        font = QApplication.font()
        self.bold, self.small = QFont(font), QFont(font)
        self.bold.setPixelSize(13)
        self.bold.setWeight(QFont.Weight.DemiBold)
        self.small.setPixelSize(11)
        self.bold_metrics, self.small_metrics = QFontMetricsF(self.bold), QFontMetricsF(self.small)

    def kind(self, kind: str) -> QColor:
        return self._kinds.get(kind, self.muted)

    def severity(self, severity: str) -> QColor | None:
        return self._severities.get(severity)

    def category(self, category: str) -> QColor:
        if category not in self._categories:
            self._categories[category] = QColor(self.theme.category(category))
        return self._categories[category]

    def hollow(self, colour: QColor) -> QColor:
        """The inside of a port without a wire: its colour, sunk into the card."""
        mixed = QColor(self.card)
        share = 0.35
        mixed.setRgbF(
            *(share * a + (1 - share) * b for a, b in zip(colour.getRgbF()[:3], mixed.getRgbF()[:3], strict=True))
        )
        return mixed
