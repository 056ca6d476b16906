"""The process that looks at data sets, as Qt signals: started when a data set is first looked at."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from designer.graph.training import DataSettings, TrainingSettings
from designer.ui.child_link import ChildLink


class DataLink(QObject):
    """Signals:
    rows(list): some more images in order: path, part and classes of each.
    opened(dict): all images are listed: `names`, `notes`, `train`, `val`, `refused`.
    thumbed(int, str): the row of a thumbnail and its JPEG (base64), "" for an image that cannot be read.
    pictured(dict): a whole image and its objects; `file` has its pixels.
    checked(int, int): images looked at, and of how many.
    found(list): some more findings of the check.
    reported(dict): the check has ended: `images`, `errors`, `warnings`, `cancelled`.
    summarised(dict): the summary.
    previewed(dict): an augmented image, `place` being which of those asked for; `file` has its pixels.
    failed(str, str): what could not be done, and why; "" for all of it, as the process has ended.
    """

    rows = Signal(list)
    opened = Signal(dict)
    thumbed = Signal(int, str)
    pictured = Signal(dict)
    checked = Signal(int, int)
    found = Signal(list)
    reported = Signal(dict)
    summarised = Signal(dict)
    previewed = Signal(dict)
    failed = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self._child = ChildLink("designer.data.server", "The process that looks at data")
        self._child.told.connect(self._take)
        self._child.ended.connect(lambda text: self.failed.emit("", text))
        self._folder = ""
        self._data = self._number = 0

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._child.running

    def open(self, settings: DataSettings, seed: int, size: tuple[int, int], task: str) -> None:
        """Look at this data set from now on, with the height and width of the model's input and its head's task."""
        if not self.running:
            self._remove_folder()
            self._folder = tempfile.mkdtemp(prefix="netwright-data-")
            self._child.start(["--folder", self._folder])
        self._data += 1
        self._ask("open", settings=settings.model_dump(), seed=seed, size=size, task=task)

    def thumbs(self, rows: Sequence[int]) -> None:
        """Make thumbnails in this order, instead of those asked for before."""
        self._ask("thumbs", rows=list(rows))

    def picture(self, row: int, label: tuple[str, int] | None = None) -> None:
        """The whole image of a row; with the box in a row of a label file (its line from 1 on) that was found bad."""
        self._ask("picture", row=row, label=label)

    def check(self) -> None:
        self._ask("check")

    def cancel(self) -> None:
        """End the check; what was found until then is told."""
        self._ask("cancel")

    def summary(self, stride: int) -> None:
        """`stride` is that of the finest cells of the head in pixels, 0 when not known."""
        self._ask("summary", stride=stride)

    def preview(self, training: TrainingSettings, places: Sequence[tuple[int, int]]) -> None:
        """Make training images: number in the training part, and epoch from 0, of each; only the newest are told."""
        self._number += 1
        self._ask("preview", number=self._number, training=training.model_dump(), places=list(places))

    def stop(self) -> None:
        """End the process."""
        self._child.stop()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, what: str, **request: Any) -> None:
        self._child.write({"do": what, "data": self._data, **request})

    def _take(self, answer: dict[str, Any]) -> None:
        """Pass an answer on, unless it is about a data set that is no longer looked at."""
        if answer["data"] != self._data:
            if "file" in answer:
                take_pixels(answer["file"])
        elif "thumb" in answer:
            self.thumbed.emit(answer["thumb"], answer["picture"])
        elif "rows" in answer:
            self.rows.emit(answer["rows"])
        elif "checked" in answer:
            self.checked.emit(answer["checked"], answer["total"])
        elif "findings" in answer:
            self.found.emit(answer["findings"])
        elif "failed" in answer:
            self.failed.emit(answer["failed"], answer["message"])
        else:
            whole = {"opened": self.opened, "report": self.reported, "summary": self.summarised}
            for name, signal in whole.items():
                if name in answer:
                    signal.emit(answer[name])
            if "picture" in answer:
                self.pictured.emit(answer)
            if "preview" in answer:
                self.previewed.emit(answer)


def take_pixels(file: str) -> bytes:
    """The pixels that were handed over in a file, which is removed; empty when it is gone."""
    path, pixels = Path(file), b""
    with contextlib.suppress(OSError):
        pixels = path.read_bytes()
        path.unlink()
    return pixels
