"""The window's bottom line: the model's size, the zoom, what the canvas is doing and how the engine is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QLabel, QStatusBar

from designer.ui import glyphs, theme, wording
from designer.ui.widgets import button

_ENGINE = {
    "starting": ("loading", "text_muted", "Engine starting…"),
    "ready": ("check-circle-outline", "success", "Engine ready"),
    "busy": ("progress-clock", "info", "Engine working…"),
    "restarting": ("restart-alert", "warning", "Engine restarting…"),
    "failed": ("alert-circle-outline", "danger", "Engine stopped"),
}


class StatusLine(QStatusBar):
    """Signals:
    zoom_clicked(): the zoom figure was pressed.
    """

    zoom_clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setSizeGripEnabled(False)
        self.params = QLabel()
        self.params.setToolTip("Trainable values of the whole model")
        self.macs = QLabel()
        self.macs.setToolTip("Multiply-accumulates of one image")
        self.memory = QLabel()
        self.memory.setToolTip("Activation memory that one image needs in training")
        self.zoom = button("100 %", "ghost", tip="Zoom; click for 100 %")
        self.zoom.setProperty("look", "small")
        self.zoom.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.zoom.clicked.connect(self.zoom_clicked)
        self.engine_sign = QLabel()
        self.engine = QLabel()
        for widget in (self.params, self.macs, self.memory, self.zoom, self.engine_sign, self.engine):
            self.addPermanentWidget(widget)
        self._state, self._detail = "starting", ""
        self.show_engine("starting")
        self.show_totals({})
        theme.manager.changed.connect(self._on_theme)

    def show_totals(self, totals: Mapping[str, Any]) -> None:
        """`params`, `macs` and `activation_bytes` of the whole document; none are shown while unknown."""
        known = bool(totals)
        self.zoom.setVisible(known)
        self.params.setText(f"{wording.count(totals.get('params'))} parameters" if known else "")
        self.macs.setText(wording.macs(totals.get("macs")) if known else "")
        self.memory.setText(f"{wording.memory(totals.get('activation_bytes'))} activations" if known else "")

    def show_zoom(self, percent: float) -> None:
        self.zoom.setText(f"{percent:.0f} %")

    def _on_theme(self, _theme: theme.Theme) -> None:
        self.show_engine(self._state, self._detail)

    def show_engine(self, state: str, detail: str = "") -> None:
        """`starting`, `ready`, `busy`, `restarting` or `failed`; `detail` becomes the tooltip."""
        self._state, self._detail = state, detail
        glyph, color, text = _ENGINE[state]
        self.engine_sign.setPixmap(glyphs.icon(glyph, color).pixmap(QSize(14, 14)))
        self.engine.setText(text)
        self.engine.setToolTip(detail or "The engine computes shapes and costs in a process of its own.")
        self.engine.setAccessibleName(text)
