"""Everything that is seen of a run: curves, optimizer, speed, and its last evaluation class by class."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QTabWidget, QWidget

from designer.train.run import RunFolder
from designer.ui.curves import Curves, Plot
from designer.ui.live_quality import ClassTable, MatrixPage, QualityCurves
from designer.ui.widgets import row


class LiveTabs(QTabWidget):
    """Tabs over the curves of a run; hidden ones are drawn when they are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.setDocumentMode(True)
        self.setAccessibleName("Views of the run")
        self.curves = Curves()
        self.norm = Plot("Gradient norm", "step", smooth=True)
        self.rates = Plot("Learning rate", "step", smooth=False, marked=False)
        self.speed = Plot("Images a second", "step", smooth=True)
        self.waiting = Plot("Share of time waiting for data", "step", smooth=True)
        self.waiting.fix_range(0, 1)
        self.memory = Plot("GPU memory, MB", "step", smooth=False, marked=False)
        self.memory.hide()
        self.classes, self.matrix, self.quality = ClassTable(), MatrixPage(), QualityCurves()
        self._read: tuple[Path, int] | None = None
        for page, name in (
            (self.curves, "Curves"),
            (_side_by_side(self.norm, self.rates), "Optimizer"),
            (_side_by_side(self.speed, self.waiting, self.memory), "Speed"),
            (self.classes, "Classes"),
            (self.matrix, "Confusion"),
            (self.quality, "PR and F1"),
        ):
            self.addTab(page, name)

    @property
    def _by_step(self) -> tuple[Plot, ...]:
        return self.norm, self.rates, self.speed, self.waiting, self.memory

    def reset(self) -> None:
        """Another run comes."""
        self.curves.reset()
        for plot in self._by_step:
            plot.reset()
        self.memory.hide()
        self._read = None
        self._show_quality({})

    def show_events(self, events: Iterable[Mapping[str, Any]], run: RunFolder | None = None) -> None:
        """Add what these events say; after an evaluation its file in the run's folder is read."""
        events = list(events)
        self.curves.show_events(events)
        for event in events:
            if event.get("type") == "start" and event.get("resumed_from") is not None:
                for plot in self._by_step:
                    plot.cut(event["resumed_from"] + 1)
            elif event.get("type") == "step":
                self._add_step(event)
        if any(event.get("type") == "step" for event in events):
            for plot in self._by_step:
                plot.redraw()
        if run is not None and any(event.get("type") in ("metrics", "start") for event in events):
            self._look_at(run.evaluation_path)

    def _add_step(self, event: Mapping[str, Any]) -> None:
        step = event["step"]
        rates = event.get("lrs") or [event.get("lr")]
        names = {1: ["rate"], 2: ["highest", "lowest"]}.get(len(rates), [f"group {i + 1}" for i in range(len(rates))])
        shown = dict(zip(names, rates, strict=True))
        for plot, values in (
            (self.norm, {"norm": event.get("grad_norm")}),
            (self.rates, shown),
            (self.speed, {"images/s": event.get("images_per_s")}),
            (self.waiting, {"waiting": event.get("waiting")}),
            (self.memory, {"most used": event.get("gpu_mb")}),
        ):
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    plot.add(name, step, float(value))
        if event.get("gpu_mb") is not None and self.memory.isHidden():
            self.memory.show()

    def _look_at(self, path: Path) -> None:
        try:
            stamp = path, path.stat().st_mtime_ns
            if stamp == self._read:
                return
            quality = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        self._read = stamp
        self._show_quality(quality)

    def _show_quality(self, quality: Mapping[str, Any]) -> None:
        for view in (self.classes, self.matrix, self.quality):
            view.show_quality(quality)
        self.setTabVisible(self.indexOf(self.quality), not quality or "precision" in quality)


def _side_by_side(*plots: QWidget) -> QWidget:
    page, box = QWidget(), row(*plots, gap=0)
    for place in range(len(plots)):
        box.setStretch(place, 1)
    page.setLayout(box)
    return page
