"""`python -m designer.data.server --folder DIR`: a process that looks at data sets for the window, by JSON lines.

Requests, each with the number `data` that the last `open` gave:

    {"do": "open", "data", "settings", "seed", "size": [h, w], "task"}   the images of a data set
    {"do": "thumbs", "data", "rows": [...]}     thumbnails, in this order; newer rows replace those not yet made
    {"do": "picture", "data", "row", "label"}   a whole image with its objects; the box of a row [file, line]
    {"do": "check", "data"}, {"do": "summary", "data", "stride"}
    {"do": "preview", "data", "number", "training", "places": [[image, epoch], ...]}
    {"do": "cancel"}                            ends a check

Answers carry `data` again: {"rows", "first"} in portions and then {"opened": {...}}, {"thumb": row, "picture"},
{"picture": row, ...}, {"checked": done, "total"}, {"findings"} in portions and then {"report": {...}}, {"summary"},
{"preview": number, "place", ...} for each image, and {"failed": what was to be done, "message"}. Pixels are handed over
as files in `DIR`, RGB row by row, which the window removes; `DIR` goes when stdin ends, and with it the process.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from designer.data.check import check_data
from designer.data.histograms import drawn_summary, shorter_sides
from designer.data.index import Index, read_index, rows_of
from designer.data.looks import BACKGROUND, LONGEST, THUMB, box_in_row, classes_of, objects_of, pixels_of, thumbnail
from designer.data.pixels import BROKEN
from designer.data.summary import summarise_data
from designer.data.worker import Worker
from designer.engine.box_sizes import remember_sides
from designer.graph.errors import NetwrightError
from designer.graph.training import DataSettings, TrainingSettings

PORTION = 500
"""Rows or findings in a line: few enough for the window to take between two frames."""
KEPT = 20_000
"""Thumbnails that are kept: 80 MB at most."""


class Server:
    """Answers requests about one data set at a time.

    Args:
        folder: where pixels are handed over.
        say: takes each answer.
    """

    def __init__(self, folder: Path, say: Callable[[dict[str, Any]], None]) -> None:
        self.folder, self._say = folder, say
        self._data = 0
        self._index = Index(DataSettings())
        self._size, self._task = (640, 640), ""
        self._thumbs: OrderedDict[int, str] = OrderedDict()
        self._files = itertools.count()
        self._cancelled = threading.Event()
        self._previews: Any = None
        self._workers = {
            name: Worker({kind: partial(self._try, kind, job) for kind, job in jobs.items()})
            for name, jobs in {
                "reads": {"open": self._open, "summary": self._summary},
                "looks": {"picture": self._picture, "thumbs": self._make_thumb},
                "checks": {"check": self._check},
                "previews": {"preview": self._preview},
            }.items()
        }
        self._of = {
            "open": "reads", "summary": "reads", "picture": "looks", "thumbs": "looks", "check": "checks",
            "preview": "previews",
        }  # fmt: skip
        for worker in self._workers.values():
            worker.start()

    def take(self, request: dict[str, Any]) -> None:
        """Begin a request; its answers come later."""
        kind = request["do"]
        if kind in ("open", "cancel", "check"):
            self._cancelled.set()
        if kind == "open":
            self._data = request["data"]
        if kind != "cancel":
            self._workers[self._of[kind]].ask(kind, request)

    def _try(self, kind: str, job: Callable[[dict[str, Any]], None], request: dict[str, Any]) -> None:
        """A request whose data set is no longer looked at is dropped; what goes wrong is said."""
        if request["data"] != self._data:
            return
        try:
            job(request)
        except NetwrightError as error:
            self._answer(request, failed=kind, message=str(error))
        except Exception as error:  # a thread that ended would leave the window waiting
            traceback.print_exc()
            self._answer(request, failed=kind, message=f"{type(error).__name__}: {error}")

    def _answer(self, request: dict[str, Any], **answer: Any) -> None:
        self._say({"data": request["data"], **answer})

    # -- the list of images ------------------------------------------------------------------------------------------

    def _open(self, request: dict[str, Any]) -> None:
        settings = DataSettings.model_validate(request["settings"])
        self._thumbs.clear()
        self._size, self._task = (request["size"][0], request["size"][1]), request["task"]
        self._index = Index(settings)
        index = self._index = read_index(settings, request["seed"], self._task)
        rows = rows_of(index)
        for first in range(0, len(index.entries), PORTION):
            if request["data"] != self._data:
                return
            self._answer(request, rows=list(itertools.islice(rows, PORTION)), first=first)
        about = {
            "names": index.names, "notes": index.notes, "train": index.count("train"), "val": index.count("val"),
            "refused": asdict(index.refused) if index.refused else None,
        }  # fmt: skip
        self._answer(request, opened=about)

    def _summary(self, request: dict[str, Any]) -> None:
        index = self._index
        found = summarise_data(
            index.settings,
            self._size,
            request["stride"],
            index.seed,
            self._task,
            cancelled=lambda: request["data"] != self._data,
        )
        if found is None:
            return
        remember_sides(index.settings, shorter_sides(found.train, self._size))
        self._answer(request, summary=drawn_summary(found))

    # -- looking at images -------------------------------------------------------------------------------------------

    def _make_thumb(self, request: dict[str, Any]) -> None:
        """One thumbnail, then the rest of them if nothing more urgent has come."""
        row, *rest = request["rows"]
        if row < len(self._index.entries):
            self._answer(request, thumb=row, picture=self._thumb(row))
        if rest:
            self._workers["looks"].go_on("thumbs", {**request, "rows": rest})

    def _thumb(self, row: int) -> str:
        """The picture in base64; nothing for one that cannot be read."""
        if row not in self._thumbs:
            index, (height, width) = self._index, self._size
            try:
                self._thumbs[row] = thumbnail(
                    pixels_of(index, index.entries[row], (width, height), self._task, side=THUMB)
                )
            except BROKEN:
                self._thumbs[row] = ""
            if len(self._thumbs) > KEPT:
                self._thumbs.popitem(last=False)
        return self._thumbs[row]

    def _picture(self, request: dict[str, Any]) -> None:
        index, row, shown = self._index, request["row"], (self._size[1], self._size[0])
        entry = index.entries[row]
        try:
            image = pixels_of(index, entry, shown, self._task)
        except BROKEN:
            message = "This image cannot be read. The check says what is wrong with it."
            self._answer(request, picture=row, message=message)
            return
        width, height = image.size
        objects = objects_of(index, entry, image.size, shown, self._task)
        bad = box_in_row(Path(request["label"][0]), request["label"][1], image.size) if request["label"] else []
        image.thumbnail((LONGEST, LONGEST))
        parts, labels = [image.tobytes()], None
        if entry.record is not None and entry.record.mask is not None:
            parts.append(classes_of(entry.record.mask, image.size))
            labels = [-1 if name == BACKGROUND else i for i, name in enumerate(index.names)]
        file = self._hand_over(*parts)
        self._answer(
            request, picture=row, width=width, height=height, shown=list(image.size), file=file, objects=objects,
            bad=bad, labels=labels,
        )  # fmt: skip

    def _hand_over(self, *pixels: bytes | memoryview) -> str:
        path = self.folder / f"{next(self._files)}.rgb"
        with path.open("wb") as file:
            for part in pixels:
                file.write(part)
        return str(path)

    # -- the check ---------------------------------------------------------------------------------------------------

    def _check(self, request: dict[str, Any]) -> None:
        self._cancelled.clear()
        told = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if (now := time.monotonic()) - told > 0.1:
                told = now
                self._answer(request, checked=done, total=total)

        report = check_data(self._index.settings, progress, self._cancelled.is_set)
        for first in range(0, len(report.findings), PORTION):
            self._answer(request, findings=[asdict(f) for f in report.findings[first : first + PORTION]])
        self._answer(
            request,
            report={
                "images": report.images, "cancelled": report.cancelled, "errors": report.errors,
                "warnings": len(report.findings) - report.errors,
            },
        )  # fmt: skip

    # -- augmentation ------------------------------------------------------------------------------------------------

    def _preview(self, request: dict[str, Any]) -> None:
        from designer.data.preview import Previews  # torch takes seconds, and is wanted for this alone

        self._previews = self._previews or Previews()
        began = time.perf_counter()
        training = TrainingSettings.model_validate(request["training"])
        for place, (number, epoch) in enumerate(request["places"]):
            made = self._previews.make(self._index.settings, training, self._size, self._task, number, epoch)
            parts = [made.image.numpy().data]
            if made.owners is not None:
                parts.append(made.owners.contiguous().numpy().data)
            self._answer(
                request, preview=request["number"], place=place, file=self._hand_over(*parts),
                shape=list(made.image.shape[:2]), owners=list(made.owners.shape) if made.owners is not None else None,
                labels=made.labels, objects=made.objects, ms=round((time.perf_counter() - began) * 1e3, 1),
            )  # fmt: skip
            if self._workers["previews"].waits("preview"):  # each of them brings at least its first image
                return


def main() -> int:
    """Serves until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m designer.data.server", description="Looks at data for the window.")
    parser.add_argument("--folder", type=Path, required=True, help="where pixels are handed over; removed at the end")
    folder: Path = parser.parse_args().folder
    out, lock = sys.stdout, threading.Lock()

    def say(answer: dict[str, Any]) -> None:
        line = json.dumps(answer) + "\n"
        with lock, contextlib.suppress(OSError):  # the window has gone; stdin ends in a moment
            out.write(line)
            out.flush()

    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints is no answer
        server = Server(folder, say)
        for line in sys.stdin:
            server.take(json.loads(line))
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # threads that still read images are not waited for


if __name__ == "__main__":
    main()
