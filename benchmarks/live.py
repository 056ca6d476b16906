"""What following a fast run costs the window: frame times while events stream in, and memory over a long run.

    python benchmarks/live.py [events]        default: 100000

A writer appends 200 step events a second, as a trainer would at its fastest, while the Train tab shows the curves and
a gesture pans the canvas; a frame is timed from the gesture to the end of its paint in the event loop. Then so many
events pass through the watch and the views, and what the process has grown by is printed.
Bars: 95 of 100 frames in under 16.7 ms of processor time, which other work on the machine does not spoil, and at
most 50 MB more memory. Off screen unless QT_QPA_PLATFORM says otherwise.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
from PySide6.QtCore import QEvent, QPointF, QSettings, QTimer
from PySide6.QtWidgets import QApplication

from designer.graph.templates import load_template
from designer.train.events import EventWriter
from designer.train.run import RunFolder, record_process
from designer.ui.app import make_application
from designer.ui.main_window import MainWindow

RATE, SECONDS = 200, 12.0
FRAME_MS, GROWTH_MB = 16.7, 50.0
BATCH = 40
"""Events between two looks at the file, as many as 200 ms of a fast run bring."""


def step(number: int) -> dict[str, Any]:
    """What a detector with three loss terms says."""
    loss = 3.0 / (1 + number / 5000)
    losses = {"box": loss / 2, "cls": loss / 3, "dfl": loss / 6}
    return {
        "step": number, "epoch": number // 1000, "loss": loss, "losses": losses, "lr": 0.01, "images_per_s": 300.0,
        "eta_s": 60.0, "waiting": 0.05, "grad_norm": 4.0, "lrs": [0.01, 0.02], "gpu_mb": 900.0,
    }  # fmt: skip


def window_with_run(home: Path) -> tuple[MainWindow, RunFolder, EventWriter]:
    """A window that follows a run of this very process."""
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(home))
    window = MainWindow()
    window.resize(1440, 900)
    window.show()
    window.open_quick_start()
    run = RunFolder.create(home / "runs", load_template("quick-start").data, "fast")
    record_process(run, os.getpid())
    writer = EventWriter(run.events_path)
    writer.write("start", device="cpu", batches=1000, epochs=100, images=1, params=1, torch="")
    window.show_tab(window.train)
    window.train.make_curves()
    window.train.show_run(run)
    return window, run, writer


def frames(window: MainWindow, writer: EventWriter) -> list[tuple[float, float]]:
    """Milliseconds by the clock and of processor time of each frame of a steady pan while events come."""
    told = 0

    def tell() -> None:
        nonlocal told
        due = int((time.perf_counter() - began) * RATE)
        while told < due:
            told += 1
            writer.write("step", **step(told))

    timer = QTimer()
    timer.timeout.connect(tell)
    began = time.perf_counter()
    timer.start(5)
    times: list[tuple[float, float]] = []
    viewer = window.canvas.viewer
    while time.perf_counter() - began < SECONDS:
        started, cpu = time.perf_counter(), time.process_time()
        viewer.pan_by(QPointF(4 if len(times) % 200 < 100 else -4, 0))
        viewer.viewport().update()
        QApplication.sendPostedEvents(None, QEvent.Type.UpdateRequest)
        QApplication.processEvents()
        times.append(((time.perf_counter() - started) * 1e3, (time.process_time() - cpu) * 1e3))
        time.sleep(max(0.0, FRAME_MS / 1e3 - (time.perf_counter() - started)))
    timer.stop()
    return times


def growth(window: MainWindow, writer: EventWriter, events: int) -> tuple[float, float]:
    """Megabytes that the process has grown by after so many events, and milliseconds of the slowest look."""
    process, slowest = psutil.Process(), 0.0
    before = process.memory_info().rss
    for number in range(5000, 5000 + events):
        writer.write("step", **step(number))
        if number % BATCH == 0:
            started = time.perf_counter()
            window.train.watch._poll()
            QApplication.processEvents()
            slowest = max(slowest, (time.perf_counter() - started) * 1e3)
    return (process.memory_info().rss - before) / 2**20, slowest


def main() -> int:
    """Prints both figures and whether they keep to their bars."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    make_application()
    with tempfile.TemporaryDirectory() as home:
        window, run, writer = window_with_run(Path(home))
        times = frames(window, writer)
        late = 0.0
        for name, column in (("clock", 0), ("processor", 1)):
            ms = [each[column] for each in times]
            late = statistics.quantiles(ms, n=100)[94]
            print(
                f"{RATE} events/s, {name}: frame median {statistics.median(ms):.1f} ms, 95 % {late:.1f} ms, "
                f"worst {max(ms):.1f} ms, {sum(t > FRAME_MS for t in ms)} of {len(ms)} over {FRAME_MS} ms"
            )
        grown, slowest = growth(window, writer, events)
        print(f"{events} events: {grown:+.1f} MB, slowest look {slowest:.0f} ms")
        writer.close()
        started = time.perf_counter()
        window.train.watch.follow(None)
        window.train.show_run(run)
        QApplication.processEvents()
        print(f"opening that run again: {(time.perf_counter() - started) * 1e3:.0f} ms")
        window.workspace.close_all()
        window.close()
    return 0 if late <= FRAME_MS and grown <= GROWTH_MB else 1


if __name__ == "__main__":
    sys.exit(main())
