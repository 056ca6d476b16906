"""`netwright predict RUN video.mp4` and `camera:0`: every frame through a trained model, written as it comes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from designer.cli.output import console, errors, print_json
from designer.graph.errors import NetwrightError
from designer.train.run import RunFolder
from designer.train.sources import camera_number


def predict_video(
    run: Path, sources: list[str], save: list[Path], out: Path, threshold: float, as_json: bool,
    save_json: Path | None = None,
) -> None:  # fmt: skip
    """Writes what is found in a video, or in a camera's pictures until Ctrl+C.

    Args:
        run: the run folder.
        sources: one video file or `camera:0`.
        save: files to write, by their suffix; without one an annotated .mp4 in the folder `out`.
        out: that folder.
        threshold: lowest score that is written.
        as_json: print one JSON value.
        save_json: one more file, COCO.
    """
    if len(sources) > 1:
        raise NetwrightError("Predict on one video or camera at a time, and on images apart from it.")
    folder = RunFolder.open(run)
    from designer.train.recording import Recording
    from designer.train.trained import load_trained
    from designer.train.video import open_source

    source = open_source(sources[0])
    targets = [*save, *([save_json] if save_json is not None else [])]
    targets = targets or [out / f"{Path(source.name).stem.lower().replace(' ', '-')}.mp4"]
    recordings: list[Recording] = []
    try:
        if camera_number(sources[0]) is None and any(_same(target, Path(sources[0])) for target in targets):
            raise NetwrightError(f"{sources[0]} cannot be read and written at once. Save under another name.")
        model = load_trained(folder)
        recordings += [Recording(target, model, source, threshold) for target in targets]
        done, seconds, ended = _through(model, source, recordings, quiet=as_json)
    finally:
        source.close()
        for recording in recordings:
            recording.close()
    note = source.cut_off() if ended else ""
    if as_json:
        facts = {"source": sources[0], "frames": done, "seconds": round(seconds, 2), "complete": ended and not note}
        print_json({**facts, "note": note, "written": [str(target) for target in targets]})
        return
    if note:
        errors.print(f"Warning: {note}", highlight=False, markup=False, soft_wrap=True)
    rate = done / seconds if seconds else 0.0
    console.print(f"{done} frames, {rate:.1f} a second{'' if ended else ', then interrupted'}", highlight=False)
    for target in targets:
        console.print(f"Written: {target}", highlight=False, markup=False, soft_wrap=True)


def _through(model: Any, source: Any, recordings: list[Any], *, quiet: bool) -> tuple[int, float, bool]:
    """Every frame of a source into the recordings. Returns how many, the seconds, and whether the end was reached."""
    from designer.train.trained import find_in

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=errors, disable=quiet or not sys.stderr.isatty())
    if source.live:
        errors.print(f"Recording {source.name}. Ctrl+C ends it.", highlight=False)
    done, written, began = 0, 0, time.perf_counter()
    try:
        with progress:
            bar = progress.add_task(source.name, total=source.frames or None)
            while (image := source.read()) is not None:
                found = find_in(model, image, Path(source.name))
                due = round((time.perf_counter() - began) * source.fps) - written if source.live else 1
                for recording in recordings:
                    recording.add(found, done, max(1, due))
                written += max(1, due)
                done += 1
                progress.update(bar, completed=done)
    except KeyboardInterrupt:
        return done, time.perf_counter() - began, False
    return done, time.perf_counter() - began, True


def _same(a: Path, b: Path) -> bool:
    return a.resolve() == b.resolve()
