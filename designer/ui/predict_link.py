"""The predicting process as Qt signals: started with a run's weights, asked for images, ended when not wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from designer.train.run import RunFolder
from designer.ui.child_link import ChildLink

_MOVING = {"opened", "jpeg", "ended", "recorded", "saved", "refused"}


class PredictLink(QObject):
    """Signals:
    ready(dict): the model is loaded: `task`, `names`, `device`.
    answered(dict): one image: `image`, `width`, `height`, `found`, `done`, `total`; or `skipped` and `message`.
    finished(): the last request is answered.
    moving(dict): about a video or a camera: `opened`, a frame (`jpeg`), `ended`, `recorded`, `saved` or `refused`.
    failed(str): the process cannot go on; why.
    """

    ready = Signal(dict)
    answered = Signal(dict)
    finished = Signal()
    moving = Signal(dict)
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._child = ChildLink("designer.train.predictor", "The predicting process")
        self._child.told.connect(self._take)
        self._child.ended.connect(self.failed)
        self._run: Path | None = None
        self._loading = False

    @property
    def busy(self) -> bool:
        """Whether there is a process."""
        return self._child.running

    def ask(self, run: RunFolder, images: Sequence[Path]) -> None:
        """Predict on these images and folders; what was asked before is dropped."""
        self._request(run, {"images": [str(path) for path in images]})

    def play(self, run: RunFolder, source: str, record: Path | None = None, threshold: float = 0.25) -> None:
        """Play a video file or `camera:0`; what is shown of a camera can be written to a file."""
        self._request(run, {"play": source, "record": str(record) if record else "", "threshold": threshold})

    def record(self, run: RunFolder, source: str, path: Path, threshold: float) -> None:
        """Write what is found in every frame of a video."""
        self._request(run, {"of": source, "record": str(path), "threshold": threshold})

    def steer(self, **request: Any) -> None:
        """Steer what is playing: `pause`, `resume`, `seek`, `step`, and `shown` for a frame that was drawn."""
        self._child.write(request)

    def _request(self, run: RunFolder, request: dict[str, Any]) -> None:
        if not self.busy or self._run != run.path:
            self._run, self._loading = run.path, True
            self._child.start(["--run", str(run.path.resolve())])
        self._child.write(request)

    def cancel(self) -> None:
        """Nobody waits for the last request any more. A process that is still loading would not listen: it is ended."""
        if self._loading:
            self.stop()
        else:
            self._child.write({"cancel": True})

    def stop(self) -> None:
        """End the process."""
        self._child.stop()

    def _take(self, answer: dict[str, Any]) -> None:
        if "ready" in answer:
            self._loading = False
            self.ready.emit(answer)
        elif _MOVING & answer.keys():
            self.moving.emit(answer)
        elif "finished" in answer:
            self.finished.emit()
        elif "error" in answer:
            self.stop()
            self.failed.emit(str(answer["error"]))
        else:
            self.answered.emit(answer)
