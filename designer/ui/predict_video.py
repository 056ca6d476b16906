"""The Predict tab's row under a video: play, pause, step, seek, how fast it is; and writing what is found in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShortcut
from PySide6.QtWidgets import QFileDialog, QSlider, QWidget

from designer.train.run import RunFolder
from designer.train.sources import camera_number
from designer.ui import glyphs
from designer.ui.predict_link import PredictLink
from designer.ui.predict_view import PredictView
from designer.ui.widgets import ElidedLabel, label, row, tool

_KINDS = "Annotated video (*.mp4);;Annotated video, Motion JPEG (*.avi);;COCO (*.json);;A JSON line a frame (*.jsonl)"
_SEEK_MS = 60


class PredictVideo(QWidget):
    """Signals:
    said(str, bool): what it is doing, for the tab's state; whether that can be cancelled.
    progressed(int, int): frames written, of so many (0: not known).
    refused(str): why a video, camera or file cannot be used.
    """

    said = Signal(str, bool)
    progressed = Signal(int, int)
    refused = Signal(str)

    def __init__(self, link: PredictLink, view: PredictView) -> None:
        super().__init__()
        self._link, self._view = link, view
        self._run: RunFolder | None = None
        self.source = ""
        self.playing = self._ended = self._live = self._recording = False
        self.about: dict[str, Any] = {}
        self.back = tool("skip-previous", "One frame back (,)")
        self.play = tool("pause", "Play or pause (K)")
        self.forward = tool("skip-next", "One frame on (.)")
        self.place = QSlider(Qt.Orientation.Horizontal)
        self.place.setAccessibleName("Place in the video")
        self.clock = label("", "muted")
        self.facts = ElidedLabel("", "faint")
        self.facts.set_fixed_width(190)
        made = row(self.back, self.play, self.forward, self.place, self.clock, self.facts, margins=(8, 0, 8, 4), gap=6)
        made.setStretch(3, 1)
        self.setLayout(made)
        self._seeking = QTimer(self, singleShot=True, interval=_SEEK_MS)
        self._seeking.timeout.connect(lambda: self._link.steer(seek=self.place.value()))
        self.play.clicked.connect(self.toggle)
        self.back.clicked.connect(lambda: self._step(-1))
        self.forward.clicked.connect(lambda: self._step(1))
        self.place.valueChanged.connect(self._on_place)
        link.moving.connect(self._on_moving)
        self.hide()

    def add_keys(self, parent: QWidget) -> None:
        """The keys of video players, while the keyboard is anywhere in `parent`."""
        within = Qt.ShortcutContext.WidgetWithChildrenShortcut
        for key, act in (("K", self.play), (",", self.back), (".", self.forward)):
            QShortcut(key, parent, act.click, context=within)

    @property
    def recording(self) -> bool:
        """Whether a file is being written."""
        return self._recording

    def start(self, run: RunFolder, source: str, record: Path | None = None) -> None:
        """Play a file or `camera:0` from its beginning."""
        self._run, self.source, self._recording = run, source, record is not None
        self.playing, self._ended = True, False
        self.facts.set_full_text("")
        self.said.emit("Loading the model…" if not self._link.busy else "Opening…", True)
        self._link.play(run, source, record, self._view.threshold)

    def close_source(self) -> None:
        """Something else is shown from now on; what is playing is ended by the next request, or `cancel`."""
        self.source, self.playing = "", False
        self.hide()

    def toggle(self) -> None:
        """Play or pause; at the end, play again from the beginning."""
        if self._ended:
            self._link.steer(seek=0)
        self.playing, self._ended = not self.playing, False
        self._link.steer(**{"resume" if self.playing else "pause": True})
        self._show_buttons()

    def _step(self, by: int) -> None:
        if self.playing:
            self.toggle()
        self._ended = False
        self._link.steer(step=by)

    def _on_place(self) -> None:
        """The user moved the slider; a drag asks for a frame now and then, not for each on its way."""
        self._ended = False
        if not self._seeking.isActive():
            self._seeking.start()

    # -- what the process says ---------------------------------------------------------------------------------------

    def _on_moving(self, answer: dict[str, Any]) -> None:
        if "refused" in answer:
            self._recording = False
            self.said.emit("", False)
            self.refused.emit(answer["refused"])
        elif "recorded" in answer:
            self.progressed.emit(answer["recorded"], answer["total"])
            of = f" of {answer['total']}" if answer["total"] else ""
            self.said.emit(f"Writing {answer['recorded']}{of} · {answer['rate']:.0f} a second", True)
        elif "saved" in answer:
            self._on_saved(answer)
        elif not self.source:  # on its way when something else was chosen
            return
        elif "opened" in answer:
            self._on_opened(answer)
        elif "jpeg" in answer:
            self._on_frame(answer)
        elif "ended" in answer:
            self.playing, self._ended = False, True
            self._show_buttons()
            if answer["ended"]:
                self.refused.emit(answer["ended"])

    def _on_opened(self, about: dict[str, Any]) -> None:
        self.about, self._live = about, about["live"]
        self._silently(self.place.setRange, 0, max(0, about["frames"] - 1))
        for made in (self.back, self.forward, self.place, self.play):
            made.setVisible(not self._live)
        self.show()
        self._show_buttons()
        name = f"{about['opened']} · {about['width']} × {about['height']}"
        self.said.emit(f"Recording {name}" if self._recording else name, self.playing)

    def _on_frame(self, frame: dict[str, Any]) -> None:
        self._view.show_result(frame)
        self._link.steer(shown=frame["frame"])
        if not self.place.isSliderDown() and not self._seeking.isActive():
            self._silently(self.place.setValue, frame["frame"])
        total = self.about.get("frames", 0) / max(1e-6, self.about.get("fps", 1))
        self.clock.setText(_time(frame["seconds"]) + (f" / {_time(total)}" if total else ""))
        facts = [f"{frame['rate']:.0f} frames/s" if frame["rate"] else "", f"{frame['ms']:.0f} ms"]
        facts.append(f"{frame['dropped']} dropped" if frame["dropped"] else "")
        self.facts.set_full_text(" · ".join(fact for fact in facts if fact))

    def _on_saved(self, answer: dict[str, Any]) -> None:
        self._recording = False
        if self._live or self._run is None or not self.source:
            self.close_source()
        else:  # writing has ended what was playing
            self.start(self._run, self.source)
            self.toggle()
        self.said.emit(f"Saved {Path(answer['saved']).name}, {answer['frames']} frames", False)
        if answer.get("note"):
            self.refused.emit(answer["note"])

    def _silently(self, act: Any, *values: int) -> None:
        self.place.blockSignals(True)
        act(*values)
        self.place.blockSignals(False)

    def _show_buttons(self) -> None:
        glyphs.keep_icon(self.play, "pause" if self.playing else "replay" if self._ended else "play")

    # -- writing -----------------------------------------------------------------------------------------------------

    def ask_where_to_save(self) -> None:
        """A file for what is found in the whole video, or in the camera's pictures from now on."""
        start = f"{Path(self.source).stem if camera_number(self.source) is None else 'camera'}-found.mp4"
        path, chosen = QFileDialog.getSaveFileName(self, "Save what is found", start, _KINDS)
        if path:
            suffix = chosen.rpartition("*")[2].rstrip(")")
            self.save_to(Path(path) if Path(path).suffix else Path(path + suffix))

    def save_to(self, path: Path) -> None:
        """Write a video, a COCO file or JSON lines, by the file's suffix."""
        if self._run is None or not self.source:
            return
        if path.resolve() == Path(self.source).resolve():
            self.refused.emit(f"{path.name} cannot be read and written at once. Save under another name.")
            return
        if self._live:
            self.start(self._run, self.source, record=path)
            return
        self._recording, self.playing, self._ended = True, False, True
        self._show_buttons()
        self.said.emit("Writing…", True)
        self._link.record(self._run, self.source, path, self._view.threshold)


def _time(seconds: float) -> str:
    """75.4 -> `1:15.4`."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"
