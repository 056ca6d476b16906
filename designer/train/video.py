"""Frames of video files and cameras, decoded by OpenCV. The window never imports this: a child process does."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # what it has to say about a broken file is said by us
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
import torch
from torch import Tensor

from designer.graph.errors import NetwrightError
from designer.train.sources import camera_number, cameras

USUAL_FPS = 25.0
"""Where a file or a camera does not say."""
_WAIT = 5.0
"""Seconds that a camera has for its first frame."""


class VideoError(NetwrightError):
    """A video or a camera that cannot be opened or written."""


class VideoFile:
    """The frames of a file in order.

    Attributes:
        frames: how many it says that it has; 0 where it does not say.
        fps: frames a second.
        at: number of the next frame.

    Raises:
        VideoError: when it cannot be decoded.
    """

    live, at = False, 0

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        if not path.is_file():
            raise VideoError(f"{path}: there is no such file.")
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        first = self.read() if self._capture.isOpened() else None
        if first is None:
            self._capture.release()
            raise VideoError(
                f"{path}: no frame can be decoded; it is no video, or it was cut off while it was written. "
                "Make it again, or convert it, such as with ffmpeg -i IN OUT.mp4."
            )
        self.height, self.width = first.shape[-2:]
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else USUAL_FPS
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.seek(0)

    def read(self) -> Tensor | None:
        """The next frame as RGB uint8 [3, H, W]; None at the end."""
        good, frame = self._capture.read()
        if not good:
            return None
        self.at += 1
        return _rgb(frame)

    def skip(self, count: int) -> None:
        """Pass over frames; quicker than to read them."""
        for _ in range(count):
            if not self._capture.grab():
                return
            self.at += 1

    def seek(self, frame: int) -> None:
        """Go to a frame; the next `read` gives it."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, max(0, frame))
        self.at = max(0, frame)

    def close(self) -> None:
        self._capture.release()

    def cut_off(self) -> str:
        """A sentence when the file ended before the frames that it promised, else nothing."""
        if self.frames and self.at < self.frames - 1:
            return f"{self.name} ends after {self.at} of {self.frames} frames: the file is damaged or was cut off."
        return ""


class LiveCamera:
    """The newest frame of a camera. A thread takes each as it comes, so that none waits and grows old.

    Raises:
        VideoError: when there is no such camera, or it gives no picture.
    """

    live, frames, at = True, 0, 0

    def __init__(self, index: int) -> None:
        self.name = f"Camera {index}"
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise VideoError(f"Camera {index} cannot be opened: {_why_not(index)}")
        self._newest: Any = None
        self._fresh = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()
        first = self.read(_WAIT)
        if first is None:
            self.close()
            raise VideoError(f"Camera {index} gives no picture. Unplug it and plug it in again, or choose another.")
        self.height, self.width = first.shape[-2:]
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else USUAL_FPS

    def _take(self) -> None:
        while not self._closed:
            good, frame = self._capture.read()
            with self._fresh:
                self._newest = frame if good else None
                self._closed = self._closed or not good
                self._fresh.notify()

    def read(self, wait: float = 1.0) -> Tensor | None:
        """The newest frame that was not given yet, RGB uint8 [3, H, W]; None when the camera has gone."""
        with self._fresh:
            self._fresh.wait_for(lambda: self._newest is not None or self._closed, wait)
            frame, self._newest = self._newest, None
        self.at += frame is not None
        return _rgb(frame) if frame is not None else None

    def close(self) -> None:
        self._closed = True
        self._thread.join(_WAIT)
        self._capture.release()

    def cut_off(self) -> str:
        return f"{self.name} gives no more pictures."


def _why_not(index: int) -> str:
    """What can be said about a camera that does not open."""
    known = cameras()
    if not known:
        return "no camera is connected. A video file can be played instead."
    if all(camera.index != index for camera in known):
        return f"there is no such one. Use {' or '.join(f'{c.source} ({c.name})' for c in known)}."
    return "it is not there, or another program is using it."


Source = VideoFile | LiveCamera


def open_source(source: str) -> Source:
    """A video file, or a camera written as `camera:0`. Raises VideoError when it cannot be opened."""
    number = camera_number(source)
    return VideoFile(Path(source)) if number is None else LiveCamera(number)


def _rgb(frame: Any) -> Tensor:
    if frame.ndim == 2:
        frame = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
    return torch.from_numpy(np.ascontiguousarray(frame[..., 2::-1])).permute(2, 0, 1)


def _bgr(image: Tensor) -> Any:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy()[..., ::-1])


def as_jpeg(image: Tensor, most: int = 1280) -> bytes:
    """A frame RGB uint8 [3, H, W] as JPEG, its longer side at most so many pixels."""
    frame = _bgr(image)
    shrink = most / max(frame.shape[:2])
    if shrink < 1:
        frame = cv2.resize(frame, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


class VideoWriter:
    """Writes RGB frames uint8 [3, H, W] as a video: MPEG-4, or Motion JPEG into an .avi.

    Raises:
        VideoError: when the file cannot be written.
    """

    def __init__(self, path: Path, fps: float, width: int, height: int) -> None:
        codec = "MJPG" if path.suffix.lower() == ".avi" else "mp4v"
        four = cv2.VideoWriter_fourcc(*codec)  # type: ignore[attr-defined, unused-ignore]
        self._size = width, height
        self._writer = cv2.VideoWriter(str(path), four, fps, self._size)
        if not self._writer.isOpened():
            raise VideoError(f"{path}: the video cannot be written. Choose another folder, or write an .avi.")

    def add(self, image: Tensor) -> None:
        frame = _bgr(image)
        if frame.shape[1::-1] != self._size:  # a few cameras change their mind
            frame = cv2.resize(frame, self._size)
        self._writer.write(frame)

    def close(self) -> None:
        self._writer.release()
