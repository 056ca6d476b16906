"""Plays a video or a camera through a model for the window, frame by frame, at the video's own pace.

It never lags: frames that the model, the disk or the window have no time for are passed over. At most `AHEAD` frames
are under way to a window that has not drawn them yet.
"""

from __future__ import annotations

import base64
import queue
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from designer.graph.errors import NetwrightError
from designer.train.found import LEAST
from designer.train.predictor import as_json
from designer.train.recording import Recording
from designer.train.sources import STEERING
from designer.train.trained import Trained, find_in
from designer.train.video import Source, VideoFile, as_jpeg, open_source

AHEAD = 2
MOST_BEHIND = 1.0
"""Seconds of video that are passed over at once. Where even decoding is too slow, the video plays slower instead."""

Say = Callable[[dict[str, Any]], None]


class Player:
    """One source that is played until another request comes.

    Args:
        trained: the model.
        source: a file or `camera:0`.
        requests: what the window says, `None` at its end; steering is taken out, the rest is left there.
        say: tells the window something.
        record: file that what is shown is written to, of a camera.
        threshold: lowest score that is written.
    """

    def __init__(
        self, trained: Trained, source: Source, requests: queue.Queue[dict[str, Any] | None], say: Say,
        record: Path | None = None, threshold: float = 0.25,
    ) -> None:  # fmt: skip
        self._trained, self._source, self._requests, self._say = trained, source, requests, say
        self._recording = Recording(record, trained, source, threshold) if record is not None else None
        self._playing, self._one, self._waiting = True, True, 0
        self._began, self._first, self._written = time.perf_counter(), 0, 0
        self._dropped = 0
        self._times: deque[float] = deque(maxlen=20)

    def play(self) -> None:
        """Plays until the window wants something else."""
        source = self._source
        self._say(
            {
                "opened": source.name, "live": source.live, "frames": source.frames, "fps": source.fps,
                "width": source.width, "height": source.height,
            }
        )  # fmt: skip
        try:
            while not self._steer():
                if self._waiting >= AHEAD or not (self._playing or self._one):
                    time.sleep(0.005)
                elif self._one or self._is_due():
                    self._show_next()
        finally:
            source.close()
            if self._recording is not None:
                self._recording.close()
                self._say({"saved": str(self._recording.path), "frames": self._written})

    def _steer(self) -> bool:
        """Takes what the window said about this video. True when it wants something else, or has gone."""
        while self._requests.queue:
            request = self._requests.queue[0]
            if request is None or not STEERING & request.keys():
                return True
            self._requests.get()
            if "shown" in request:
                self._waiting = max(0, self._waiting - 1)
            elif "pause" in request:
                self._playing = False
            elif "resume" in request:
                self._playing = True
                self._restart()
            elif isinstance(self._source, VideoFile):
                place = request.get("seek", self._source.at - 1 + request.get("step", 0))
                self._source.seek(min(max(0, int(place)), max(0, self._source.frames - 1)))
                self._one = True
                self._restart()
        return False

    def _restart(self) -> None:
        """The clock of the video starts again at the frame that is next."""
        self._began, self._first = time.perf_counter(), self._source.at
        self._times.clear()

    def _is_due(self) -> bool:
        """Whether it is time for the next frame; frames that are late are passed over."""
        if not isinstance(self._source, VideoFile):
            return True
        late = self._first + (time.perf_counter() - self._began) * self._source.fps - self._source.at
        if late < 0:
            time.sleep(min(0.01, -late / self._source.fps))
            return False
        most = int(MOST_BEHIND * self._source.fps)
        count = min(int(late), most)
        self._source.skip(count)
        self._dropped += count
        if late > most:
            self._restart()
        return True

    def _show_next(self) -> None:
        image = self._source.read()
        if image is None:
            self._end()
            return
        self._one = False
        began = time.perf_counter()
        found = find_in(self._trained, image, Path(self._source.name))
        now = time.perf_counter()
        self._times.append(now)
        frame = self._source.at - 1
        answer = as_json(found, self._trained.class_names, least=LEAST, pictures=True)
        answer |= {
            "frame": frame, "seconds": round(frame / self._source.fps, 3), "ms": round((now - began) * 1e3, 1),
            "rate": self._rate(), "dropped": self._dropped,
            "jpeg": base64.b64encode(as_jpeg(image)).decode(),
        }  # fmt: skip
        self._waiting += 1
        self._say(answer)
        if self._recording is not None:
            due = round((now - self._began) * self._source.fps) - self._written
            times = max(1, due)
            self._recording.add(found, frame, times)
            self._written += times

    def _rate(self) -> float:
        """Frames a second that were shown lately; 0 while there is one alone."""
        if len(self._times) < 2:
            return 0.0
        return round((len(self._times) - 1) / max(1e-6, self._times[-1] - self._times[0]), 1)

    def _end(self) -> None:
        """The last frame was shown: it stays, and the window may go back."""
        self._playing = self._one = False
        self._say({"ended": self._source.cut_off()})


def record(trained: Trained, source: str, path: Path, threshold: float, stopped: Callable[[], bool], say: Say) -> None:
    """Writes what is found in every frame of a video, and says how far it is.

    Raises:
        NetwrightError: when the video cannot be read or the file cannot be written.
    """
    opened = open_source(source)
    try:
        recording = Recording(path, trained, opened, threshold)
        done, began = 0, time.perf_counter()
        try:
            while not stopped() and (image := opened.read()) is not None:
                recording.add(find_in(trained, image, Path(opened.name)), done)
                done += 1
                rate = done / max(1e-6, time.perf_counter() - began)
                say({"recorded": done, "total": opened.frames, "rate": round(rate, 1)})
        finally:
            recording.close()
        note = "" if stopped() else opened.cut_off()
        say({"saved": str(path), "frames": done, "note": note})
    finally:
        opened.close()


def serve(
    trained: Trained, request: dict[str, Any], requests: queue.Queue[dict[str, Any] | None],
    stopped: Callable[[], bool], say: Say,
) -> None:  # fmt: skip
    """Answers `{"play": source, "record"?: path, "threshold"?: lowest}` and `{"record": path, "of": source}`."""
    target = Path(request["record"]) if request.get("record") else None
    threshold = float(request.get("threshold", 0.25))
    try:
        if "play" in request:
            Player(trained, open_source(request["play"]), requests, say, target, threshold).play()
        elif target is not None:
            record(trained, request["of"], target, threshold, stopped, say)
    except NetwrightError as error:
        say({"refused": str(error)})
