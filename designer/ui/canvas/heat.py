"""Heat: cards coloured by what they cost, with a legend that says what the colours stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QLinearGradient, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QWidget

from designer.ui import wording
from designer.ui.canvas.look import Look
from designer.ui.widgets import column, label, row

KINDS = {
    "": "Off", "params": "Parameters", "macs": "MACs", "activation_bytes": "Activation memory",
    "live.weights.norm": "Weights in training, norm", "live.activations.std": "Activations in training, spread",
    "live.activations.zeros": "Activations in training, zeros", "live.gradients.norm": "Gradients in training, norm",
}  # fmt: skip
"""What cards can be coloured by: field of the engine's answer about a node, or of what a run measured, and its name."""


def figure(kind: str, value: float) -> str:
    """A value in the unit of its kind."""
    if kind.startswith("live."):
        return f"{value:.0%}" if kind.endswith(".zeros") else f"{value:.3g}"
    return {"params": wording.count, "macs": wording.macs, "activation_bytes": wording.memory}[kind](value)


def value_of(info: Mapping[str, Any], kind: str) -> float:
    """A node's value of a kind; 0 where it has none."""
    found: Any = info
    for name in kind.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found or 0)


def heats(result: Mapping[str, Any], kind: str) -> dict[str, float]:
    """How hot each node is, 0 to 1 of the costliest; a root keeps the small apart from nothing."""
    values = {node: value_of(info, kind) for node, info in result.get("nodes", {}).items()}
    most = max(values.values(), default=0.0)
    return {node: (value / most) ** 0.5 if most else 0.0 for node, value in values.items()}


class HeatLegend(QFrame):
    """Names the kind, shows the scale from nothing to the most, and the sum."""

    def __init__(self, parent: QWidget, look: Look) -> None:
        super().__init__(parent)
        self.setProperty("look", "card")
        self.name, self.total = label("", "section"), label("", "muted")
        self.scale = _Scale(look)
        self.least, self.most = label("0", "muted"), label("", "muted")
        self.setLayout(
            column(
                row(self.name, 1, self.total), self.scale, row(self.least, 1, self.most), margins=(10, 8, 10, 8), gap=4
            )
        )
        self.setFixedWidth(244)
        self.hide()

    def show_heat(self, result: Mapping[str, Any], kind: str, look: Look) -> None:
        """Shows the legend of a kind, or hides it for none."""
        self.setVisible(bool(kind))
        if not kind:
            return
        values = [value_of(info, kind) for info in result.get("nodes", {}).values()]
        self.name.setText(KINDS[kind])
        self.most.setText(figure(kind, max(values, default=0.0)))
        live = kind.startswith("live.")
        known = f"{figure(kind, sum(values))} in all"
        self.total.setText(("" if any(values) else "no run yet") if live else known)
        self.scale.look = look
        self.scale.update()
        self.adjustSize()


class _Scale(QWidget):
    """The colours from nothing to the most."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.setFixedHeight(10)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = QLinearGradient(0, 0, self.width(), 0)
        for step in range(9):
            # Along the bar the values grow evenly, as the numbers under it do; colours go by the root.
            colours.setColorAt(step / 8, self.look.heat((step / 8) ** 0.5))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours)
        painter.drawRoundedRect(QRectF(self.rect()), 3, 3)
