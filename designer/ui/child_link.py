"""A process beside the window that talks in JSON lines, as Qt signals. It ends when told to, or with the window."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QObject, QProcess, Signal


class ChildLink(QObject):
    """Signals:
    told(dict): one answer.
    ended(str): the process ended by itself; why, as far as is known.
    """

    told = Signal(dict)
    ended = Signal(str)

    def __init__(self, module: str, name: str) -> None:
        """`module` is run as `python -m`; `name` is what a message calls the process."""
        super().__init__()
        self._module, self._name = module, name
        self._process: QProcess | None = None
        self._said = ""

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the process; 0 without one."""
        return int(self._process.processId()) if self._process is not None else 0

    def start(self, arguments: Sequence[str] = ()) -> None:
        """Start the process; one that runs is ended before."""
        self.stop()
        self._said = ""
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._on_output)
        self._process.readyReadStandardError.connect(self._on_error_output)
        self._process.finished.connect(self._on_finished)
        # -P keeps the current folder off the path: a torch.py beside the user's document must not be run.
        self._process.start(sys.executable, ["-P", "-m", self._module, *arguments])

    def write(self, request: dict[str, Any]) -> None:
        """Send a request; without a process it goes nowhere."""
        if self._process is not None:
            self._process.write(json.dumps(request).encode() + b"\n")

    def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.blockSignals(True)
            process.kill()
            process.waitForFinished(1000)
            process.deleteLater()

    def _on_output(self) -> None:
        while self._process is not None and self._process.canReadLine():
            self.told.emit(json.loads(bytes(self._process.readLine().data())))

    def _on_error_output(self) -> None:
        if self._process is not None:
            text = bytes(self._process.readAllStandardError().data()).decode(errors="replace").strip()
            self._said = text.rpartition("\n")[2] or self._said

    def _on_finished(self, code: int) -> None:
        self._on_output()
        if self._process is not None:
            self.stop()
            self.ended.emit(f"{self._name} ended unexpectedly (exit code {code}). {self._said}".strip())
