"""The predicting process as Qt signals: started with a run's weights, asked for images, ended when not wanted."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, Signal

from designer.train.run import RunFolder


class PredictLink(QObject):
    """Signals:
    ready(dict): the model is loaded: `task`, `names`, `device`.
    answered(dict): one image: `image`, `width`, `height`, `found`, `done`, `total`; or `skipped` and `message`.
    finished(): the last request is answered.
    failed(str): the process cannot go on; why.
    """

    ready = Signal(dict)
    answered = Signal(dict)
    finished = Signal()
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._process: QProcess | None = None
        self._run: Path | None = None
        self._said = ""
        self._loading = False

    @property
    def busy(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def ask(self, run: RunFolder, images: Sequence[Path]) -> None:
        """Predict on these images and folders; what was asked before is dropped."""
        if self._process is None or self._run != run.path:
            self._start(run)
        self._write({"images": [str(path) for path in images]})

    def cancel(self) -> None:
        """Nobody waits for the last request any more. A process that is still loading would not listen: it is ended."""
        if self._loading:
            self.stop()
        else:
            self._write({"cancel": True})

    def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.disconnect(self)
            process.kill()
            process.waitForFinished(1000)
            process.deleteLater()

    def _start(self, run: RunFolder) -> None:
        self.stop()
        self._run, self._said, self._loading = run.path, "", True
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._on_output)
        self._process.readyReadStandardError.connect(self._on_error_output)
        self._process.finished.connect(self._on_finished)
        self._process.start(sys.executable, ["-P", "-m", "designer.train.predictor", "--run", str(run.path.resolve())])

    def _write(self, request: dict[str, Any]) -> None:
        if self._process is not None:
            self._process.write(json.dumps(request).encode() + b"\n")

    def _on_output(self) -> None:
        while self._process is not None and self._process.canReadLine():
            self._take(json.loads(bytes(self._process.readLine().data())))

    def _take(self, answer: dict[str, Any]) -> None:
        if "ready" in answer:
            self._loading = False
            self.ready.emit(answer)
        elif "finished" in answer:
            self.finished.emit()
        elif "error" in answer:
            self.stop()
            self.failed.emit(str(answer["error"]))
        else:
            self.answered.emit(answer)

    def _on_error_output(self) -> None:
        if self._process is not None:
            text = bytes(self._process.readAllStandardError().data()).decode(errors="replace").strip()
            self._said = text.rpartition("\n")[2] or self._said

    def _on_finished(self, code: int) -> None:
        self._on_output()
        if self._process is not None:
            self.stop()
            self.failed.emit(f"The predicting process ended unexpectedly (exit code {code}). {self._said}".strip())
