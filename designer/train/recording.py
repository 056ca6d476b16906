"""What a model finds in a video, written as it comes: an annotated video, a COCO file, or a JSON line a frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from torch import Tensor

from designer.data.masks import from_runs
from designer.graph.errors import NetwrightError
from designer.graph.storage import write_text
from designer.train.found import coco_json
from designer.train.plots import draw_classes, draw_found
from designer.train.predictor import as_json
from designer.train.sources import RECORDINGS
from designer.train.trained import Found, Trained
from designer.train.video import Source, VideoWriter


class Recording:
    """One file; its suffix says what is written.

    Args:
        path: `.mp4`, `.avi` or `.mov` for a video, `.json` for COCO, `.jsonl` for JSON lines.
        trained: the model, whose classes are named.
        source: what is recorded.
        threshold: lowest score that is written.

    Raises:
        NetwrightError: for another suffix, a classifier's COCO file, or a file that cannot be written.
    """

    def __init__(self, path: Path, trained: Trained, source: Source, threshold: float) -> None:
        self.path, self._trained, self._source, self._threshold = path, trained, source, threshold
        self._results: list[dict[str, Any]] = []
        self._video: VideoWriter | None = None
        self._lines: TextIO | None = None
        suffix = path.suffix.lower()
        if suffix not in (*RECORDINGS, ".json", ".jsonl"):
            raise NetwrightError(
                f"{path.name}: write .mp4, .avi or .mov for a video, .json for COCO, .jsonl for a JSON line a frame."
            )
        if suffix == ".json" and trained.task in ("classify", "semantic"):
            raise NetwrightError("This model finds no boxes, so there is nothing for a COCO file. Use .jsonl.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix == ".jsonl":
                self._lines = path.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise NetwrightError(f"{path} cannot be written: {error.strerror}. Choose another place.") from None
        if suffix in RECORDINGS:
            self._video = VideoWriter(path, source.fps, source.width, source.height)

    def add(self, found: Found, frame: int, times: int = 1) -> None:
        """Writes a frame.

        Args:
            found: what was found in it.
            frame: its number in the source, from 0.
            times: how often a video shows it; above 1 where those after it were dropped.
        """
        if self._video is not None:
            drawn = annotated(found, self._trained.class_names, self._threshold)
            for _ in range(times):
                self._video.add(drawn)
            return
        fact = as_json(found, self._trained.class_names, least=self._threshold)
        fact |= {"frame": frame, "seconds": round(frame / self._source.fps, 3)}
        if self._lines is not None:
            self._lines.write(json.dumps({**fact, "image": self._source.name}) + "\n")
        else:
            stem = Path(self._source.name).stem
            self._results.append({**fact, "image": f"{stem}-{frame:06}.png"})

    def close(self) -> None:
        """Finishes the file, with what was added so far."""
        if self._video is not None:
            self._video.close()
        elif self._lines is not None:
            self._lines.close()
        else:
            write_text(self.path, json.dumps(coco_json(self._results, self._trained.class_names, self._threshold)))


def annotated(found: Found, names: list[str], threshold: float) -> Tensor:
    """The image uint8 [3, H, W] with boxes, masks and classes; a classifier's best class stands in its corner."""
    if found.classes is not None:
        return draw_classes(found.image, found.classes, names)
    if not len(found.boxes) and found.masks is None and len(found.labels):
        corner = found.boxes.new_tensor([[1, 1, found.image.shape[-1] - 2, found.image.shape[-2] - 2]])
        return draw_found(found.image, corner, found.scores[:1], found.labels[:1], names, 0)
    masks = from_runs(found.masks) if found.masks else None
    return draw_found(found.image, found.boxes, found.scores, found.labels, names, threshold, masks=masks)
