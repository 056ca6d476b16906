"""Where moving images come from: videos and cameras, told apart and listed without opening one. Imports no torch."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
RECORDINGS = (".mp4", ".avi", ".mov")
"""What annotated videos can be written as."""
STEERING = {"pause", "resume", "seek", "step", "shown"}
"""Requests to the predicting process about the video that is playing; any other ends it."""
_LINUX = Path("/sys/class/video4linux")
_GUESSED = 3


@dataclass(frozen=True)
class Camera:
    """A camera of this machine."""

    index: int
    name: str

    @property
    def source(self) -> str:
        """How commands name it."""
        return f"camera:{self.index}"


def cameras(folder: Path = _LINUX) -> list[Camera]:
    """The cameras of this machine, without opening them, which takes seconds each.

    Linux lists them with their names. Elsewhere the first few numbers are offered as they are: whether there is a
    camera shows when it is opened.
    """
    if not sys.platform.startswith("linux"):
        return [Camera(i, f"Camera {i}") for i in range(_GUESSED)]
    found = []
    for entry in folder.glob("video*"):
        number = entry.name.removeprefix("video")
        if number.isdigit() and _read(entry / "index") in ("0", ""):  # further nodes of a camera carry no pictures
            found.append(Camera(int(number), _read(entry / "name") or f"Camera {number}"))
    return sorted(found, key=lambda camera: camera.index)


def camera_number(source: str) -> int | None:
    """2 of `camera:2`; None for what is no camera."""
    found = re.fullmatch(r"camera:(\d+)", source)
    return int(found[1]) if found else None


def moves(source: str | Path) -> bool:
    """Whether a source is a video or a camera rather than images."""
    return camera_number(str(source)) is not None or Path(source).suffix.lower() in VIDEOS


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
