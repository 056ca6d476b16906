"""Starts the window: application object, theme, first frame; the engine and everything slow come after it."""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication

from designer import __version__
from designer.ui import theme

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


def main(path: str | Path | None = None, profile_startup: bool = False) -> int:
    """Show the window and run until it is closed.

    Args:
        path: a document to open, in front of those of the last session; without either, the quick-start detector.
        profile_startup: print the milliseconds to the first painted frame and leave.

    Returns:
        The process's exit code.
    """
    gc.disable()  # what is made until the window stands is here to stay
    app = make_application(dress=False)
    from designer.ui.main_window import MainWindow

    window = MainWindow()
    window.restore_session(quick_start=path is None)
    if path is not None:
        window.files.open(Path(path))
    first_frame = _FirstFrame(window, profile_startup)
    window.installEventFilter(first_frame)
    theme.manager.dress()
    window.show()
    gc.freeze()
    gc.enable()
    return app.exec()


COLLECT = (20_000, 20, 10)
"""Thresholds of the garbage collector: with those of Python a large paste or undo spends a fifth of its time in it."""


def make_application(dress: bool = True) -> QApplication:
    """The application object with Netwright's names, fonts and theme; the one that exists, if there is one.

    Args:
        dress: put the theme's style sheet on; else `theme.manager.dress` does it.
    """
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    app.setOrganizationName("Netwright")
    app.setApplicationName("Netwright")
    app.setApplicationVersion(__version__)
    app.setStyle("Fusion")
    theme.install_fonts(app)
    theme.manager.restore(dress)
    if existing is None:
        gc.freeze()
        gc.set_threshold(*COLLECT)
    return app


class _FirstFrame(QObject):
    """Waits for the first painted frame, then starts the engine, or prints the time and leaves."""

    def __init__(self, window: MainWindow, profile: bool) -> None:
        super().__init__(window)
        self._window = window
        self._profile = profile
        self._seen = False

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and not self._seen:
            self._seen = True
            QTimer.singleShot(0, self._painted)
        return super().eventFilter(watched, event)

    def _painted(self) -> None:
        if self._profile:
            print(f"first frame after {_since_start() * 1000:.0f} ms")
            QApplication.quit()
        else:
            self._window.start()


def _since_start() -> float:
    """Seconds since the process was started."""
    try:
        # Field 22 is the start in clock ticks after boot; the name in parentheses may hold spaces.
        ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
        return up - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        import psutil  # on Linux it is wrong by up to a second: it takes the time of the boot in whole ones

        return time.time() - psutil.Process().create_time()
