"""The head of the Train tab: Start, Pause, Stop, what the run is doing, how fast, how long yet, and which run it is."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QProgressBar, QSizePolicy, QWidget

from designer.ui import wording
from designer.ui.editors import CalmComboBox
from designer.ui.widgets import ElidedLabel, button, column, row, tool

STATE_TEXT = {
    "idle": "Not started",
    "queued": "Waits in the queue",
    "starting": "Starting the trainer…",
    "running": "Training",
    "paused": "Paused",
    "stopped": "Stopped",
    "finished": "Finished",
    "failed": "Failed",
    "died": "Ended unexpectedly",
}
_ROW = 30
"""Pixels of a button."""
_CAN_RESUME = ("stopped", "failed", "died")


class RunBar(QWidget):
    """Signals:
    start_clicked(): start a new run.
    queue_clicked(): train this too, after the run at work.
    finetune_clicked(): fit a trained model to other data.
    resume_clicked(): go on: a paused run's process, or a new one from the last checkpoint.
    pause_clicked(), stop_clicked(), save_clicked(): steer the running trainer.
    fetch_clicked(): bring over what a run on a host has by now.
    run_chosen(str): another run's folder was picked from the list.
    back_clicked(): show the run at work, which is not the one on show.
    """

    start_clicked = Signal()
    queue_clicked = Signal()
    finetune_clicked = Signal()
    resume_clicked = Signal()
    pause_clicked = Signal()
    stop_clicked = Signal()
    save_clicked = Signal()
    fetch_clicked = Signal()
    run_chosen = Signal(str)
    back_clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.start = button("Start training", "primary", "play", "Train this model in the background (F5)")
        self.pause = button("Pause", "", "pause", "Pause after the current step")
        self.resume = button("Resume", "", "play", "Go on from where it stopped")
        self.stop = button("Stop", "danger", "stop", "Stop and keep a checkpoint")
        self.save = tool("content-save-outline", "Save a checkpoint now")
        self.save.setFixedHeight(_ROW)  # or the row grows with it
        self.back = button("Run at work", "", "arrow-left", "Show the run that is being trained")
        for made, signal in (
            (self.start, self.start_clicked),
            (self.pause, self.pause_clicked),
            (self.resume, self.resume_clicked),
            (self.stop, self.stop_clicked),
            (self.save, self.save_clicked),
            (self.back, self.back_clicked),
        ):
            made.clicked.connect(signal)
        self.queue = button("Queue", "", "tray-plus", "Train the document as it is now when this run has ended")
        self.queue.clicked.connect(self.queue_clicked)
        self.fetch = button(
            "Fetch", "", "download", "Bring checkpoints and samples over from the host, as they are now"
        )
        self.fetch.clicked.connect(self.fetch_clicked)
        self.fetch.hide()
        self.finetune = button("Fine-tune…", "ghost", "tune-vertical", "Fit a trained model to other data")
        self.finetune.clicked.connect(self.finetune_clicked)
        self.state = ElidedLabel("Not started")
        self.facts = ElidedLabel("", "muted")
        self.facts.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.runs = CalmComboBox()
        self.runs.setAccessibleName("Runs of this folder")
        self.runs.setToolTip("The runs beside this document")
        self.runs.setFixedWidth(208)
        self.runs.activated.connect(lambda _i: self.run_chosen.emit(self.runs.currentData() or ""))
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of the run")
        self.progress.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._steering = (
            self.start, self.pause, self.resume, self.stop, self.save, self.back, self.queue, self.fetch, self.finetune
        )  # fmt: skip
        # The words have a line of their own: beside the buttons they were cut off in a window of 1280 px.
        said = row(self.state, self.facts, gap=12)
        said.setStretch(0, 1)
        self.facts.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.setLayout(column(row(*self._steering, 1, self.runs), said, self.progress, margins=(8, 8, 12, 0), gap=5))
        self.show_state("idle", {})

    def show_state(
        self, state: str, last: Mapping[str, Mapping[str, Any]], whose: str = "", *, elsewhere: bool = False
    ) -> None:
        """Show a run's state and the last event of each type.

        Args:
            state: of the run on show.
            last: its last event of each type.
            whose: names another document than the one in front.
            elsewhere: whether a run is at work that is not the one on show.
        """
        held = next((made for made in self._steering if made.hasFocus()), None)
        working = state in ("starting", "running", "paused")
        self.start.setVisible(not working and not elsewhere)
        self.start.setText("Start training" if state in ("idle", "queued") else "Train again")
        self.pause.setVisible(state in ("starting", "running"))
        self.pause.setEnabled(state == "running")
        self.resume.setVisible(state == "paused" or (state in _CAN_RESUME and not elsewhere))
        self.stop.setVisible(working)
        self.save.setVisible(state == "running")  # a pause has saved one
        self.back.setVisible(elsewhere and not working)
        self.queue.setVisible(working or elsewhere)
        self.finetune.setVisible(not working and not elsewhere)
        if held is not None and held.isHidden():
            self._pass_focus(held)
        self.state.set_full_text((f"“{whose}”: " if whose else "") + _state_line(state, last))
        self.facts.set_full_text(_facts_line(last))
        step, start = last.get("step"), last.get("start")
        total = (start or {}).get("batches", 0) * (start or {}).get("epochs", 0)
        if state == "starting":
            self.progress.setRange(0, 0)
        else:
            self.progress.setRange(0, max(int(total), 1))
            self.progress.setValue(max(int(total), 1) if state == "finished" else int((step or {}).get("step", 0)))

    def _pass_focus(self, held: QWidget) -> None:
        """Give the keyboard of a button that is gone to the one in its place; Qt would give it to the next, Stop."""
        heirs: dict[QWidget, QWidget] = {self.pause: self.resume, self.resume: self.pause, self.stop: self.start}
        heir = heirs.get(held, self)
        (heir if not heir.isHidden() and heir.isEnabled() else self).setFocus()

    def show_runs(self, folders: Sequence[Path], current: Path | None) -> None:
        """Fill the list of runs, newest first; it stays as it is where it is that already."""
        listed = [self.runs.itemData(place) for place in range(self.runs.count())]
        chosen = str(current) if current else None
        if sorted(listed) == sorted(map(str, folders)) and chosen == self.runs.currentData():
            return
        self.runs.blockSignals(True)
        self.runs.clear()
        for folder in folders:
            self.runs.addItem(run_title(folder.name), str(folder))
        if not folders:
            self.runs.addItem("No runs yet", "")
        self.runs.setEnabled(bool(folders))
        self.runs.setCurrentIndex(self.runs.findData(chosen) if chosen else (-1 if folders else 0))
        self.runs.blockSignals(False)


def run_title(folder: str) -> str:
    """`street-signs-20260131-142500` -> `street-signs · 31 Jan 14:25:00`, without the day when it is today; runs begun
    in the same second are numbered.
    """
    found = re.fullmatch(r"(.+)-(\d{8}-\d{6})(?:-(\d+))?", folder)
    if found is None:
        return folder
    try:
        when = time.strptime(found[2], "%Y%m%d-%H%M%S")
    except ValueError:
        return folder
    today = time.strftime("%Y%m%d") == time.strftime("%Y%m%d", when)
    begun = time.strftime("%H:%M:%S" if today else "%d %b %H:%M:%S", when).removeprefix("0")
    return f"{found[1]} · {begun}" + (f" ({found[3]})" if found[3] else "")


def _state_line(state: str, last: Mapping[str, Mapping[str, Any]]) -> str:
    text = STATE_TEXT[state]
    step, start = last.get("step"), last.get("start")
    if state in ("running", "paused") and step and start:
        text += f" · epoch {min(int(step['epoch']) + 1, int(start['epochs']))} of {start['epochs']}"
    if state == "running" and start and not step:
        text = "Loading data…"
    return text + best_metric(last, " · ") if state != "starting" else text


def best_metric(last: Mapping[str, Mapping[str, Any]], before: str = ": ") -> str:
    """The newest evaluation's main figure, such as `: mAP50 0.713`; empty when there was none."""
    values = last.get("metrics", {}).get("values", {})
    found = next((name for name in ("mask_map50", "map50", "top1") if isinstance(values.get(name), (int, float))), None)
    return f"{before}{wording.curve(found)} {values[found]:.3f}" if found else ""


def _facts_line(last: Mapping[str, Mapping[str, Any]]) -> str:
    step, start = last.get("step"), last.get("start")
    parts = []
    if start:
        parts.append(
            str(start.get("device", "")).upper() if start.get("device") == "cpu" else str(start.get("device", ""))
        )
    if step:
        rate = step["images_per_s"]
        parts.append(f"{rate:,.0f} images/s" if rate >= 100 else f"{rate:.3g} images/s")
        if step.get("eta_s") is not None and "finished" not in last and "stopped" not in last:
            parts.append(f"{wording.seconds(step['eta_s'])} left")
    return " · ".join(part for part in parts if part)
